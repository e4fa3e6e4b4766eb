//! The sockets. A Unix socket is its own user's alone: by its mode, and by the peer's credentials, which are checked at
//! every connection because a socket exists for a moment before its mode can be set. That of shared memory may be open to
//! more, who are then told apart by their credentials alone.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};

/// Of a socket that its user alone can open.
pub(super) const PRIVATE: u32 = 0o600;
/// Of a socket that everybody can open who can reach it.
pub(super) const OPEN: u32 = 0o666;

/// Why a socket was not opened. Names the setting.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A TCP address.
    #[error("{setting} is {address}: {source}")]
    Tcp {
        /// That asks for it.
        setting: &'static str,
        /// Asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A Unix socket.
    #[error("{setting} is {}: {source}", path.display())]
    Unix {
        /// That asks for it.
        setting: &'static str,
        /// Asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the encryption cannot be read.
    #[error("{setting} is {}: {source}", path.display())]
    File {
        /// That names it.
        setting: &'static str,
        /// Asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate and a key that nothing can be encrypted with.
    #[error(
        "grpc.tls_certificate is {} and grpc.tls_key is {}: expected a certificate and its private key as PEM: {reason}",
        files.certificate.display(),
        files.key.display()
    )]
    Tls {
        /// Asked for.
        files: TlsFiles,
        /// What is wrong with them.
        reason: String,
    },
    /// Another daemon listens there.
    #[error("{setting} is {}: expected a path where no other daemon listens", path.display())]
    Taken {
        /// That asks for it.
        setting: &'static str,
        /// Asked for.
        path: PathBuf,
    },
    /// Something that is no socket stands there.
    #[error("{setting} is {}: expected a path where nothing is, or an old socket", path.display())]
    NotASocket {
        /// That asks for it.
        setting: &'static str,
        /// Asked for.
        path: PathBuf,
    },
}

/// What TCP is encrypted with, both as PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, and those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl TlsFiles {
    /// A server that encrypts.
    ///
    /// # Errors
    /// [`ListenError::File`], [`ListenError::Tls`].
    pub(super) fn applied(&self, server: Server) -> Result<Server, ListenError> {
        let read = |setting, path: &Path| {
            std::fs::read(path).map_err(|source| ListenError::File {
                setting,
                path: path.to_owned(),
                source,
            })
        };
        let certificate = read("grpc.tls_certificate", &self.certificate)?;
        let key = read("grpc.tls_key", &self.key)?;
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        server.tls_config(tls).map_err(|error| ListenError::Tls {
            files: self.clone(),
            reason: innermost(&error),
        })
    }
}

/// What is at the bottom of an error, which is what says most.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// A bound Unix socket; its file goes with it.
#[derive(Debug)]
pub(super) struct UnixSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// Removes the socket's file when the daemon is done with it.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs_err::remove_file(&self.0) {
            tracing::warn!(%error, "the socket's file stays behind");
        }
    }
}

/// Binds TCP of gRPC; answers the address too, since port 0 takes a free one.
pub(super) async fn tcp(address: SocketAddr) -> Result<(TcpIncoming, SocketAddr), ListenError> {
    let (listener, bound) = bound("grpc.listen", address).await?;
    Ok((TcpIncoming::from(listener).with_nodelay(Some(true)), bound))
}

/// Binds the TCP address of a setting; answers it too.
pub(super) async fn bound(
    setting: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), ListenError> {
    let failed = |source| ListenError::Tcp {
        setting,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

impl UnixSocket {
    /// Binds the socket of a setting with a mode. A file left behind by a daemon that was killed is replaced.
    pub(super) fn bind(setting: &'static str, path: &Path, mode: u32) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Unix {
            setting,
            path: path.to_owned(),
            source,
        };
        match fs_err::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => {
                if std::os::unix::net::UnixStream::connect(path).is_ok() {
                    return Err(ListenError::Taken {
                        setting,
                        path: path.to_owned(),
                    });
                }
                fs_err::remove_file(path).map_err(failed)?;
            }
            Ok(_) => {
                return Err(ListenError::NotASocket {
                    setting,
                    path: path.to_owned(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        let file = SocketFile(path.to_owned());
        fs_err::set_permissions(path, PermissionsExt::from_mode(mode)).map_err(failed)?;
        Ok(Self { listener, file })
    }

    /// The next connection, whoever it is.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }

    /// Connections of this process's own user; others are dropped.
    pub(super) fn incoming(self) -> (impl Stream<Item = io::Result<UnixStream>>, SocketFile) {
        let own = rustix::process::geteuid().as_raw();
        let incoming = UnixListenerStream::new(self.listener).filter(move |stream| match stream {
            Ok(stream) => match stream.peer_cred() {
                Ok(peer) if peer.uid() == own => true,
                Ok(peer) => {
                    tracing::warn!(uid = peer.uid(), "a connection of another user was refused");
                    false
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection without credentials was refused");
                    false
                }
            },
            Err(_) => true,
        });
        (incoming, self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_private_and_goes_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let socket = UnixSocket::bind("grpc.unix_socket", &path, PRIVATE).unwrap();
        assert_eq!(
            fs_err::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let refused = UnixSocket::bind("grpc.unix_socket", &path, PRIVATE)
            .unwrap_err()
            .to_string();
        assert!(refused.ends_with("no other daemon listens"), "{refused}");
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_file_of_a_killed_daemon_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        UnixSocket::bind("grpc.unix_socket", &path, PRIVATE).unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs_err::write(&path, "content").unwrap();
        let refused = UnixSocket::bind("grpc.unix_socket", &path, PRIVATE)
            .unwrap_err()
            .to_string();
        assert!(refused.starts_with("grpc.unix_socket is "), "{refused}");
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "content");
    }
}
