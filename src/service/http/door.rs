//! The listener and its connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::guard::Guard;
use super::routes;
use crate::service::health::Health;
use crate::service::listen::{self, ListenError};
use crate::telemetry::metrics::Metrics;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 64;
/// How long a connection may be without a request.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries when the system has no descriptors for another connection.
const PAUSE: Duration = Duration::from_millis(100);
/// How long answers may take to leave when the daemon ends.
const FAREWELL: Duration = Duration::from_millis(500);

/// Where HTTP is answered, and to whom.
#[derive(Clone, Copy, Debug)]
pub struct HttpSettings {
    /// The address.
    pub listen: SocketAddr,
    /// Requests may be for a host of any name.
    pub any_host: bool,
    /// Whether there is a page that shows what the daemon holds.
    pub inspector: bool,
}

/// The bound socket.
#[derive(Debug)]
pub(in crate::service) struct Door {
    listener: TcpListener,
    address: SocketAddr,
    guard: Guard,
    inspector: bool,
}

impl Door {
    /// Binds the socket.
    ///
    /// # Errors
    /// [`ListenError`].
    pub(in crate::service) async fn bind(settings: HttpSettings) -> Result<Self, ListenError> {
        let (listener, address) = listen::bound("http.listen", settings.listen).await?;
        Ok(Self {
            listener,
            address,
            guard: Guard {
                any_host: settings.any_host,
            },
            inspector: settings.inspector,
        })
    }

    /// Answers until `stop`, and then a moment longer, for answers that are on their way.
    pub(in crate::service) async fn serve(
        self,
        health: Health,
        metrics: Arc<Metrics>,
        stop: impl Future<Output = ()>,
    ) {
        tracing::info!(address = %self.address, inspector = self.inspector, "listening on HTTP");
        let connections = GracefulShutdown::new();
        let router = routes::router(health, metrics, self.inspector);
        let accepting = accept(&self.listener, self.guard, &router, &connections);
        tokio::select! {
            () = stop => {}
            () = accepting => {}
        }
        // Whoever has not read its answer by then is cut off.
        let _ = tokio::time::timeout(FAREWELL, connections.shutdown()).await;
    }
}

/// Takes connections and never ends.
async fn accept(
    listener: &TcpListener,
    guard: Guard,
    router: &Router,
    connections: &GracefulShutdown,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Nobody closes it.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = connections.watch(connection(stream, guard, router.clone()));
                tokio::spawn(async move {
                    // A client that breaks off or talks no HTTP is no matter of ours.
                    let _ = connection.await.inspect_err(|error| {
                        tracing::debug!(%error, "a connection of HTTP ended");
                    });
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to http.listen was not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// A connection that is served while it is polled.
fn connection(
    stream: TcpStream,
    guard: Guard,
    router: Router,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(guard.answer(router, request.map(Body::new)).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
}
