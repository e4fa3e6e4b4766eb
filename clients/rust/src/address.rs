//! Where a daemon listens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Address of a daemon: `unix:/path/to.sock` or `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A Unix socket, by its absolute path.
    Unix(PathBuf),
    /// TCP without encryption, as `host:port`.
    Http(String),
}

/// Text that is no [`Address`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address is {found:?}, expected {expected}")]
pub struct AddressError {
    found: String,
    expected: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refuse = |expected| {
            Err(AddressError {
                found: text.to_owned(),
                expected,
            })
        };
        if let Some(path) = text.strip_prefix("unix:") {
            // unix:///path is the same path, written as a URL.
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') || path.contains('\0') {
                return refuse("an absolute path after unix:, as in unix:/run/wavekv.sock");
            }
            return Ok(Self::Unix(path.into()));
        }
        let Some(authority) = text.strip_prefix("http://") else {
            return refuse("unix:/path/to.sock or http://host:port");
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let Some((host, port)) = authority.rsplit_once(':') else {
            return refuse("a port, as in http://127.0.0.1:7600");
        };
        if port.parse::<u16>().is_err() {
            return refuse("a port from 0 to 65535 at the end");
        }
        // An IPv6 address stands in brackets; anything else has no colon.
        let name = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let known = match name {
            Some(name) => name.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(plain),
        };
        if known {
            Ok(Self::Http(authority.to_owned()))
        } else {
            refuse("a host name or an IP address (IPv6 in brackets) before the port")
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http(authority) => write!(f, "http://{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in [
            "unix:/run/a b.sock",
            "http://127.0.0.1:7600",
            "http://[::1]:7",
            "http://db-1:9",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("unix:///x".parse(), Ok(Address::Unix("/x".into())));
        assert_eq!("http://host:1/".parse(), Ok(Address::Http("host:1".into())));
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_was_expected() {
        for (text, expected) in [
            ("127.0.0.1:7600", "unix:/path/to.sock or http://host:port"),
            ("https://host:1", "unix:/path/to.sock or http://host:port"),
            ("", "unix:/path/to.sock"),
            ("unix:relative.sock", "an absolute path"),
            ("http://host", "a port"),
            ("http://host:70000", "0 to 65535"),
            ("http://host:", "0 to 65535"),
            ("http://:80", "a host name"),
            ("http://::1:80", "IPv6 in brackets"),
            ("http://host/path:80", "a host name"),
        ] {
            let sentence = text.parse::<Address>().unwrap_err().to_string();
            assert!(
                sentence.contains(expected) && sentence.contains(text),
                "{sentence}"
            );
        }
    }
}
