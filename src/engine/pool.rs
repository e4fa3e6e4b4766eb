//! The compute pool: the one door between the threads that wait (tokio's) and those that compute.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder, Yield};
use tokio::sync::{Semaphore, oneshot};

use crate::model::{Error, ErrorKind};

/// Calls that compute or wait for a thread; more wait in their connection, which pushes back on the client.
const CALLS_AT_ONCE: usize = 256;

/// How many pieces of work a thread may lay aside at once, each of which waits for the disk, before it sleeps instead: they
/// are on its stack, and the first of them ends last.
const LAID_ASIDE: u32 = 4;
/// How long it sleeps when there is nothing else to do: the time of a read from a fast device.
const NAP: Duration = Duration::from_micros(50);

/// What a thread does for a moment while the disk reads for it: other work of its pool, where there is any.
pub fn while_the_disk_reads() {
    thread_local! {
        static LAID: Cell<u32> = const { Cell::new(0) };
    }
    let laid = LAID.get();
    if laid < LAID_ASIDE {
        LAID.set(laid + 1);
        let worked = rayon::yield_now();
        LAID.set(laid);
        if worked == Some(Yield::Executed) {
            return;
        }
    }
    std::thread::sleep(NAP);
}

#[derive(Debug)]
pub(super) struct ComputePool {
    threads: ThreadPool,
    places: Semaphore,
}

impl ComputePool {
    pub(super) fn start(threads: usize) -> Result<Self, Error> {
        let threads = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|thread| format!("compute-{thread}"))
            .build()
            .map_err(Error::internal)?;
        Ok(Self {
            threads,
            places: Semaphore::new(CALLS_AT_ONCE),
        })
    }

    /// Runs `work` on a thread of the pool; parallel iterators within it use the others.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let _place = self.places.acquire().await.map_err(Error::internal)?;
        let (answer, answered) = oneshot::channel();
        self.threads.spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            // A caller that has gone away no longer wants it.
            let _ = answer.send(result);
        });
        match answered.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => {
                tracing::error!("a call panicked on the compute pool: a bug in the daemon");
                Err(Error::new(
                    ErrorKind::Internal,
                    "the computation panicked: a bug in the daemon",
                ))
            }
            Err(closed) => Err(Error::internal(closed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_call_alone() {
        let pool = ComputePool::start(1).unwrap();
        let failed = pool.run(|| panic!("on purpose")).await.map(|(): ()| ());
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
    }
}
