//! The calls of `AdminService` on snapshots.

use tonic::{Request, Response, Status, Streaming};

use crate::wire::{restore_response, snapshot_response};
use crate::{Client, ClientError, wire};

/// A message of an answer that says how far a call is, or what it came to.
enum Told<T> {
    Progress(wire::Progress),
    End(T),
}

impl Client {
    /// Makes a snapshot of a collection, and describes it. `see` is told how far it is. Dropped, the call is given up.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `NotFound`, `AlreadyExists` when the name is taken, `FailedPrecondition` when the daemon has no
    /// directory for snapshots.
    pub async fn snapshot(
        &self,
        collection: wire::CollectionRef,
        snapshot: &str,
        see: impl FnMut(wire::Progress),
    ) -> Result<wire::SnapshotDescription, ClientError> {
        use snapshot_response::What;
        let request = self.request(wire::SnapshotRequest {
            collection: Some(collection),
            snapshot: snapshot.to_owned(),
        });
        let told = |message: wire::SnapshotResponse| {
            Some(match message.what? {
                What::Progress(progress) => Told::Progress(progress),
                What::Snapshot(snapshot) => Told::End(snapshot),
            })
        };
        let mut admin = self.admin.clone();
        let call = async { to_the_end(admin.snapshot(request).await?, told, see).await };
        self.answered(call).await
    }

    /// Makes a collection of a snapshot, under its old name where none is given, and describes it. `see` is told how far it is.
    /// Dropped, the call is given up.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `NotFound`, `AlreadyExists` when the name of the collection is taken, `DataLoss` naming the file
    /// of the snapshot that is damaged, `FailedPrecondition` when the daemon has no directory for snapshots.
    pub async fn restore(
        &self,
        snapshot: &str,
        collection: Option<wire::CollectionRef>,
        see: impl FnMut(wire::Progress),
    ) -> Result<wire::CollectionDescription, ClientError> {
        use restore_response::What;
        let request = self.request(wire::RestoreRequest {
            snapshot: snapshot.to_owned(),
            collection,
        });
        let told = |message: wire::RestoreResponse| {
            Some(match message.what? {
                What::Progress(progress) => Told::Progress(progress),
                What::Collection(collection) => Told::End(collection),
            })
        };
        let mut admin = self.admin.clone();
        let call = async { to_the_end(admin.restore(request).await?, told, see).await };
        self.answered(call).await
    }

    /// All snapshots, page by page.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub async fn list_snapshots(&self) -> Result<Vec<wire::SnapshotDescription>, ClientError> {
        let mut request = wire::ListSnapshotsRequest {
            page_size: 1000,
            page_token: String::new(),
        };
        let mut snapshots = Vec::new();
        loop {
            let call = self.request(request.clone());
            let page = self
                .answered(self.admin.clone().list_snapshots(call))
                .await?;
            snapshots.extend(page.snapshots);
            if page.next_page_token.is_empty() {
                return Ok(snapshots);
            }
            if page.next_page_token == request.page_token {
                return Err(ClientError::protocol(
                    "a page that names itself as the next",
                ));
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Removes a snapshot.
    ///
    /// # Errors
    /// [`ClientError::Refused`]: `NotFound`.
    pub async fn delete_snapshot(
        &self,
        snapshot: &str,
    ) -> Result<wire::DeleteSnapshotResponse, ClientError> {
        let request: Request<_> = self.request(wire::DeleteSnapshotRequest {
            snapshot: snapshot.to_owned(),
        });
        self.answered(self.admin.clone().delete_snapshot(request))
            .await
    }
}

/// Reads a stream of answers to its last one.
async fn to_the_end<M, T>(
    answer: Response<Streaming<M>>,
    told: impl Fn(M) -> Option<Told<T>>,
    mut see: impl FnMut(wire::Progress),
) -> Result<Response<T>, Status> {
    let mut messages = answer.into_inner();
    while let Some(message) = messages.message().await? {
        match told(message) {
            Some(Told::Progress(progress)) => see(progress),
            Some(Told::End(end)) => return Ok(Response::new(end)),
            None => {}
        }
    }
    Err(Status::unknown("the answer ended before the call did"))
}
