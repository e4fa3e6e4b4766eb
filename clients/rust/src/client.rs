//! A connection to a daemon.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

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
    /// For each call, from its start to its answer. None: as long as it takes.
    pub deadline: Option<Duration>,
    /// Largest answer that is accepted. How large a request may be is the daemon's to say.
    pub message_bytes: usize,
}

impl Default for ConnectOptions {
    /// 5 s to connect, no deadline, 64 MiB.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            deadline: None,
            message_bytes: 64 << 20,
        }
    }
}

/// A connection to a daemon. Clones share it; calls run side by side.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) collections: CollectionsServiceClient<Channel>,
    pub(crate) data: DataServiceClient<Channel>,
    admin: AdminServiceClient<Channel>,
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
            .tcp_nodelay(true);
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
        Ok(self.admin.clone().stats(request).await?.into_inner())
    }

    /// A request with this client's deadline.
    pub(crate) fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Some(deadline) = self.options.deadline {
            request.set_timeout(deadline);
        }
        request
    }
}
