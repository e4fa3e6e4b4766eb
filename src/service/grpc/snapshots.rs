//! The calls of `AdminService` that make, restore, list and remove snapshots.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio_stream::Stream;
use tonic::Status;
use wavekv_proto::v1::{
    DeleteSnapshotRequest, DeleteSnapshotResponse, ListSnapshotsRequest, ListSnapshotsResponse,
    Progress, RestoreRequest, RestoreResponse, SnapshotRequest, SnapshotResponse, restore_response,
    snapshot_response,
};

use crate::collection;
use crate::engine::Engine;
use crate::engine::snapshots::Begun;
use crate::model::{Error, Invalid, SnapshotName};
use crate::service::status::status;
use crate::service::{page, validate, wire};

/// A stream of answers.
pub(super) type Answers<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// How far something is, and last what it comes to, each as a message.
struct Telling<T, M> {
    begun: Begun<T>,
    tell: Box<dyn Fn(Told<T>) -> M + Send>,
    has_ended: bool,
}

/// What there is to tell.
enum Told<T> {
    Progress(Progress),
    End(T),
}

/// Says how far it is, until it is done.
fn telling<T: Send + 'static, M: 'static>(
    begun: Begun<T>,
    tell: impl Fn(Told<T>) -> M + Send + 'static,
) -> Answers<M> {
    Box::pin(Telling {
        begun,
        tell: Box::new(tell),
        has_ended: false,
    })
}

impl<T, M> Stream for Telling<T, M> {
    type Item = Result<M, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<M, Status>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        // Its end is told after all that was said before it.
        if let Some(progress) = ready!(self.begun.progress.poll_recv(context)) {
            let collection::snapshots::Progress {
                done_bytes,
                total_bytes,
            } = progress;
            let told = Told::Progress(Progress {
                done_bytes,
                total_bytes,
            });
            return Poll::Ready(Some(Ok((self.tell)(told))));
        }
        let end = ready!(Pin::new(&mut self.begun.end).poll(context));
        self.has_ended = true;
        let end = end.map_err(Error::internal).and_then(|end| end);
        let told = end.map(|end| (self.tell)(Told::End(end)));
        Poll::Ready(Some(told.map_err(|error| status(&error))))
    }
}

pub(super) fn take(
    engine: &Engine,
    request: &SnapshotRequest,
) -> Result<Answers<SnapshotResponse>, Error> {
    use snapshot_response::What;
    let (name, generation) = validate::collection(request.collection.as_ref())?;
    let snapshot = SnapshotName::new(&request.snapshot)?;
    let begun = engine.take_snapshot((&name, generation), snapshot)?;
    let boot_epoch = engine.boot_epoch().0;
    Ok(telling(begun, move |told| SnapshotResponse {
        boot_epoch,
        what: Some(match told {
            Told::Progress(progress) => What::Progress(progress),
            Told::End(snapshot) => What::Snapshot(wire::snapshot(snapshot)),
        }),
    }))
}

pub(super) fn restore(
    engine: &Arc<Engine>,
    request: &RestoreRequest,
) -> Result<Answers<RestoreResponse>, Error> {
    use restore_response::What;
    let snapshot = SnapshotName::new(&request.snapshot)?;
    let name = validate::collection_to_be(request.collection.as_ref())?;
    let begun = engine.restore(snapshot, name)?;
    let boot_epoch = engine.boot_epoch().0;
    Ok(telling(begun, move |told| RestoreResponse {
        boot_epoch,
        what: Some(match told {
            Told::Progress(progress) => What::Progress(progress),
            Told::End(collection) => What::Collection(wire::description(&collection)),
        }),
    }))
}

pub(super) fn list(
    engine: &Engine,
    request: &ListSnapshotsRequest,
) -> Result<ListSnapshotsResponse, Error> {
    let size = validate::page_size("page_size", request.page_size)?;
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(SnapshotName::new(token).map_err(|refused| {
            Invalid::new(
                "page_token",
                refused.value,
                "one that ListSnapshots has answered",
            )
        })?),
    };
    let mut found = engine.list_snapshots(after.as_ref(), size.saturating_add(1))?;
    let next = page::cut(&mut found, size).map(|last| last.name.clone());
    Ok(ListSnapshotsResponse {
        next_page_token: next.unwrap_or_default(),
        snapshots: found.into_iter().map(wire::snapshot).collect(),
        boot_epoch: engine.boot_epoch().0,
    })
}

pub(super) async fn delete(
    engine: &Engine,
    request: &DeleteSnapshotRequest,
) -> Result<DeleteSnapshotResponse, Error> {
    let begun = engine.delete_snapshot(SnapshotName::new(&request.snapshot)?)?;
    begun.end.await.map_err(Error::internal)??;
    Ok(DeleteSnapshotResponse {
        boot_epoch: engine.boot_epoch().0,
    })
}
