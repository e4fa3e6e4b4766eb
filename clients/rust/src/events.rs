//! Events: a call whose answer goes on as things happen.

use tonic::{Request, Streaming};

use crate::{Client, ClientError, wire};

/// What happens in the daemon, one after the other. The call ends when this is dropped.
#[derive(Debug)]
pub struct Events(Streaming<wire::EventsResponse>);

impl Client {
    /// Has the daemon tell what happened, and go on with what happens where the request wants to follow. The deadline of calls
    /// is that of the first word: an event may be long in coming.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `InvalidArgument` when the daemon has not come to `after_sequence`.
    pub async fn events(&self, request: wire::EventsRequest) -> Result<Events, ClientError> {
        let request = Request::new(request);
        let told = self.answered(self.admin.clone().events(request)).await?;
        Ok(Events(told))
    }
}

impl Events {
    /// The next word; none after the last, or when the daemon stops.
    ///
    /// # Errors
    /// [`ClientError::Lost`].
    pub async fn next(&mut self) -> Result<Option<wire::EventsResponse>, ClientError> {
        Ok(self.0.message().await?)
    }
}
