//! Where the daemon answers HTTP: health and metrics.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::check::Checks;
use super::notation;

/// Table `[http]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// IP address and port of HTTP, for /healthz, /livez, /readyz and /metrics; port 0 takes a free one. "": no HTTP. It is not
    /// encrypted.
    #[serde(with = "notation::optional_address")]
    pub listen: Option<SocketAddr>,

    /// Allow a `listen` that other machines can reach, and requests for a host of any name. Nobody is asked who they are.
    pub allow_non_loopback: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 7601))),
            allow_non_loopback: false,
        }
    }
}

impl HttpSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        if let Some(listen) = self.listen {
            checks.require(
                self.allow_non_loopback || listen.ip().to_canonical().is_loopback(),
                "http.listen",
                format_args!("{:?}", listen.to_string()),
                "a loopback address such as \"127.0.0.1:7601\", or http.allow_non_loopback = true",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_allowed_by_default() {
        let failures = |listen: &str, allow_non_loopback| {
            let listen = Some(listen.parse().unwrap());
            let mut checks = Checks::default();
            HttpSettings {
                listen,
                allow_non_loopback,
            }
            .check(&mut checks);
            checks.failures.len()
        };
        for loopback in ["127.0.0.1:0", "[::1]:7601", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(failures(loopback, false), 0, "{loopback}");
        }
        for wide in ["0.0.0.0:7601", "[::]:7601", "10.0.0.1:7601"] {
            let found = (failures(wide, false), failures(wide, true));
            assert_eq!(found, (1, 0), "{wide}");
        }
    }
}
