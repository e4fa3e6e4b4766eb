//! Calls that come while the daemon opens its collections: they wait for it a little, and are then refused.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use crate::model::{Error, ErrorKind};
use crate::service::status::status;

/// How long a call waits. A daemon with little to open is ready by then, and a client that has just seen its socket need
/// not ask twice; of one with much to open, the client should know.
const WAIT: Duration = Duration::from_secs(2);

/// What those hear who come too early.
const NOT_READY: &str = "the daemon is opening its collections: expected a call after it is ready, which its health service \
                         tells";

/// The calls that are answered at any time: those that tell an operator how the daemon is, what happens in it, what it does
/// and what it was told to do, which somebody wants to know most while it is not ready. None of them needs a collection.
const ALWAYS_ANSWERED: [&str; 4] = [
    "/wavekv.v1.AdminService/Health",
    "/wavekv.v1.AdminService/Events",
    "/wavekv.v1.AdminService/Config",
    "/wavekv.v1.AdminService/Activity",
];

/// Lets calls in once the daemon is ready.
#[derive(Clone, Debug)]
pub(super) struct Readiness(watch::Receiver<bool>);

impl Readiness {
    /// Not ready until `true` is sent.
    pub(super) fn new() -> (watch::Sender<bool>, Self) {
        let (ready, readiness) = watch::channel(false);
        (ready, Self(readiness))
    }

    /// Waits a little for the daemon to be ready.
    ///
    /// # Errors
    /// `Unavailable` when it is not.
    pub(super) async fn wait(&mut self) -> Result<(), Error> {
        let ready = tokio::time::timeout(WAIT, self.0.wait_for(|ready| *ready)).await;
        match ready {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::new(ErrorKind::Unavailable, NOT_READY)),
        }
    }
}

impl<S> Layer<S> for Readiness {
    type Service = Gated<S>;

    fn layer(&self, service: S) -> Gated<S> {
        Gated {
            service,
            readiness: self.clone(),
        }
    }
}

/// A service that is asked when the daemon is ready.
#[derive(Clone, Debug)]
pub(super) struct Gated<S> {
    service: S,
    readiness: Readiness,
}

impl<S, R, B> Service<Request<R>> for Gated<S>
where
    S: Service<Request<R>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
    R: Send + 'static,
    B: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        // The one that was asked whether it is ready must be the one that is called.
        let rest = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, rest);
        let mut readiness = self.readiness.clone();
        Box::pin(async move {
            if ALWAYS_ANSWERED.contains(&request.uri().path()) {
                return service.call(request).await;
            }
            match readiness.wait().await {
                Ok(()) => service.call(request).await,
                Err(error) => Ok(status(&error).into_http()),
            }
        })
    }
}
