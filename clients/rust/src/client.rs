//! A connection to a daemon.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use crate::error::innermost;
use crate::wire::admin_service_client::AdminServiceClient;
use crate::wire::collections_service_client::CollectionsServiceClient;
use crate::wire::data_service_client::DataServiceClient;
use crate::{Address, ClientError, wire};

/// How to connect, and what to allow a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectOptions {
    /// For the connection to stand.
    pub connect_timeout: Duration,
    /// For each call, from its start to its answer. None: as long as it takes, but for a daemon that is silent.
    pub deadline: Option<Duration>,
    /// How long a daemon that is asked whether it is there may be silent while a call waits, before the connection is given up
    /// as lost. It is asked as often. A daemon that computes is not silent.
    pub silence: Duration,
    /// Largest answer that is accepted. How large a request may be is the daemon's to say.
    pub message_bytes: usize,
}

impl Default for ConnectOptions {
    /// 5 s to connect, no deadline, 20 s of silence, 64 MiB.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            deadline: None,
            silence: Duration::from_secs(20),
            message_bytes: 64 << 20,
        }
    }
}

/// A connection to a daemon. Clones share it; calls run side by side.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) collections: CollectionsServiceClient<Channel>,
    pub(crate) data: DataServiceClient<Channel>,
    pub(crate) admin: AdminServiceClient<Channel>,
    options: ConnectOptions,
}

impl Client {
    /// Connects with the default [`ConnectOptions`].
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub async fn connect(address: &Address) -> Result<Self, ClientError> {
        Self::connect_with(address, ConnectOptions::default()).await
    }

    /// Connects.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub async fn connect_with(
        address: &Address,
        options: ConnectOptions,
    ) -> Result<Self, ClientError> {
        let refuse = |reason| ClientError::Connect {
            address: address.clone(),
            reason,
        };
        let endpoint = Endpoint::from_shared(address.to_string())
            .map_err(|error| refuse(innermost(&error)))?
            .tcp_nodelay(true)
            .http2_keep_alive_interval(options.silence)
            .keep_alive_timeout(options.silence);
        // Endpoint's own connect_timeout does not cover the HTTP/2 handshake.
        let channel = tokio::time::timeout(options.connect_timeout, endpoint.connect())
            .await
            .map_err(|_| refuse(format!("no answer within {:?}", options.connect_timeout)))?
            .map_err(|error| refuse(innermost(&error)))?;
        let bytes = options.message_bytes;
        Ok(Self {
            collections: CollectionsServiceClient::new(channel.clone())
                .max_decoding_message_size(bytes),
            data: DataServiceClient::new(channel.clone()).max_decoding_message_size(bytes),
            admin: AdminServiceClient::new(channel).max_decoding_message_size(bytes),
            options,
        })
    }

    /// The same connection with another deadline for each call.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Option<Duration>) -> Self {
        self.options.deadline = deadline;
        self
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
        let late = || ClientError::Refused {
            code: Code::DeadlineExceeded,
            message: format!("the answer took longer than {deadline:?}"),
        };
        match tokio::time::timeout(deadline, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            // So say the transport and the daemon when the deadline of a request passes.
            Ok(Err(status)) if status.code() == Code::Cancelled => Err(late()),
            Ok(Err(status)) => Err(status.into()),
            Err(_) => Err(late()),
        }
    }

    /// A request with this client's deadline.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(deadline) = self.options.deadline {
            request.set_timeout(deadline);
        }
        request
    }
}
