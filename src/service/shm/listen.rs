//! Who comes in: the socket, the handshake, and the end of all connections when the daemon stops.

use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tonic::Code;
use wavekv_shm::handshake::{self, HELLO_BYTES, Hello, Welcome};
use wavekv_shm::{Layout, Memory};

use super::calls::Desk;
use super::connection::Connection;
use super::peer::{Held, Peer};
use super::spare::Spare;
use crate::engine::Engine;
use crate::model::{Error, ErrorKind, Invalid};
use crate::service::calls::Calls;
use crate::service::listen::{ListenError, OPEN, PRIVATE, UnixSocket};
use crate::service::readiness::Readiness;
use crate::service::status;
use crate::telemetry::metrics::Metrics;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// Clients that may be saying so at once; more wait to be accepted.
const HANDSHAKES_AT_ONCE: usize = 16;
/// Between two tries when the system has no descriptors for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Who may have shared memory, and how much.
#[derive(Clone, Debug)]
pub struct ShmSettings {
    /// The socket of the handshake.
    pub socket: PathBuf,
    /// Users beside the daemon's own.
    pub allow_uids: Vec<u32>,
    /// At once.
    pub max_connections: u32,
    /// Of a connection's arena.
    pub max_arena_bytes: u64,
    /// Of each of a connection's rings.
    pub max_ring_entries: u32,
    /// How long a connection's thread looks for the next call before it sleeps.
    pub spin: Duration,
}

/// The bound socket.
#[derive(Debug)]
pub(in crate::service) struct Door {
    settings: ShmSettings,
    socket: UnixSocket,
}

/// What every connection needs to know.
#[derive(Debug)]
struct House {
    settings: ShmSettings,
    engine: Arc<Engine>,
    grpc_socket: PathBuf,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    spare: Arc<Spare>,
    places: Arc<Semaphore>,
    stopping: Arc<AtomicBool>,
    /// Its receivers are the threads that live.
    living: watch::Sender<()>,
    peers: Mutex<Vec<Weak<Peer>>>,
}

impl Door {
    /// Binds the socket.
    ///
    /// # Errors
    /// [`ListenError`].
    pub(in crate::service) fn bind(settings: ShmSettings) -> Result<Self, ListenError> {
        let mode = if settings.allow_uids.is_empty() {
            PRIVATE
        } else {
            OPEN
        };
        let socket = UnixSocket::bind("shm.socket", &settings.socket, mode)?;
        Ok(Self { settings, socket })
    }

    /// Takes clients until `stop`, then lets their calls in progress finish; these count among `calls`.
    pub(in crate::service) async fn serve(
        self,
        engine: Arc<Engine>,
        grpc_socket: PathBuf,
        calls: Calls,
        readiness: Readiness,
        stop: impl Future<Output = ()>,
    ) {
        tracing::info!(path = %self.settings.socket.display(), "listening for shared memory");
        let house = Arc::new(House {
            places: Arc::new(Semaphore::new(self.settings.max_connections as usize)),
            settings: self.settings,
            engine,
            grpc_socket: std::path::absolute(&grpc_socket).unwrap_or(grpc_socket),
            readiness,
            metrics: Arc::clone(calls.metrics()),
            spare: Arc::default(),
            stopping: Arc::default(),
            living: watch::Sender::new(()),
            peers: Mutex::default(),
        });
        let accepting = accept(&self.socket, &house);
        tokio::select! {
            () = stop => {}
            () = accepting => {}
        }
        let _call = calls.begin();
        house.stop();
        house.living.closed().await;
    }
}

/// Takes connections and never ends.
async fn accept(socket: &UnixSocket, house: &Arc<House>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_AT_ONCE));
    loop {
        // Nobody closes it.
        let Ok(turn) = Arc::clone(&handshakes).acquire_owned().await else {
            return;
        };
        match socket.accept().await {
            Ok(stream) => {
                let house = Arc::clone(house);
                tokio::spawn(async move {
                    house.receive(stream).await;
                    drop(turn);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to shm.socket was not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl House {
    /// The handshake of one client. Whatever it does, it is told or dropped.
    async fn receive(self: Arc<Self>, mut stream: UnixStream) {
        let uid = stream.peer_cred().map(|peer| peer.uid());
        let mut hello = [0; HELLO_BYTES];
        let said = tokio::time::timeout(PATIENCE, stream.read_exact(&mut hello)).await;
        if !matches!(said, Ok(Ok(_))) {
            tracing::debug!("a client of shared memory did not say what it wants");
            return;
        }
        let socket = stream.into_std().and_then(|socket| {
            socket.set_nonblocking(false)?;
            Ok(socket)
        });
        let Ok(socket) = socket else { return };
        let admitted = match self.admitted(uid) {
            Ok(()) => self.readiness.clone().wait().await,
            Err((code, sentence)) => {
                tracing::warn!(%sentence, "a client of shared memory was refused");
                // One that has gone away need not be told.
                let _ = handshake::refuse(&socket, code as u32, &sentence);
                self.metrics.shm_refused();
                return;
            }
        };
        if let Err(error) = admitted.and_then(|()| self.connect(&hello, &socket)) {
            tracing::info!(%error, "a client of shared memory was refused");
            let code = status::code(error.kind()) as u32;
            let _ = handshake::refuse(&socket, code, error.message());
            self.metrics.shm_refused();
        }
    }

    /// Whether the peer is of a user that may have shared memory.
    fn admitted(&self, uid: io::Result<u32>) -> Result<(), (Code, String)> {
        let own = rustix::process::geteuid().as_raw();
        match uid {
            Ok(uid) if uid == own || self.settings.allow_uids.contains(&uid) => Ok(()),
            Ok(uid) => Err((
                Code::PermissionDenied,
                format!("uid is {uid}: expected {own}, the daemon's, or one of shm.allow_uids"),
            )),
            Err(error) => Err((
                Code::PermissionDenied,
                format!("the peer has no credentials: {error}"),
            )),
        }
    }

    /// Makes the memory, hands it over and starts the thread. Where that fails, the client has heard nothing yet, or hears
    /// that the connection ends.
    fn connect(
        self: &Arc<Self>,
        hello: &[u8; HELLO_BYTES],
        socket: &std::os::unix::net::UnixStream,
    ) -> Result<(), Error> {
        let layout = self.layout(hello)?;
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let most = self.settings.max_connections;
            let message = format!("shm.max_connections is {most}: expected a client to end first");
            return Err(Error::new(ErrorKind::ResourceExhausted, message));
        };
        let reserved = self.engine.reserve(layout.total_bytes())?;
        let refused = |error: io::Error| {
            let message = format!("the system gives no shared memory: {error}");
            Error::new(ErrorKind::ResourceExhausted, message)
        };
        let boot_epoch = self.engine.boot_epoch().0;
        let (memory, file) = Memory::create(layout, boot_epoch).map_err(refused)?;
        let ours = socket.try_clone().map_err(refused)?;
        let held = Held { reserved, place };
        let peer = Peer::new(memory, ours, boot_epoch, held).map_err(refused)?;
        let welcome = Welcome {
            boot_epoch,
            layout,
            memory: file.as_fd(),
            grpc_socket: Path::new(&self.grpc_socket),
        };
        handshake::welcome(socket, &welcome).map_err(refused)?;
        self.start(&Arc::new(peer)).map_err(refused)
    }

    /// The sizes that a client asks for, within the limits.
    fn layout(&self, hello: &[u8; HELLO_BYTES]) -> Result<Layout, Error> {
        let wrong = |message: String| Error::new(ErrorKind::InvalidArgument, message);
        let hello = Hello::parse(hello).map_err(|bad| wrong(bad.to_string()))?;
        let (most_arena, most_entries) = (
            self.settings.max_arena_bytes,
            self.settings.max_ring_entries,
        );
        if hello.arena_bytes > most_arena {
            let expected = format!("at most {most_arena}, shm.max_arena_bytes");
            return Err(Invalid::new("arena_bytes", hello.arena_bytes, expected).into());
        }
        if hello.ring_entries > most_entries {
            let expected = format!("at most {most_entries}, shm.max_ring_entries");
            return Err(Invalid::new("ring_entries", hello.ring_entries, expected).into());
        }
        Layout::new(hello.ring_entries, hello.arena_bytes).map_err(|bad| wrong(bad.to_string()))
    }

    fn start(&self, peer: &Arc<Peer>) -> io::Result<()> {
        let desk = Desk::new(
            Arc::clone(&self.engine),
            Handle::current(),
            Arc::clone(peer),
            Arc::clone(&self.spare),
            Arc::clone(&self.metrics),
        );
        let stopping = Arc::clone(&self.stopping);
        let (spin, metrics) = (self.settings.spin, Arc::clone(&self.metrics));
        let connection = Connection::new(peer, desk, spin, stopping, metrics);
        {
            let mut peers = self.peers.lock();
            peers.retain(|peer| peer.strong_count() > 0);
            peers.push(Arc::downgrade(peer));
        }
        let alive = self.living.subscribe();
        let arena_bytes = peer.memory.layout().arena_bytes();
        std::thread::Builder::new()
            .name("shm".to_owned())
            .spawn(move || {
                connection.serve();
                drop(alive);
            })?;
        tracing::debug!(arena_bytes, "a client has shared memory");
        Ok(())
    }

    /// Has every thread end when its calls have. One that starts later sees at once that it must.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        for peer in self.peers.lock().iter().filter_map(Weak::upgrade) {
            peer.alarm.go_off();
        }
    }
}
