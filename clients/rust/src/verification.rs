//! Verify: a call whose answer comes in words, as they are found.

use tonic::{Request, Response, Streaming};

use crate::{Client, ClientError, wire};

/// What a verification tells. It ends when this is dropped.
#[derive(Debug)]
pub struct Verification {
    client: Client,
    told: Streaming<wire::VerifyResponse>,
}

impl Client {
    /// Has one collection verified, or all. The deadline of calls is that of each word of the answer.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `NotFound`; `ResourceExhausted` when too many verifications run.
    pub async fn verify(
        &self,
        collection: Option<wire::CollectionRef>,
    ) -> Result<Verification, ClientError> {
        let request = Request::new(wire::VerifyRequest { collection });
        let told = self.answered(self.admin.clone().verify(request)).await?;
        let client = self.clone();
        Ok(Verification { client, told })
    }
}

impl Verification {
    /// The next word; none after the last.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `Unavailable` when the daemon stops; [`ClientError::Lost`].
    pub async fn next(&mut self) -> Result<Option<wire::VerifyResponse>, ClientError> {
        let Self { client, told } = self;
        let next = async { told.message().await.map(Response::new) };
        client.answered(next).await
    }
}
