//! Where the daemon answers HTTP: health, metrics and the inspector.

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

    /// The inspector, a page at /inspector/ that shows collections, their names and the figures of their heads to whoever can reach
    /// `listen`: "loopback" has it unless `allow_non_loopback` is set, "on" has it then too, "off" never.
    #[toml_example(enum)]
    pub inspector: Inspector,
}

/// Where there is an inspector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Inspector {
    /// Where nobody else can reach it.
    #[default]
    Loopback,
    /// Wherever HTTP is.
    On,
    /// Nowhere.
    Off,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 7601))),
            allow_non_loopback: false,
            inspector: Inspector::default(),
        }
    }
}

impl HttpSettings {
    /// Whether there is an inspector.
    pub fn has_inspector(&self) -> bool {
        match self.inspector {
            Inspector::Loopback => !self.allow_non_loopback,
            Inspector::On => true,
            Inspector::Off => false,
        }
    }

    pub(super) fn check(&self, checks: &mut Checks) {
        if let Some(listen) = self.listen {
            checks.loopback(
                "http.listen",
                listen,
                self.allow_non_loopback,
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
                ..HttpSettings::default()
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

    #[test]
    fn who_allows_others_has_no_inspector_unless_that_is_said() {
        let has = |inspector, allow_non_loopback| {
            let settings = HttpSettings {
                allow_non_loopback,
                inspector,
                ..HttpSettings::default()
            };
            settings.has_inspector()
        };
        assert!(HttpSettings::default().has_inspector());
        assert!(!has(Inspector::Loopback, true));
        assert!(has(Inspector::On, true) && has(Inspector::On, false));
        assert!(!has(Inspector::Off, true) && !has(Inspector::Off, false));
    }
}
