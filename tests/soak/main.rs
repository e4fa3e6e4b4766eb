//! Mixed load for a while, over both transports at once, from clients that are killed in the middle of a call, on a daemon that is
//! killed too. What every client was told is stored is looked at again and again. Afterwards all is deleted, and the daemon must
//! have what it began with: memory, threads, sockets, disk.
//!
//! ```text
//! cargo test --test soak                    20 seconds
//! WAVEKV_SOAK=600 cargo test --test soak    so many; `make soak`
//! ```
//!
//! Prints a table of what there was before and after, and how long calls took; times are looked at by nobody but its reader.
//!
//! `load.rs` is a client, which runs in a process of its own; `vitals.rs` reads what the daemon has; the rest is here.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what fails ends the soak, and the table is its output"
)]

#[expect(
    dead_code,
    reason = "what the promises are tested with does more than this needs"
)]
#[expect(unused_imports, reason = "the same")]
#[path = "../harness/mod.rs"]
mod harness;
mod load;
mod probe;
mod vitals;

use std::process::{Child, Command};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use rustix::process::Signal;
use wavekv::clock::Clock;
use wavekv_client::{Address, Client, Code, wire};

use harness::Daemon;
use probe::Latencies;
use vitals::Vitals;

/// Seconds of load, where nobody says.
const SECONDS: u64 = 20;
/// Clients at once, every second one over shared memory.
const CLIENTS: usize = 4;
/// A call that was sent by a client before it was killed has ended by then.
const ASKED_BEFORE: Duration = Duration::from_secs(1);
/// Little, so that blocks come and leave all the time.
const SETTINGS: [&str; 2] = ["memory.budget=64MiB", "audit.share=0.05"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    match &arguments[..] {
        [word, address, seed] if word == load::WORD => {
            runtime.block_on(load::run(address.parse().unwrap(), seed.parse().unwrap()));
        }
        // As the harness of cargo does: a test that is not named by a filter is left out.
        _ if arguments
            .iter()
            .any(|word| !word.starts_with('-') && !"soak".contains(&**word)) => {}
        _ => runtime.block_on(soak()),
    }
}

fn seconds() -> u64 {
    let given = std::env::var_os("WAVEKV_SOAK");
    given.map_or(SECONDS, |given| given.to_str().unwrap().parse().unwrap())
}

async fn soak() {
    let (seconds, clock) = (seconds(), Clock::start());
    let mut rng = Pcg64::seed_from_u64(seconds);
    let mut daemon = Daemon::with(&SETTINGS);
    let mut clients = Clients::default();
    let mut ends = 0;
    // The first half with a daemon that ends again and again.
    while clock.uptime() < Duration::from_secs(seconds / 2) {
        clients.work(&daemon, &mut rng).await;
        if rng.random_bool(0.4) {
            end(&mut daemon, &mut rng).await;
            ends += 1;
        }
    }
    clients.remove(&daemon, 0).await;
    daemon.restart();
    // What is made once and kept is made now.
    probe::run(&daemon).await;
    let before = (Vitals::settled(&daemon).await, probe::run(&daemon).await);
    // The second with one that lives on.
    while clock.uptime() < Duration::from_secs(seconds) {
        clients.work(&daemon, &mut rng).await;
    }
    clients.remove(&daemon, 0).await;
    let after = (Vitals::settled(&daemon).await, probe::run(&daemon).await);
    println!(
        "soak: {seconds} s, {} clients killed, {ends} ends of the daemon\n",
        clients.killed
    );
    print(&before, &after);
    after.0.assert_as(&before.0);
}

/// Ends the daemon in one way or the other, and starts it again.
async fn end(daemon: &mut Daemon, rng: &mut Pcg64) {
    if rng.random_bool(0.5) {
        daemon.kill();
    } else {
        daemon.signal(Signal::TERM);
        daemon.wait().await;
    }
    daemon.start_again();
}

/// Clients, each a process with a seed, from which the names of its collections follow.
#[derive(Debug, Default)]
struct Clients {
    running: Vec<(Child, u64)>,
    started: u64,
    killed: usize,
}

impl Clients {
    /// Has all of them at work for a moment, then kills one of them.
    async fn work(&mut self, daemon: &Daemon, rng: &mut Pcg64) {
        while self.running.len() < CLIENTS {
            self.start(daemon);
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(200..1500))).await;
        for (client, seed) in &mut self.running {
            let ended = client.try_wait().unwrap();
            assert!(ended.is_none(), "client {seed} ended with {ended:?}");
        }
        self.running.rotate_left(rng.random_range(0..CLIENTS));
        self.remove(daemon, CLIENTS - 1).await;
    }

    fn start(&mut self, daemon: &Daemon) {
        self.started += 1;
        let address = match self.started % 2 {
            0 => format!("unix:{}", daemon.socket().display()),
            _ => format!("shm:{}", daemon.shm_socket().display()),
        };
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([load::WORD, &address, &self.started.to_string()]);
        self.running.push((command.spawn().unwrap(), self.started));
    }

    /// Kills all but so many, and removes what they had made.
    async fn remove(&mut self, daemon: &Daemon, left: usize) {
        let killed = self.running.split_off(left);
        self.killed += killed.len();
        let mut seeds = vec![];
        for (mut process, seed) in killed {
            process.kill().unwrap();
            process.wait().unwrap();
            seeds.push(seed);
        }
        if left == 0 {
            // What the daemon was asked for by those that are dead, it does all the same.
            tokio::time::sleep(ASKED_BEFORE).await;
            seeds = (1..=self.started).collect();
        }
        let client = load::connected(&Address::Unix(daemon.socket())).await;
        for seed in seeds {
            clear(&client, &load::namespace(seed)).await;
        }
    }
}

/// Deletes all collections of a namespace, where nobody else has just done so.
async fn clear(client: &Client, namespace: &str) {
    for collection in client.list_all(namespace, "").await.unwrap() {
        let name = wire::CollectionRef {
            namespace: collection.namespace,
            name: collection.name,
            generation: None,
        };
        load::done(client.delete(name).await, Code::NotFound);
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // Of a soak that failed.
        for (client, _) in &mut self.running {
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}

type Found = (Vitals, [Latencies; 2]);

fn print((before, calls_before): &Found, (after, calls_after): &Found) {
    println!("| | before | after |\n| --- | ---: | ---: |");
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let row =
        |what: &str, values: [String; 2]| println!("| {what} | {} | {} |", values[0], values[1]);
    let both =
        |value: fn(&Vitals) -> usize| [before, after].map(|vitals| value(vitals).to_string());
    row("resident", [before, after].map(|v| mib(v.resident_bytes)));
    row(
        "counted memory",
        [before, after].map(|v| mib(v.counted_bytes)),
    );
    row("counted disk", [before, after].map(|v| mib(v.disk_bytes)));
    row("threads", both(|vitals| vitals.threads));
    row("connections", both(|vitals| vitals.connections));
    row("other descriptors", both(|vitals| vitals.files));
    row(
        "files of collections",
        both(|vitals| vitals.collection_files),
    );
    for (before, after) in calls_before.iter().zip(calls_after) {
        let micros = |percentile: Duration| format!("{:.0} us", percentile.as_secs_f64() * 1e6);
        for (index, name) in ["p50", "p99", "p99.9"].iter().enumerate() {
            row(
                &format!("attend over {}, {name}", before.transport),
                [before, after].map(|calls| micros(calls.percentiles[index])),
            );
        }
    }
}
