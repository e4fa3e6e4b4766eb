//! The calls of `CollectionsService`.

use crate::{Client, ClientError, wire};

impl Client {
    /// Makes an empty collection and describes it.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `AlreadyExists` when the name is taken, `InvalidArgument` with the field that is wrong.
    pub async fn create(
        &self,
        request: wire::CreateRequest,
    ) -> Result<wire::CollectionDescription, ClientError> {
        let mut collections = self.collections.clone();
        let answer = self
            .answered(collections.create(self.request(request)))
            .await?;
        described(answer.collection)
    }

    /// Describes a collection.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `NotFound`.
    pub async fn get(
        &self,
        collection: wire::CollectionRef,
    ) -> Result<wire::CollectionDescription, ClientError> {
        let message = wire::GetRequest {
            collection: Some(collection),
            ..Default::default()
        };
        let mut collections = self.collections.clone();
        let answer = self
            .answered(collections.get(self.request(message)))
            .await?;
        described(answer.collection)
    }

    /// Describes a collection that must be of the model `fingerprint`.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `NotFound`, or `FailedPrecondition` when it is another model's.
    pub async fn get_of_model(
        &self,
        collection: wire::CollectionRef,
        fingerprint: &str,
    ) -> Result<wire::CollectionDescription, ClientError> {
        let message = wire::GetRequest {
            collection: Some(collection),
            expected_fingerprint: fingerprint.to_owned(),
        };
        let mut collections = self.collections.clone();
        let answer = self
            .answered(collections.get(self.request(message)))
            .await?;
        described(answer.collection)
    }

    /// One page of collections.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn list(
        &self,
        request: wire::ListRequest,
    ) -> Result<wire::ListResponse, ClientError> {
        let mut collections = self.collections.clone();
        self.answered(collections.list(self.request(request))).await
    }

    /// All collections of a namespace ("*": of all) whose names begin with `name_prefix`, page by page.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn list_all(
        &self,
        namespace: &str,
        name_prefix: &str,
    ) -> Result<Vec<wire::CollectionDescription>, ClientError> {
        let mut request = wire::ListRequest {
            namespace: namespace.to_owned(),
            name_prefix: name_prefix.to_owned(),
            page_size: 1000,
            page_token: String::new(),
        };
        let mut collections = Vec::new();
        loop {
            let page = self.list(request.clone()).await?;
            collections.extend(page.collections);
            if page.next_page_token.is_empty() {
                return Ok(collections);
            }
            if page.next_page_token == request.page_token {
                return Err(ClientError::protocol(
                    "a page that names itself as the next",
                ));
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Removes a collection and all that it holds.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `NotFound`.
    pub async fn delete(
        &self,
        collection: wire::CollectionRef,
    ) -> Result<wire::DeleteResponse, ClientError> {
        let message = wire::DeleteRequest {
            collection: Some(collection),
        };
        let mut collections = self.collections.clone();
        self.answered(collections.delete(self.request(message)))
            .await
    }

    /// Drops the tokens from `length` on in every layer.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `OutOfRange` when no layer is that long, `NotFound`.
    pub async fn truncate(
        &self,
        collection: wire::CollectionRef,
        length: u32,
    ) -> Result<wire::TruncateResponse, ClientError> {
        let message = wire::TruncateRequest {
            collection: Some(collection),
            length,
        };
        let mut collections = self.collections.clone();
        self.answered(collections.truncate(self.request(message)))
            .await
    }

    /// Makes a collection that begins with another's first tokens, shares them with it, and describes it.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `NotFound`, `AlreadyExists` when the name is taken, `OutOfRange` when the source is shorter
    /// than the fork is to be.
    pub async fn fork(
        &self,
        request: wire::ForkRequest,
    ) -> Result<wire::CollectionDescription, ClientError> {
        let mut collections = self.collections.clone();
        let answer = self
            .answered(collections.fork(self.request(request)))
            .await?;
        described(answer.collection)
    }
}

fn described(
    collection: Option<wire::CollectionDescription>,
) -> Result<wire::CollectionDescription, ClientError> {
    collection.ok_or_else(|| ClientError::protocol("no description of the collection"))
}
