//! One connection: calls go out, completions come back, and its end is seen at once.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use wavekv_shm::handshake::Connected;
use wavekv_shm::line::{FAREWELL, Line, RING};
use wavekv_shm::ring::{self, Sender, Sleep};
use wavekv_shm::spin::Spin;
use wavekv_shm::{Completion, Memory, Region, Submission};

use super::arena::{Arena, Block};
use super::names::Names;
use super::pending::{Held, Pending};
use crate::ClientError;

/// Why a connection is lost that the daemon closed without a word.
const CLOSED: &str = "the daemon has ended or closed it";

/// A connection that stands, or stood.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) memory: Arc<Memory>,
    pub(super) boot_epoch: u64,
    pub(super) arena: Arc<Arena>,
    names: Mutex<Names>,
    line: Line,
    spin: Duration,
    submissions: Mutex<Sender<Arc<Memory>>>,
    pending: Mutex<Pending>,
    /// The daemon's flag.
    daemon: Sleep<Arc<Memory>>,
    /// This side's.
    own: Sleep<Arc<Memory>>,
    places: Arc<Semaphore>,
    lost: OnceLock<String>,
    listener: OnceLock<AbortHandle>,
}

/// A completed call, whose block is free when this is dropped.
#[derive(Debug)]
pub(super) struct Completed {
    pub(super) completion: Completion,
    _held: Held,
}

impl Connection {
    /// Over what a handshake gave, on the runtime of the caller.
    pub(super) fn start(connected: Connected, spin: Duration) -> std::io::Result<Arc<Self>> {
        let Connected {
            socket,
            memory,
            boot_epoch,
            grpc_socket: _,
        } = connected;
        socket.set_nonblocking(true)?;
        let stream = UnixStream::from_std(socket.try_clone()?)?;
        let memory = Arc::new(memory);
        let layout = memory.layout();
        let of = || Arc::clone(&memory);
        let connection = Arc::new(Self {
            boot_epoch,
            arena: Arena::new(layout.arena_bytes()),
            names: Mutex::default(),
            line: Line::new(socket),
            spin,
            submissions: Mutex::new(ring::submitter(of(), layout)),
            pending: Mutex::new(Pending::new(ring::completions(of(), layout), of())),
            daemon: Sleep::of_daemon(of()),
            own: Sleep::of_client(of()),
            places: Arc::new(Semaphore::new(layout.ring_entries() as usize)),
            lost: OnceLock::new(),
            listener: OnceLock::new(),
            memory,
        });
        let heir = Heir(Arc::downgrade(&connection));
        let listening = tokio::spawn(listen(stream, heir));
        // It is set here alone.
        let _ = connection.listener.set(listening.abort_handle());
        Ok(connection)
    }

    /// Why it is lost, if it is.
    pub(super) fn lost(&self) -> Option<&String> {
        self.lost.get()
    }

    pub(super) fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room in the ring and in the arena for a call that needs so many bytes, when others have left it.
    ///
    /// # Errors
    /// [`ClientError::Lost`].
    pub(super) async fn hold(&self, bytes: u64) -> Result<Held, ClientError> {
        let places = Arc::clone(&self.places);
        let place = places
            .acquire_owned()
            .await
            .map_err(|_| self.lost_error())?;
        let alive = || self.lost().is_none();
        let block = self.arena.allocate(bytes, alive).await;
        Ok(Held {
            block: block.ok_or_else(|| self.lost_error())?,
            place,
        })
    }

    /// Writes a part of a block that is held.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] when it is not in the arena, which is a bug.
    pub(super) fn write(&self, block: &Block, at: u64, bytes: &[u8]) -> Result<(), ClientError> {
        let written = self.memory.write(block.region().offset + at, bytes);
        written.map_err(|outside| ClientError::protocol(outside.to_string()))
    }

    /// Submits a call and waits for its completion: looks for it for a while, then sleeps.
    ///
    /// # Errors
    /// [`ClientError::Lost`], [`ClientError::Protocol`].
    pub(super) async fn call(
        &self,
        held: Held,
        submission: impl FnOnce(u64) -> Submission,
    ) -> Result<Completed, ClientError> {
        let number = self.submit(held, submission)?;
        let mut waiting = Waiting {
            connection: self,
            number,
            spun: false,
            over: false,
        };
        poll_fn(|context| waiting.poll(context)).await
    }

    fn submit(
        &self,
        held: Held,
        submission: impl FnOnce(u64) -> Submission,
    ) -> Result<u64, ClientError> {
        let number = self.pending().begin(held);
        let descriptor = submission(number).encode();
        let mut submissions = self
            .submissions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let sent = submissions.send(&descriptor);
        drop(submissions);
        if let Err(error) = sent {
            self.pending().cancel(number);
            self.lose(error.to_string());
            return Err(self.lost_error());
        }
        if self.daemon.must_ring() {
            self.line.ring();
        }
        Ok(number)
    }

    /// Reads what has come, and sees to being rung where somebody still sleeps.
    fn look(&self) {
        let mut pending = self.pending();
        let mut looked = pending.collect();
        if looked.is_ok() && pending.is_awaited() {
            self.own.begin();
            looked = pending.collect();
        }
        drop(pending);
        if let Err(lie) = looked {
            self.lose(lie);
        }
    }

    /// Ends the connection for all who use it.
    fn lose(&self, why: impl Into<String>) {
        // The first reason stays.
        let _ = self.lost.set(why.into());
        self.places.close();
        self.arena.wake();
        self.pending().wake_all();
        self.line.close();
    }

    fn lost_error(&self) -> ClientError {
        let reason = self.lost().map_or(CLOSED, String::as_str).to_owned();
        ClientError::Lost { reason }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.get() {
            listener.abort();
        }
        self.line.close();
    }
}

/// Somebody who waits for a call.
struct Waiting<'a> {
    connection: &'a Connection,
    number: u64,
    spun: bool,
    over: bool,
}

impl Waiting<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Completed, ClientError>> {
        let connection = self.connection;
        if !self.spun {
            self.spun = true;
            let mut spin = Spin::lasting(connection.spin);
            loop {
                if let Some(ended) = self.ended(connection.pending()) {
                    return Poll::Ready(ended);
                }
                if !spin.again() || connection.lost().is_some() {
                    break;
                }
            }
        }
        let mut pending = connection.pending();
        pending.wait(self.number, context.waker());
        // Whoever ends the connection from here on wakes this one.
        let lost = connection.lost().is_some();
        connection.own.begin();
        if let Some(ended) = self.ended(pending) {
            return Poll::Ready(ended);
        }
        if lost {
            return Poll::Ready(Err(connection.lost_error()));
        }
        Poll::Pending
    }

    /// What the call came to, if it is over.
    fn ended(
        &mut self,
        mut pending: MutexGuard<'_, Pending>,
    ) -> Option<Result<Completed, ClientError>> {
        if let Err(lie) = pending.collect() {
            drop(pending);
            self.connection.lose(lie.clone());
            return Some(Err(ClientError::protocol(lie)));
        }
        let (completion, held) = pending.take(self.number)?;
        self.over = true;
        Some(Ok(Completed {
            completion,
            _held: held,
        }))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.connection.pending().abandon(self.number);
        }
    }
}

impl Completed {
    /// The body of the answer.
    pub(super) fn body(&self, memory: &Memory) -> Result<Vec<u8>, ClientError> {
        read(memory, self.completion.body)
    }
}

/// A copy of a region that the daemon has named.
pub(super) fn read(memory: &Memory, region: Region) -> Result<Vec<u8>, ClientError> {
    let copy = memory.read(region);
    copy.map_err(|outside| ClientError::protocol(outside.to_string()))
}

/// Whoever hears that the connection has ended, or will no longer hear.
struct Heir(Weak<Connection>);

impl Heir {
    fn lose(&self, why: impl Into<String>) {
        if let Some(connection) = self.0.upgrade() {
            connection.lose(why);
        }
    }
}

impl Drop for Heir {
    fn drop(&mut self) {
        self.lose("the runtime that it was made on has ended");
    }
}

/// Hears the daemon ring, and end.
async fn listen(stream: UnixStream, heir: Heir) {
    let mut farewell = Vec::new();
    let mut bytes = [0; 256];
    loop {
        if stream.readable().await.is_err() {
            break;
        }
        match stream.try_read(&mut bytes) {
            Ok(0) => break,
            Ok(heard) => {
                let rings = bytes[..heard].iter().take_while(|byte| **byte == RING);
                let rings = if farewell.is_empty() {
                    rings.count()
                } else {
                    0
                };
                farewell.extend(&bytes[rings..heard]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        let Some(connection) = heir.0.upgrade() else {
            return;
        };
        connection.look();
    }
    heir.lose(last_words(&farewell).unwrap_or_else(|| CLOSED.to_owned()));
}

/// The sentence of a farewell.
fn last_words(farewell: &[u8]) -> Option<String> {
    let (kind, rest) = farewell.split_first()?;
    let (length, text) = rest.split_first_chunk()?;
    let text = text.get(..u32::from_le_bytes(*length) as usize)?;
    (*kind == FAREWELL).then(|| String::from_utf8_lossy(text).into_owned())
}
