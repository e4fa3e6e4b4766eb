//! Calls over whatever connection stands: the first makes it, and the first after it was lost makes another.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tonic::Code;
use wavekv_shm::body::{self, Failure, Opened};
use wavekv_shm::handshake::{self, ConnectError, Connected, Hello};
use wavekv_shm::{Operation, Region, Submission};

use super::connection::{Completed, Connection};
use super::entry::{Entry, Tensors, name_of};
use super::names::Named;
use super::pending::Held;
use crate::wire::CollectionRef;
use crate::{Address, Batch, ClientError, wire};

/// What a connection over shared memory is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShmOptions {
    /// Of the arena, a multiple of 4096: what all calls in progress may have together, questions and answers. It counts in
    /// the daemon's `memory.budget`, and `shm.max_arena_bytes` limits it.
    pub arena_bytes: u64,
    /// Calls that may be in progress, a power of two; more wait. `shm.max_ring_entries` limits it.
    pub ring_entries: u32,
    /// How long a call looks for its answer before it sleeps. It keeps its thread, and so an executor's, busy meanwhile.
    pub spin: Duration,
}

impl Default for ShmOptions {
    /// 32 MiB, 64 calls, 20 µs.
    fn default() -> Self {
        Self {
            arena_bytes: 32 << 20,
            ring_entries: 64,
            spin: Duration::from_micros(20),
        }
    }
}

/// Shared memory with a daemon. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Transport(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    options: ShmOptions,
    patience: Duration,
    current: RwLock<Option<Arc<Connection>>>,
    /// Held by who makes a connection.
    connecting: tokio::sync::Mutex<()>,
}

/// An entry of a batch with what its collection is; none where the daemon is to say what is wrong with its name.
type Addressed<'a, E> = (usize, &'a E, Option<Named>);

impl Transport {
    /// Connects; answers the path of the daemon's gRPC socket, too.
    ///
    /// # Errors
    /// [`ClientError::Connect`]; [`ClientError::Refused`] when the daemon does not want another client, or not such a one.
    pub(crate) async fn connect(
        path: PathBuf,
        options: ShmOptions,
        patience: Duration,
    ) -> Result<(Self, PathBuf), ClientError> {
        let transport = Self(Arc::new(Inner {
            path,
            options,
            patience,
            current: RwLock::new(None),
            connecting: tokio::sync::Mutex::new(()),
        }));
        let connected = transport.handshake().await?;
        let grpc_socket = connected.grpc_socket.clone();
        transport.take(connected)?;
        Ok((transport, grpc_socket))
    }

    async fn handshake(&self) -> Result<Connected, ClientError> {
        let Inner {
            path,
            options,
            patience,
            ..
        } = &*self.0;
        let hello = Hello::new(options.ring_entries, options.arena_bytes);
        let (path, patience) = (path.clone(), *patience);
        let shaking =
            tokio::task::spawn_blocking(move || handshake::connect(&path, hello, patience));
        match tokio::time::timeout(patience, shaking).await {
            Ok(Ok(Ok(connected))) => Ok(connected),
            Ok(Ok(Err(ConnectError::Refused { code, sentence }))) => Err(ClientError::Refused {
                code: Code::from_i32(code.cast_signed()),
                message: sentence,
            }),
            Ok(Ok(Err(error))) => Err(self.refused(error)),
            Ok(Err(error)) => Err(self.refused(error)),
            Err(_) => Err(self.refused(format_args!("no answer within {patience:?}"))),
        }
    }

    fn refused(&self, reason: impl std::fmt::Display) -> ClientError {
        ClientError::Connect {
            address: Address::Shm(self.0.path.clone()),
            reason: reason.to_string(),
        }
    }

    fn take(&self, connected: Connected) -> Result<Arc<Connection>, ClientError> {
        let connection = Connection::start(connected, self.0.options.spin);
        let connection = connection.map_err(|error| self.refused(error))?;
        let mut current = self
            .0
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// The connection that stands.
    fn standing(&self) -> Option<Arc<Connection>> {
        let current = self.0.current.read();
        let current = current.unwrap_or_else(PoisonError::into_inner);
        let standing = current.as_ref().filter(|known| known.lost().is_none());
        standing.cloned()
    }

    async fn connection(&self) -> Result<Arc<Connection>, ClientError> {
        if let Some(connection) = self.standing() {
            return Ok(connection);
        }
        let _turn = self.0.connecting.lock().await;
        // Another may have made it meanwhile.
        if let Some(connection) = self.standing() {
            return Ok(connection);
        }
        let connected = self.handshake().await?;
        self.take(connected)
    }

    /// Makes a batch.
    ///
    /// # Errors
    /// [`ClientError::Connect`], [`ClientError::Lost`], [`ClientError::Refused`], [`ClientError::Protocol`]; entries fail
    /// alone.
    pub(crate) async fn batch<E: Entry>(
        &self,
        entries: &[E],
    ) -> Result<Batch<E::Outcome>, ClientError> {
        let connection = self.connection().await?;
        let (answer, stale) = connection.batch(entries).await?;
        if !stale {
            return Ok(answer);
        }
        // A name was taken again by a collection of another shape, and the answer had no room.
        Ok(connection.batch(entries).await?.0)
    }
}

impl Connection {
    /// Makes a batch; says, too, whether an entry was refused for what its collection was when it was opened.
    async fn batch<E: Entry>(
        &self,
        entries: &[E],
    ) -> Result<(Batch<E::Outcome>, bool), ClientError> {
        let unopened = self.open(entries).await?;
        let mut results: Vec<Option<Result<E::Outcome, ClientError>>> = Vec::new();
        let mut addressed: Vec<Addressed<'_, E>> = Vec::with_capacity(entries.len());
        {
            let names = self.names();
            for (index, entry) in entries.iter().enumerate() {
                let name = name_of(entry);
                let refused = name.and_then(|name| unopened.iter().find(|(of, _)| of == name));
                results.push(refused.map(|(_, why)| Err(entry_error(index, why.clone()))));
                if refused.is_none() {
                    let named = name.and_then(|name| names.get(name).cloned());
                    addressed.push((index, entry, named));
                }
            }
        }
        let mut stale = false;
        // Of no entries at all, the daemon says that there must be some.
        if !addressed.is_empty() || entries.is_empty() {
            let answers = self.answers(&addressed).await?;
            for ((index, entry, named), answer) in addressed.into_iter().zip(answers) {
                if let (Err(why), Some(name)) = (&answer, name_of(entry)) {
                    stale |= why.code == Code::InvalidArgument as u32
                        && self.is_stale(name, named.as_ref()).await?;
                }
                let answer = answer.map_err(|why| entry_error(index, why));
                if let Some(result) = results.get_mut(index) {
                    *result = Some(answer);
                }
            }
        }
        let results = results.into_iter().map(|result| {
            result.unwrap_or_else(|| Err(ClientError::protocol("an entry without an answer")))
        });
        let batch = Batch {
            results: results.collect(),
            boot_epoch: self.boot_epoch,
        };
        Ok((batch, stale))
    }

    /// Whether a name is now another collection's than when it was opened; then it is opened again.
    async fn is_stale(
        &self,
        name: &CollectionRef,
        named: Option<&Named>,
    ) -> Result<bool, ClientError> {
        let Some(before) = named else {
            return Ok(false);
        };
        self.names().forget(name);
        self.open_names(vec![name.clone()]).await?;
        let names = self.names();
        let now = names.get(name).map(|now| now.opened.generation);
        Ok(now.is_some_and(|now| now != before.opened.generation))
    }

    /// Opens what is not open of the collections of a batch; answers those that cannot be.
    async fn open<E: Entry>(
        &self,
        entries: &[E],
    ) -> Result<Vec<(CollectionRef, Failure)>, ClientError> {
        let mut unknown: Vec<CollectionRef> = Vec::new();
        {
            let names = self.names();
            for name in entries.iter().filter_map(name_of) {
                if names.get(name).is_none() && !unknown.contains(name) {
                    unknown.push(name.clone());
                }
            }
        }
        if unknown.is_empty() {
            return Ok(Vec::new());
        }
        self.open_names(unknown).await
    }

    async fn open_names(
        &self,
        unknown: Vec<CollectionRef>,
    ) -> Result<Vec<(CollectionRef, Failure)>, ClientError> {
        let ask = |name: &CollectionRef| body::Open {
            id: self.names().next_id(),
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            generation: name.generation,
        };
        let asked: Vec<body::Open> = unknown.iter().map(ask).collect();
        let answer_bytes = 1024 + 512 * asked.len() as u64;
        let request = body::encode(&asked);
        let completed = self
            .exchange(Operation::Open, &Tensors::at(0), &request, answer_bytes)
            .await?;
        let opened: Vec<Result<Opened, Failure>> = self.parsed(&completed, asked.len())?;
        let mut refused = Vec::new();
        let mut names = self.names();
        for ((name, asked), opened) in unknown.into_iter().zip(asked).zip(opened) {
            match opened {
                Ok(opened) => names.keep(
                    name,
                    Named {
                        id: asked.id,
                        opened,
                    },
                ),
                Err(why) => refused.push((name, why)),
            }
        }
        Ok(refused)
    }

    /// What the daemon answers to entries, in their order.
    async fn answers<E: Entry>(
        &self,
        entries: &[Addressed<'_, E>],
    ) -> Result<Vec<Result<E::Outcome, Failure>>, ClientError> {
        let most = self.arena.bytes();
        let answer_bytes = entries.iter().fold(1024, |sum: u64, (_, entry, named)| {
            let outcome = named
                .as_ref()
                .map_or(0, |named| entry.answer_bytes(&named.opened, most));
            sum.saturating_add(512).saturating_add(outcome)
        });
        let pack = |tensors: &mut Tensors| {
            let entry = |(_, entry, named): &Addressed<'_, E>| {
                entry.pack(named.as_ref().map_or(0, |named| named.id), tensors)
            };
            let entries: Vec<E::Body> = entries.iter().map(entry).collect();
            body::encode(&entries)
        };
        let mut tensors = Tensors::at(0);
        let request = pack(&mut tensors);
        let needed = tensors.used() + request.len() as u64 + answer_bytes;
        let held = self.hold_at_most(needed).await?;
        let start = held.block.region().offset;
        let (tensors, request) = if start == 0 {
            (tensors, request)
        } else {
            let mut tensors = Tensors::at(start);
            let request = pack(&mut tensors);
            (tensors, request)
        };
        let completed = self
            .exchange_in(held, E::OPERATION, &tensors, &request, answer_bytes)
            .await?;
        let answers: Vec<Result<E::Answer, Failure>> = self.parsed(&completed, entries.len())?;
        let outcome = |answer| match answer {
            Ok(answer) => E::outcome(answer, &self.memory).map(Ok),
            Err(why) => Ok(Err(why)),
        };
        answers.into_iter().map(outcome).collect()
    }

    async fn exchange(
        &self,
        operation: Operation,
        tensors: &Tensors,
        request: &[u8],
        answer_bytes: u64,
    ) -> Result<Completed, ClientError> {
        let needed = tensors.used() + request.len() as u64 + answer_bytes;
        let held = self.hold_at_most(needed).await?;
        self.exchange_in(held, operation, tensors, request, answer_bytes)
            .await
    }

    /// A block that has the parts of a call, each at a multiple of 8, if the arena has as much.
    async fn hold_at_most(&self, needed: u64) -> Result<Held, ClientError> {
        let needed = needed.saturating_add(16);
        let most = self.arena.bytes();
        if needed > most {
            let message = format!(
                "the batch is {needed} bytes with its answer: expected at most {most}, ShmOptions::arena_bytes"
            );
            return Err(ClientError::Refused {
                code: Code::InvalidArgument,
                message,
            });
        }
        self.hold(needed).await
    }

    async fn exchange_in(
        &self,
        held: Held,
        operation: Operation,
        tensors: &Tensors,
        request: &[u8],
        answer_bytes: u64,
    ) -> Result<Completed, ClientError> {
        for (at, data) in tensors.parts() {
            self.write(&held.block, *at, data)?;
        }
        let body_at = tensors.used().next_multiple_of(8);
        self.write(&held.block, body_at, request)?;
        let answer_at = (body_at + request.len() as u64).next_multiple_of(8);
        let start = held.block.region().offset;
        let submission = |call| Submission {
            call,
            operation,
            request: Region {
                offset: start + body_at,
                bytes: request.len() as u64,
            },
            answer: Region {
                offset: start + answer_at,
                bytes: answer_bytes / 8 * 8,
            },
        };
        let completed = self.call(held, submission).await?;
        if completed.completion.boot_epoch != self.boot_epoch {
            return Err(ClientError::protocol("an answer of another boot epoch"));
        }
        Ok(completed)
    }

    /// The answers to a batch of so many entries, or why there are none.
    fn parsed<T: body::Field>(
        &self,
        completed: &Completed,
        entries: usize,
    ) -> Result<Vec<Result<T, Failure>>, ClientError> {
        let malformed = |error: body::Malformed| ClientError::protocol(error.to_string());
        let body = completed.body(&self.memory)?;
        if completed.completion.failed {
            let Failure { code, message } = body::parse(&body).map_err(malformed)?;
            return Err(ClientError::Refused {
                code: Code::from_i32(code.cast_signed()),
                message,
            });
        }
        let answers: Vec<Result<T, Failure>> = body::parse(&body).map_err(malformed)?;
        if answers.len() == entries {
            Ok(answers)
        } else {
            let what = format!("{} results for {entries} entries", answers.len());
            Err(ClientError::protocol(what))
        }
    }
}

fn entry_error(index: usize, why: Failure) -> ClientError {
    let error = wire::EntryError {
        code: why.code.cast_signed(),
        message: why.message,
    };
    ClientError::entry(index, error)
}
