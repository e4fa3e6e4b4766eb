//! The compute pool: the one door between the threads that wait (tokio's) and those that compute.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::{Semaphore, oneshot};

use crate::model::{Error, ErrorKind};

/// Calls that compute or wait for a thread; more wait in their connection, which pushes back on the client.
const CALLS_AT_ONCE: usize = 256;

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
