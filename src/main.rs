//! `wavekvd`: loads its settings, opens its data directory, serves until SIGTERM or SIGINT.
#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use wavekv::clock::Clock;
use wavekv::config::{self, ConfigError, GrpcSettings, Loaded, Settings};
use wavekv::engine::{self, Engine, EngineSettings};
use wavekv::index::kinds;
use wavekv::model::{BootEpoch, Durability, Error, IndexKind, IndexParameters, Invalid, Mode};
use wavekv::service::{
    About, HttpSettings, ServeError, Server, ServerSettings, ShmSettings, TlsFiles,
};
use wavekv::telemetry::metrics::Metrics;
use wavekv::telemetry::{self, TelemetryError};
use wavekv_storage::store::{Store, StoreError};
use wavekv_storage::{Budget, Bytes, DataDir, DataDirError, Residence};

/// Why the daemon did not start, or stopped by itself. Each is a sentence that names the setting or path.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error("data_dir: {0}")]
    DataDir(#[from] DataDirError),
    #[error("data_dir: {0}")]
    Store(#[from] StoreError),
    #[error("setting {0}")]
    Setting(#[from] Invalid),
    #[error(transparent)]
    Engine(#[from] Error),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(ConfigError::Flags(flags))) => flags.exit(),
        Err(failure) => {
            // Standard error may be closed; there is nobody else to tell.
            let _ = writeln!(io::stderr(), "wavekvd: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    config::preload()?;
    let Loaded {
        settings,
        print,
        file,
    } = Settings::load(std::env::args_os())?;
    if let Some(page) = print {
        return Ok(io::stdout().write_all(&page)?);
    }
    #[cfg(feature = "failpoints")]
    wavekv_storage::faults::obey()?;
    // Before any thread that works: spans are sent from it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let clock = Clock::start();
    let (events, traces) = {
        let _within = runtime.enter();
        telemetry::init(&settings.log, &settings.trace, clock)?
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), config = ?file, "starting");
    // RocksDB makes its files as readable as this lets it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let data_dir = DataDir::open(&settings.data_dir)?;
    let budget = Budget::new(Bytes(settings.memory.budget.as_u64()));
    let residence = Residence::new(&budget, engine::while_the_disk_reads);
    let store = Store::open_within(&data_dir, residence, disk_budget(&settings))?;
    let epoch = BootEpoch(data_dir.boot_epoch());
    let metrics = Metrics::start(clock).map_err(TelemetryError::from)?;
    let engine = Engine::start(engine_settings(&settings)?, epoch, clock, store)?;
    let about = About {
        settings: settings.to_toml()?,
        default_settings: Settings::default().to_toml()?,
        events,
    };
    let served = runtime.block_on(async {
        // Before the sockets: whoever sees them may already send a signal.
        let (mut terminate, mut interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM"),
                _ = interrupt.recv() => tracing::info!("SIGINT"),
            }
            tell_service_manager(&NotifyState::Stopping);
        };
        let ready = || tell_service_manager(&NotifyState::Ready);
        let server = Server::bind(server_settings(&settings))
            .await
            .map_err(ServeError::from)?;
        Ok::<(), Failure>(
            server
                .serve(Arc::clone(&engine), metrics, about, ready, stop)
                .await?,
        )
    });
    engine.stop_snapshots();
    traces.end();
    // Nothing of it may outlive the lock of the data directory.
    drop(runtime);
    served?;
    tracing::info!("stopped");
    Ok(())
}

/// Tells the service manager that has started the daemon, if one has that wants to know. Where it listens is told by it in
/// `NOTIFY_SOCKET`, which is no setting; the library reads it.
fn tell_service_manager(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(%error, "the service manager was not told");
    }
}

fn disk_budget(settings: &Settings) -> Bytes {
    match settings.disk.budget.as_u64() {
        0 => Bytes(u64::MAX),
        budget => Bytes(budget),
    }
}

fn engine_settings(settings: &Settings) -> Result<EngineSettings, Failure> {
    let index = &settings.index;
    let kind = match index.kind {
        config::IndexKind::Wave => IndexKind::Wave,
        config::IndexKind::Flat => IndexKind::Flat,
        config::IndexKind::Ivf => IndexKind::Ivf,
        config::IndexKind::Hnsw => IndexKind::Hnsw,
    };
    let parameters = IndexParameters {
        kind,
        sink_tokens: index.sink_tokens,
        recent_tokens: index.recent_tokens,
        segment_tokens: index.segment_tokens,
        decode_segment_tokens: index.decode_segment_tokens,
        cluster_tokens: index.cluster_tokens,
        kmeans_iterations: index.kmeans_iterations,
        seed: index.seed,
    };
    Ok(EngineSettings {
        threads: settings.compute.threads as usize,
        background_threads: settings.compute.background_threads as usize,
        parameters: parameters
            .checked()
            .and_then(kinds::available)
            .map_err(|invalid| invalid.within("index"))?,
        durability: match settings.storage.durability {
            config::Durability::None => Durability::None,
            config::Durability::Process => Durability::Process,
            config::Durability::Power => Durability::Power,
        },
        mode: Mode::adaptive(settings.attend.target_error as f32)?,
        audit_share: settings.audit.share,
        max_collections: settings.limits.max_collections as usize,
        max_tokens_per_layer: settings.limits.max_tokens_per_layer,
        snapshot_dir: Some(settings.storage.snapshot_dir.clone())
            .filter(|folder| !folder.as_os_str().is_empty()),
    })
}

fn server_settings(settings: &Settings) -> ServerSettings {
    ServerSettings {
        listen: settings.grpc.listen,
        tls: tls_files(&settings.grpc),
        unix_socket: settings.unix_socket(),
        max_message_bytes: usize::try_from(settings.grpc.max_message_bytes.as_u64())
            .unwrap_or(usize::MAX),
        shm: shm_settings(settings),
        http: http_settings(&settings.http),
        shutdown_grace: settings.shutdown_grace,
    }
}

fn tls_files(grpc: &GrpcSettings) -> Option<TlsFiles> {
    (!grpc.tls_certificate.as_os_str().is_empty()).then(|| TlsFiles {
        certificate: grpc.tls_certificate.clone(),
        key: grpc.tls_key.clone(),
    })
}

fn http_settings(http: &config::HttpSettings) -> Option<HttpSettings> {
    http.listen.map(|listen| HttpSettings {
        listen,
        any_host: http.allow_non_loopback,
        inspector: http.has_inspector(),
    })
}

fn shm_settings(settings: &Settings) -> Option<ShmSettings> {
    let shm = &settings.shm;
    (shm.max_connections > 0).then(|| ShmSettings {
        socket: settings.shm_socket(),
        allow_uids: shm.allow_uids.clone(),
        max_connections: shm.max_connections,
        max_arena_bytes: shm.max_arena_bytes.as_u64(),
        max_ring_entries: shm.max_ring_entries,
        spin: Duration::from_micros(shm.spin_us.into()),
    })
}
