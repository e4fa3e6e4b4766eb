//! Shared memory: the answers of gRPC, bit for bit; whatever a client does, it loses its own connection at worst; and
//! nobody waits for ever. That refusals are the same too, `bad_input` shows.
//!
//! Start reading in `answers.rs`; `raw.rs` is a client without manners.

mod answers;
mod hostile;
mod limits;
mod lives;
mod raw;

use std::time::Duration;

use wavekv_client::{Client, ConnectOptions, ShmOptions};

use crate::harness::daemon::used_bytes;
use crate::harness::poll::{A_MINUTE, until};

/// Waits until the daemon counts no arena of so many bytes more than before. Clustering and use change a little meanwhile.
async fn wait_until_arenas_are_free(client: &Client, before: u64, arena_bytes: u64) {
    let mut used = 0;
    let free = async || {
        used = used_bytes(client).await;
        (used < before + arena_bytes).then_some(())
    };
    let free = until(A_MINUTE, free).await;
    assert!(free.is_some(), "{used} bytes count, {before} before");
}

/// Connections that never spin: every wait is a sleep.
fn sleeping() -> ConnectOptions {
    with(ShmOptions {
        spin: Duration::ZERO,
        ..ShmOptions::default()
    })
}

fn with(shm: ShmOptions) -> ConnectOptions {
    ConnectOptions {
        shm,
        ..ConnectOptions::default()
    }
}
