//! Where traces of calls go.

use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::check::Checks;

/// Table `[trace]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct TraceSettings {
    /// The OpenTelemetry collector that spans of calls are sent to, by OTLP over gRPC: such as `"http://127.0.0.1:4317"`. "":
    /// no traces.
    pub otlp_endpoint: String,

    /// Of the calls that bear no `traceparent`, the share that is traced: 0 to 1. Of the others, their callers say it.
    pub sample_ratio: f64,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            sample_ratio: 1.0,
        }
    }
}

impl TraceSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        let endpoint = &self.otlp_endpoint;
        checks.require(
            endpoint.is_empty() || is_endpoint(endpoint),
            "trace.otlp_endpoint",
            format_args!("{endpoint:?}"),
            "http://, a host, a colon and a port, such as \"http://127.0.0.1:4317\", or \"\" for no traces",
        );
        checks.require(
            (0.0..=1.0).contains(&self.sample_ratio),
            "trace.sample_ratio",
            self.sample_ratio,
            "0 to 1",
        );
    }
}

fn is_endpoint(endpoint: &str) -> bool {
    let authority = endpoint.strip_prefix("http://");
    authority
        .and_then(|authority| authority.rsplit_once(':'))
        .is_some_and(|(host, port)| {
            !host.is_empty()
                && !host.contains(|at: char| at.is_whitespace() || "/?#@".contains(at))
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_a_host_and_a_port_and_nothing_else() {
        for endpoint in [
            "http://127.0.0.1:4317",
            "http://[::1]:1",
            "http://collector:4317",
        ] {
            assert!(is_endpoint(endpoint), "{endpoint}");
        }
        for wrong in [
            "127.0.0.1:4317",
            "https://collector:4317",
            "http://collector",
            "http://:4317",
            "http://collector:0",
            "http://collector:70000",
            "http://collector:4317/v1/traces",
            "http://a b:1",
        ] {
            assert!(!is_endpoint(wrong), "{wrong}");
        }
    }
}
