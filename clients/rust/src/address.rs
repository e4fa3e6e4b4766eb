//! Where a daemon listens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Address of a daemon: `unix:/path/to.sock`, `http://host:port`, `https://host:port`, or `shm:/path/to.shm.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A Unix socket, by its absolute path.
    Unix(PathBuf),
    /// TCP without encryption, as `host:port`.
    Http(String),
    /// TCP with TLS, as `host:port`: the daemon's certificate must be of that host, and vouched for by one that this system
    /// trusts, or one of the file that the environment's `SSL_CERT_FILE` names.
    Https(String),
    /// Shared memory, by the absolute path of the socket of its handshake.
    Shm(PathBuf),
}

const SCHEMES: &str =
    "unix:/path/to.sock, http://host:port, https://host:port or shm:/path/to.shm.sock";

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
            return match absolute(path) {
                Some(path) => Ok(Self::Unix(path)),
                None => refuse("an absolute path after unix:, as in unix:/run/wavekv.sock"),
            };
        }
        if let Some(path) = text.strip_prefix("shm:") {
            return match absolute(path) {
                Some(path) => Ok(Self::Shm(path)),
                None => refuse("an absolute path after shm:, as in shm:/run/wavekv.shm.sock"),
            };
        }
        let tcp = |scheme| text.strip_prefix(scheme);
        let (made, authority): (fn(String) -> Self, _) = match (tcp("http://"), tcp("https://")) {
            (Some(authority), _) => (Self::Http, authority),
            (None, Some(authority)) => (Self::Https, authority),
            (None, None) => return refuse(SCHEMES),
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
            Ok(made(authority.to_owned()))
        } else {
            refuse("a host name or an IP address (IPv6 in brackets) before the port")
        }
    }
}

/// The path of a socket; `scheme:///path` is the same path, written as a URL.
fn absolute(path: &str) -> Option<PathBuf> {
    let path = path.strip_prefix("//").unwrap_or(path);
    (path.starts_with('/') && !path.contains('\0')).then(|| path.into())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http(authority) => write!(f, "http://{authority}"),
            Self::Https(authority) => write!(f, "https://{authority}"),
            Self::Shm(path) => write!(f, "shm:{}", path.display()),
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
            "https://db-1:9",
            "shm:/run/a.shm.sock",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("unix:///x".parse(), Ok(Address::Unix("/x".into())));
        assert_eq!("http://host:1/".parse(), Ok(Address::Http("host:1".into())));
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_was_expected() {
        for (text, expected) in [
            ("127.0.0.1:7600", SCHEMES),
            ("ftp://host:1", SCHEMES),
            ("", "unix:/path/to.sock"),
            ("unix:relative.sock", "an absolute path"),
            ("shm:relative.sock", "an absolute path after shm:"),
            ("http://host", "a port"),
            ("https://host", "a port"),
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
