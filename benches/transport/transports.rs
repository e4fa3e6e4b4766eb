//! The ways to the daemon.

use std::time::Duration;

use wavekv_client::{Address, Client, ConnectOptions, ShmOptions};

use crate::harness::Daemon;

/// As long as any call of the benchmark that is to be answered within it.
const SPIN: Duration = Duration::from_millis(50);

/// How the command line names them.
pub(crate) const TRANSPORTS: [&str; 4] = ["spinning", "sleeping", "unix", "tcp"];

/// The daemons that the transports ask: one whose connections spin, one whose connections sleep.
pub(crate) struct Daemons {
    spinning: Daemon,
    sleeping: Daemon,
}

impl Daemons {
    pub(crate) fn start() -> Self {
        let with = |spin: &str| {
            Daemon::with(&[
                spin,
                "grpc.listen=127.0.0.1:0",
                "grpc.max_message_bytes=256MiB",
                "memory.budget=8GiB",
            ])
        };
        Self {
            spinning: with("shm.spin_us=50000"),
            sleeping: with("shm.spin_us=0"),
        }
    }

    /// Those that are asked for, each by its name.
    pub(crate) async fn clients(&self, asked: &[&str]) -> Vec<(&'static str, Client)> {
        let mut clients = vec![];
        for transport in TRANSPORTS.iter().filter(|name| asked.contains(name)) {
            clients.push(match *transport {
                "spinning" => {
                    let client = over_shm(&self.spinning, SPIN).await;
                    ("shared memory, spinning", client)
                }
                "sleeping" => {
                    let client = over_shm(&self.sleeping, Duration::ZERO).await;
                    ("shared memory, sleeping", client)
                }
                "unix" => ("gRPC, Unix socket", self.sleeping.client().await),
                _ => {
                    let tcp = Address::Http(self.sleeping.tcp_address("127.0.0.1").await);
                    ("gRPC, loopback TCP", Client::connect(&tcp).await.unwrap())
                }
            });
        }
        clients
    }
}

async fn over_shm(daemon: &Daemon, spin: Duration) -> Client {
    let shm = ShmOptions {
        arena_bytes: 64 << 20,
        spin,
        ..ShmOptions::default()
    };
    let options = ConnectOptions {
        shm,
        ..ConnectOptions::default()
    };
    daemon.shm_client_with(options).await
}
