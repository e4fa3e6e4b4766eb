//! A connection to a daemon.

use std::time::Duration;

use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Response, Status};

use crate::error::innermost;
use crate::shm::{ShmOptions, Transport};
use crate::wire::admin_service_client::AdminServiceClient;
use crate::wire::collections_service_client::CollectionsServiceClient;
use crate::wire::data_service_client::DataServiceClient;
use crate::{Address, ClientError, wire};

/// Between the first two tries to reach a daemon that is away, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How to connect, and what to allow a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectOptions {
    /// For the connection to stand.
    pub connect_timeout: Duration,
    /// For each call, from its start to its answer. None: as long as it takes, but for a daemon that is silent.
    pub deadline: Option<Duration>,
    /// How long a daemon that is asked whether it is there may be silent while a call waits, before the connection is given up
    /// as lost. It is asked as often. A daemon that computes is not silent. Over gRPC: in shared memory, a deadline ends a call
    /// that a frozen daemon does not answer.
    pub silence: Duration,
    /// Largest answer over gRPC that is accepted. How large a request may be is the daemon's to say.
    pub message_bytes: usize,
    /// How long a call of the data plane, each of which can be repeated, tries again after the daemon was not there or not
    /// ready, with growing pauses and within its deadline: so it goes on after a restart. Zero: such a call fails at once
    /// ([`ClientError::Lost`], [`ClientError::Connect`]), and the next one connects again.
    pub wait_for_restart: Duration,
    /// Of a connection over shared memory.
    pub shm: ShmOptions,
}

impl Default for ConnectOptions {
    /// 5 s to connect, no deadline, 20 s of silence, 64 MiB, no wait for a restart.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            deadline: None,
            silence: Duration::from_secs(20),
            message_bytes: 64 << 20,
            wait_for_restart: Duration::ZERO,
            shm: ShmOptions::default(),
        }
    }
}

/// A connection to a daemon. Clones share it; calls run side by side.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) collections: CollectionsServiceClient<Channel>,
    pub(crate) data: DataServiceClient<Channel>,
    pub(crate) admin: AdminServiceClient<Channel>,
    /// Of the data plane, where it does not go over gRPC.
    pub(crate) shm: Option<Transport>,
    pub(crate) options: ConnectOptions,
    /// Of the trace that its calls are of.
    trace_parent: Option<MetadataValue<Ascii>>,
}

impl Client {
    /// Connects with the default [`ConnectOptions`].
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub async fn connect(address: &Address) -> Result<Self, ClientError> {
        Self::connect_with(address, ConnectOptions::default()).await
    }

    /// Connects. Over shared memory, all calls but those of the data plane go to the daemon's Unix socket, which it names.
    ///
    /// # Errors
    /// [`ClientError::Connect`]; [`ClientError::Refused`] when the daemon has no shared memory for this client, or not so
    /// much.
    pub async fn connect_with(
        address: &Address,
        options: ConnectOptions,
    ) -> Result<Self, ClientError> {
        let Address::Shm(path) = address else {
            let channel = channel(address, options).await?;
            return Ok(Self::over(channel, None, options));
        };
        let (path, patience) = (path.clone(), options.connect_timeout);
        let (shm, grpc_socket) = Transport::connect(path, options.shm, patience).await?;
        let refuse = |error: tonic::transport::Error| ClientError::Connect {
            address: address.clone(),
            reason: innermost(&error),
        };
        let endpoint = endpoint(&Address::Unix(grpc_socket), options).map_err(refuse)?;
        let channel = endpoint.connect_lazy();
        Ok(Self::over(channel, Some(shm), options))
    }

    fn over(channel: Channel, shm: Option<Transport>, options: ConnectOptions) -> Self {
        let bytes = options.message_bytes;
        Self {
            collections: CollectionsServiceClient::new(channel.clone())
                .max_decoding_message_size(bytes),
            data: DataServiceClient::new(channel.clone()).max_decoding_message_size(bytes),
            admin: AdminServiceClient::new(channel).max_decoding_message_size(bytes),
            shm,
            options,
            trace_parent: None,
        }
    }

    /// The same connection with another deadline for each call.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Option<Duration>) -> Self {
        self.options.deadline = deadline;
        self
    }

    /// The same connection for calls of a trace, as W3C Trace Context names it (`00-…-…-01`): where the daemon sends traces to
    /// a collector, its spans go on there. Calls over shared memory do not say it.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with `InvalidArgument` when it cannot be sent.
    pub fn with_trace_parent(mut self, trace_parent: &str) -> Result<Self, ClientError> {
        let named = trace_parent.parse().map_err(|_| ClientError::Refused {
            code: Code::InvalidArgument,
            message: format!("trace_parent is {trace_parent:?}: expected visible ASCII"),
        })?;
        self.trace_parent = Some(named);
        Ok(self)
    }

    /// Whether the daemon is well and, if not, why. One that opens its collections answers too.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn health(&self) -> Result<wire::HealthResponse, ClientError> {
        let request = self.request(wire::HealthRequest {});
        self.answered(self.admin.clone().health(request)).await
    }

    /// Sizes of the daemon, or of one collection when it is named.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn stats(
        &self,
        collection: Option<wire::CollectionRef>,
    ) -> Result<wire::StatsResponse, ClientError> {
        let request = self.request(wire::StatsRequest { collection });
        self.answered(self.admin.clone().stats(request)).await
    }

    /// What a collection is made of, and how its queries find it.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `NotFound`.
    pub async fn describe(
        &self,
        collection: wire::CollectionRef,
    ) -> Result<wire::DescribeResponse, ClientError> {
        let request = self.request(wire::DescribeRequest {
            collection: Some(collection),
        });
        self.answered(self.admin.clone().describe(request)).await
    }

    /// The settings that hold in the daemon, and those of one that nothing is set of.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn config(&self) -> Result<wire::ConfigResponse, ClientError> {
        let request = self.request(wire::ConfigRequest {});
        self.answered(self.admin.clone().config(request)).await
    }

    /// What the daemon has done since its start, and what was done with at most `busiest` of the collections used last.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `InvalidArgument` when `busiest` is above 100.
    pub async fn activity(&self, busiest: u32) -> Result<wire::ActivityResponse, ClientError> {
        let request = self.request(wire::ActivityRequest { busiest });
        self.answered(self.admin.clone().activity(request)).await
    }

    /// Says where the K, V and codes of a collection are to be; what is pinned is so until the daemon ends.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `ResourceExhausted` where there is no room in memory for what is promoted or pinned.
    pub async fn place(
        &self,
        collection: wire::CollectionRef,
        placement: wire::Placement,
    ) -> Result<wire::PlaceResponse, ClientError> {
        let request = self.request(wire::PlaceRequest {
            collection: Some(collection),
            placement: placement.into(),
        });
        self.answered(self.admin.clone().place(request)).await
    }

    /// The answer to a call, all of it within this client's deadline: the transport's own ends with the first byte.
    pub(crate) async fn answered<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, ClientError> {
        let Some(deadline) = self.options.deadline else {
            return Ok(call.await?.into_inner());
        };
        match tokio::time::timeout(deadline, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => {
                let error = ClientError::from(status);
                // So say the transport and the daemon when the deadline of a request passes.
                let late_there = error.code() == Some(Code::Cancelled);
                Err(if late_there { late(deadline) } else { error })
            }
            Err(_) => Err(late(deadline)),
        }
    }

    /// The answer to a call that can be repeated, all of it within this client's deadline.
    pub(crate) async fn repeated<T, F>(&self, call: impl FnMut() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let answer = repeated(self.options.wait_for_restart, call);
        let Some(deadline) = self.options.deadline else {
            return answer.await;
        };
        let answer = tokio::time::timeout(deadline, answer).await;
        answer.unwrap_or_else(|_| Err(late(deadline)))
    }

    /// A request with this client's deadline.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(deadline) = self.options.deadline {
            request.set_timeout(deadline);
        }
        if let Some(trace_parent) = &self.trace_parent {
            let metadata = request.metadata_mut();
            metadata.insert("traceparent", trace_parent.clone());
        }
        request
    }
}

/// Makes a call again while the daemon is away or not ready, for as long as `patience`.
async fn repeated<T, F>(patience: Duration, mut call: impl FnMut() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    if patience.is_zero() {
        return call().await;
    }
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match call().await {
            Err(error) if error.passes_with_a_restart() && start.elapsed() < patience => {
                tokio::time::sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
            answered => return answered,
        }
    }
}

fn late(deadline: Duration) -> ClientError {
    ClientError::Refused {
        code: Code::DeadlineExceeded,
        message: format!("the answer took longer than {deadline:?}"),
    }
}

/// Who is not trusted, or is no such host, is refused when the connection is made.
fn endpoint(
    address: &Address,
    options: ConnectOptions,
) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(address.to_string())?
        .tcp_nodelay(true)
        .http2_keep_alive_interval(options.silence)
        .keep_alive_timeout(options.silence);
    match address {
        Address::Https(_) => endpoint.tls_config(ClientTlsConfig::new().with_native_roots()),
        Address::Unix(_) | Address::Http(_) | Address::Shm(_) => Ok(endpoint),
    }
}

/// A channel that stands.
async fn channel(address: &Address, options: ConnectOptions) -> Result<Channel, ClientError> {
    let refuse = |reason| ClientError::Connect {
        address: address.clone(),
        reason,
    };
    let endpoint = endpoint(address, options).map_err(|error| refuse(innermost(&error)))?;
    // Endpoint's own connect_timeout does not cover the HTTP/2 handshake.
    tokio::time::timeout(options.connect_timeout, endpoint.connect())
        .await
        .map_err(|_| refuse(format!("no answer within {:?}", options.connect_timeout)))?
        .map_err(|error| refuse(innermost(&error)))
}
