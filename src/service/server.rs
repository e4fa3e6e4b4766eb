//! Serving: the services, health and reflection on every listener, until told to stop. The services answer when the
//! collections are open; health says so.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic::transport::Server as Transport;
use tonic::transport::server::TcpIncoming;
use tonic_health::server::HealthReporter;
use tower::util::MapRequestLayer;
use wavekv_proto::v1::admin_service_server::AdminServiceServer;
use wavekv_proto::v1::collections_service_server::CollectionsServiceServer;
use wavekv_proto::v1::data_service_server::DataServiceServer;

use crate::engine::Engine;
use crate::service::about::About;
use crate::service::calls::Calls;
use crate::service::grpc::{Admin, Collections, DataPlane};
use crate::service::health::{Health, Phase};
use crate::service::http::{self, HttpSettings};
use crate::service::listen::{self, ListenError, PRIVATE, SocketFile, TlsFiles, UnixSocket};
use crate::service::message_size::limited;
use crate::service::readiness::Readiness;
use crate::service::shm::{Door, ShmSettings};
use crate::telemetry::metrics::Metrics;

/// A connection that is silent this long is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long a client without a call may take to notice that the daemon stops, and the end of an answer to be read.
const FAREWELL: Duration = Duration::from_secs(2);

/// Where to listen and how to stop.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// TCP, if at all.
    pub listen: Option<SocketAddr>,
    /// What TCP is encrypted with, if at all.
    pub tls: Option<TlsFiles>,
    /// The Unix socket.
    pub unix_socket: PathBuf,
    /// Largest message in either direction, bytes.
    pub max_message_bytes: usize,
    /// Shared memory, if at all.
    pub shm: Option<ShmSettings>,
    /// HTTP, if at all.
    pub http: Option<HttpSettings>,
    /// How long calls in progress may go on after the stop.
    pub shutdown_grace: Duration,
}

/// Why the daemon does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A socket was not opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A listener broke.
    #[error("serving failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The reflection service refused our own contract.
    #[error("the contract cannot be served for reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// The TCP listener, and what serves it.
#[derive(Debug)]
struct Tcp {
    incoming: TcpIncoming,
    address: SocketAddr,
    server: Transport,
}

/// Open sockets, ready to serve.
#[derive(Debug)]
pub struct Server {
    settings: ServerSettings,
    tcp: Option<Tcp>,
    unix: UnixSocket,
    shm: Option<Door>,
    http: Option<http::Door>,
}

impl Server {
    /// Opens the sockets.
    ///
    /// # Errors
    /// [`ListenError`] naming the setting that cannot be had.
    pub async fn bind(settings: ServerSettings) -> Result<Self, ListenError> {
        let tcp = match settings.listen {
            Some(address) => {
                let server = match &settings.tls {
                    Some(files) => files.applied(transport())?,
                    None => transport(),
                };
                let (incoming, address) = listen::tcp(address).await?;
                Some(Tcp {
                    incoming,
                    address,
                    server,
                })
            }
            None => None,
        };
        let unix = UnixSocket::bind("grpc.unix_socket", &settings.unix_socket, PRIVATE)?;
        let shm = settings.shm.clone().map(Door::bind).transpose()?;
        let http = match settings.http {
            Some(settings) => Some(http::Door::bind(settings).await?),
            None => None,
        };
        Ok(Self {
            settings,
            tcp,
            unix,
            shm,
            http,
        })
    }

    /// Serves until `stop` completes, then lets the calls in progress finish. When the collections are open, it says so by `on_ready`.
    ///
    /// # Errors
    /// [`ServeError`] when a listener breaks.
    pub async fn serve(
        mut self,
        engine: Arc<Engine>,
        metrics: Arc<Metrics>,
        about: About,
        on_ready: impl FnOnce(),
        stop: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let (reporter, reporting) = tonic_health::server::health_reporter();
        let calls = Calls::new(metrics);
        let (ready, readiness) = Readiness::new();
        let (phase, phases) = watch::channel(Phase::Opening);
        let health = Health::new(Arc::clone(&engine), phases);
        let (most, grace) = (
            self.settings.max_message_bytes,
            self.settings.shutdown_grace,
        );
        let (stopping, stopped) = watch::channel(false);
        let admin = Admin {
            engine: Arc::clone(&engine),
            about: Arc::new(about),
            stopped: stopped.clone(),
            health: health.clone(),
            metrics: Arc::clone(calls.metrics()),
        };
        let routes = routes(admin, most, &calls, &readiness)?.add_service(reporting);
        set_not_serving(&reporter).await;
        let (ending, over) = watch::channel(false);
        // Who watches over the daemon is answered until the last call is.
        let mut watched = JoinSet::new();
        if let Some(door) = self.http.take() {
            let metrics = Arc::clone(calls.metrics());
            watched.spawn(door.serve(health, metrics, told(over)));
        }
        let (mut listening, file) = self.listen(routes, &engine, &calls, readiness, stopped);
        let opening = open(&engine, &ready, &phase, &reporter, on_ready);
        let expiring = Arc::clone(&engine).delete_expired_from_now_on();
        tokio::pin!(stop, opening, expiring);
        let mut opened = false;
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = &mut opening, if !opened => opened = true,
                () = &mut expiring, if opened => {}
                broken = listening.join_next() => return ended(broken),
            }
        }
        phase.send_replace(Phase::Stopping);
        if !opened {
            engine.stop_opening();
            // Whatever is not opened by then is opened at the next start.
            let _ = tokio::time::timeout(grace, opening).await;
        }
        engine.stop_verifying();
        tracing::info!(?grace, "stopping: calls in progress may finish");
        set_not_serving(&reporter).await;
        stopping.send_replace(true);
        let drained = drain(listening, &calls, grace, &file).await;
        ending.send_replace(true);
        watched.join_all().await;
        drained
    }

    /// Takes calls on every listener until it is `stopped`; the Unix socket's file is to be kept as long.
    fn listen(
        self,
        routes: Routes,
        engine: &Arc<Engine>,
        calls: &Calls,
        readiness: Readiness,
        stopped: watch::Receiver<bool>,
    ) -> (Listening, SocketFile) {
        let mut listening = JoinSet::new();
        let (unix, file) = self.unix.incoming();
        tracing::info!(path = %self.settings.unix_socket.display(), "listening on a Unix socket");
        let router = transport().add_routes(routes.clone());
        listening.spawn(router.serve_with_incoming_shutdown(unix, told(stopped.clone())));
        if let Some(mut tcp) = self.tcp {
            let encrypted = self.settings.tls.is_some();
            tracing::info!(address = %tcp.address, encrypted, "listening on TCP");
            let router = tcp.server.add_routes(routes);
            let stop = told(stopped.clone());
            listening.spawn(router.serve_with_incoming_shutdown(tcp.incoming, stop));
        }
        if let Some(door) = self.shm {
            let (engine, socket) = (Arc::clone(engine), self.settings.unix_socket);
            let serving = door.serve(engine, socket, calls.clone(), readiness, told(stopped));
            listening.spawn(async {
                serving.await;
                Ok(())
            });
        }
        (listening, file)
    }
}

type Listening = JoinSet<Result<(), tonic::transport::Error>>;

/// Waits until that is `true`.
async fn told(mut that: watch::Receiver<bool>) {
    // An error means that the sender is gone: over, too.
    drop(that.wait_for(|told| *told).await);
}

/// Waits for the listeners to finish their calls, for as long as `grace`.
///
/// A listener ends when its connections have, and a connection when its client has read that the daemon stops: one that
/// is frozen does not. So when there are no calls, clients have [`FAREWELL`] to read it.
async fn drain(
    mut listening: Listening,
    calls: &Calls,
    grace: Duration,
    _file: &SocketFile,
) -> Result<(), ServeError> {
    let finish = async {
        while let Some(ended_one) = listening.join_next().await {
            ended(Some(ended_one))?;
        }
        Ok(())
    };
    tokio::select! {
        finished = finish => return finished,
        () = calls.none_for(FAREWELL) => {
            tracing::info!("no call is in progress: clients that have not closed their connection are cut off");
        }
        () = tokio::time::sleep(grace) => {
            tracing::warn!("calls were still in progress after shutdown_grace: they are cut off");
        }
    }
    Ok(())
}

/// Opens the collections, and says to all who wait for that that the daemon is ready.
async fn open(
    engine: &Arc<Engine>,
    ready: &watch::Sender<bool>,
    phase: &watch::Sender<Phase>,
    health: &HealthReporter,
    on_ready: impl FnOnce(),
) {
    if let Err(error) = engine.compute(Engine::open_collections).await {
        tracing::error!(%error, "collections were not all opened");
    }
    ready.send_replace(true);
    phase.send_if_modified(|phase| {
        let is_opening = *phase == Phase::Opening;
        if is_opening {
            *phase = Phase::Serving;
        }
        is_opening
    });
    set_serving(health).await;
    tracing::info!(boot_epoch = %engine.boot_epoch(), "ready");
    on_ready();
}

type Ended = Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>;

fn ended(listener: Option<Ended>) -> Result<(), ServeError> {
    match listener {
        Some(Ok(result)) => Ok(result?),
        Some(Err(panicked)) => {
            tracing::error!(%panicked, "a listener panicked: a bug in the daemon");
            Ok(())
        }
        None => Ok(()),
    }
}

fn transport() -> Transport {
    Transport::builder().http2_keepalive_interval(Some(KEEPALIVE))
}

/// The services. Calls of the contract are counted; those of health and reflection, which a client may hold for as long
/// as it lives, are not.
fn routes(
    admin: Admin,
    most: usize,
    calls: &Calls,
    readiness: &Readiness,
) -> Result<Routes, ServeError> {
    let engine = &admin.engine;
    let collections = CollectionsServiceServer::new(Collections(Arc::clone(engine)));
    let data = DataServiceServer::new(DataPlane {
        engine: Arc::clone(engine),
        max_message_bytes: most,
        metrics: Arc::clone(calls.metrics()),
    });
    let admin = AdminServiceServer::new(admin);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wavekv_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let contract = Routes::new(
        collections
            .max_decoding_message_size(most)
            .max_encoding_message_size(most),
    )
    .add_service(
        data.max_decoding_message_size(most)
            .max_encoding_message_size(most),
    )
    .add_service(
        admin
            .max_decoding_message_size(most)
            .max_encoding_message_size(most),
    );
    let contract = contract
        .into_axum_router()
        .layer(MapRequestLayer::new(move |request| limited(request, most)))
        .layer(readiness.clone())
        .layer(calls.clone());
    Ok(Routes::from(contract).add_service(reflection))
}

async fn set_serving(health: &HealthReporter) {
    health
        .set_service_status("", tonic_health::ServingStatus::Serving)
        .await;
    health
        .set_serving::<CollectionsServiceServer<Collections>>()
        .await;
    health.set_serving::<DataServiceServer<DataPlane>>().await;
    health.set_serving::<AdminServiceServer<Admin>>().await;
}

async fn set_not_serving(health: &HealthReporter) {
    health
        .set_service_status("", tonic_health::ServingStatus::NotServing)
        .await;
    health
        .set_not_serving::<CollectionsServiceServer<Collections>>()
        .await;
    health
        .set_not_serving::<DataServiceServer<DataPlane>>()
        .await;
    health.set_not_serving::<AdminServiceServer<Admin>>().await;
}
