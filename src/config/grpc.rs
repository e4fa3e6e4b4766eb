//! Where the daemon listens.

use std::net::SocketAddr;
use std::path::PathBuf;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::check::Checks;
use super::notation;

/// Table `[grpc]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, TomlExample)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcSettings {
    /// IP address and port of the TCP listener; port 0 takes a free one. "": no TCP.
    #[serde(with = "notation::optional_address")]
    pub listen: Option<SocketAddr>,

    /// Allow a `listen` that other machines can reach. Nobody is asked who they are.
    pub allow_non_loopback: bool,

    /// Path of the certificate that TCP shows its clients, with those that vouch for it, as PEM; read at the start. "":
    /// TCP is not encrypted.
    pub tls_certificate: PathBuf,

    /// Path of the certificate's private key, as PEM.
    pub tls_key: PathBuf,

    /// Path of the Unix socket, which the daemon's user alone can open. "": wavekvd.sock in the data directory.
    pub unix_socket: PathBuf,

    /// Largest message received or sent: "1MiB" to "1GiB".
    #[serde(with = "notation::size")]
    pub max_message_bytes: ByteSize,
}

impl Default for GrpcSettings {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 7600))),
            allow_non_loopback: false,
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            unix_socket: PathBuf::new(),
            max_message_bytes: ByteSize::mib(64),
        }
    }
}

impl GrpcSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        if let Some(listen) = self.listen {
            checks.loopback(
                "grpc.listen",
                listen,
                self.allow_non_loopback,
                "a loopback address such as \"127.0.0.1:7600\", or grpc.allow_non_loopback = true",
            );
        }
        let of_none = |path: &PathBuf| path.as_os_str().is_empty();
        checks.require(
            of_none(&self.tls_certificate) == of_none(&self.tls_key),
            "grpc.tls_key",
            format_args!("\"{}\"", self.tls_key.display()),
            "a path where grpc.tls_certificate is one, and \"\" where that is",
        );
        checks.require(
            (ByteSize::mib(1)..=ByteSize::gib(1)).contains(&self.max_message_bytes),
            "grpc.max_message_bytes",
            notation::exact(self.max_message_bytes),
            "1MiB to 1GiB",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(listen: &str, allow_non_loopback: bool) -> usize {
        let listen = Some(listen.parse().unwrap());
        let mut checks = Checks::default();
        GrpcSettings {
            listen,
            allow_non_loopback,
            ..GrpcSettings::default()
        }
        .check(&mut checks);
        checks.failures.len()
    }

    #[test]
    fn a_certificate_and_its_key_are_both_there_or_neither_is() {
        for (certificate, key, expected) in [("", "", 0), ("c", "k", 0), ("c", "", 1), ("", "k", 1)]
        {
            let mut checks = Checks::default();
            GrpcSettings {
                tls_certificate: certificate.into(),
                tls_key: key.into(),
                ..GrpcSettings::default()
            }
            .check(&mut checks);
            assert_eq!(checks.failures.len(), expected, "{certificate:?} {key:?}");
        }
    }

    #[test]
    fn only_loopback_is_allowed_by_default() {
        for loopback in [
            "127.0.0.1:0",
            "127.9.9.9:1",
            "[::1]:7600",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert_eq!(failures(loopback, false), 0, "{loopback}");
        }
        for wide in [
            "0.0.0.0:7600",
            "[::]:7600",
            "10.0.0.1:7600",
            "[::ffff:10.0.0.1]:1",
        ] {
            assert_eq!(
                (failures(wide, false), failures(wide, true)),
                (1, 0),
                "{wide}"
            );
        }
    }
}
