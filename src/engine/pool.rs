//! The compute pool: the one door between the threads that wait (tokio's) and those that compute.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
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

/// `done` with each of `items`, in their order: side by side on the threads of the pool; one after the other on a thread that
/// is not of it, which has taken a call that is not worth handing over. Each is for whichever thread is free, since one may
/// take ten times as long as another: a flat KV head beside a sharp one.
pub(super) fn side_by_side<T: Send, R: Send>(
    items: Vec<T>,
    done: impl Fn(T) -> R + Sync + Send,
) -> Vec<R> {
    if rayon::current_thread_index().is_some() {
        items.into_par_iter().with_max_len(1).map(done).collect()
    } else {
        items.into_iter().map(done).collect()
    }
}

#[derive(Debug)]
pub(super) struct ComputePool {
    threads: ThreadPool,
    places: Semaphore,
    /// Threads that calls in progress are taken to keep busy: all of the pool's, or one that is not of the pool.
    busy: Arc<AtomicUsize>,
    /// Calls that wait for a place or a thread.
    waiting: Arc<AtomicUsize>,
}

/// The pool now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// That it has.
    pub threads: usize,
    /// That calls in progress are taken to keep busy, which may be more.
    pub busy: usize,
    /// Calls that wait.
    pub waiting: usize,
}

/// Some busy threads or waiting calls, until it is dropped.
struct Counted {
    count: Arc<AtomicUsize>,
    many: usize,
}

impl Counted {
    /// Answers how many were before, too.
    fn of(count: &Arc<AtomicUsize>, many: usize) -> (Self, usize) {
        let before = count.fetch_add(many, Ordering::Relaxed);
        let count = Arc::clone(count);
        (Self { count, many }, before)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.count.fetch_sub(self.many, Ordering::Relaxed);
    }
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
            busy: Arc::default(),
            waiting: Arc::default(),
        })
    }

    pub(super) fn size(&self) -> PoolSize {
        PoolSize {
            threads: self.threads.current_num_threads(),
            busy: self.busy.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    /// Counts threads as busy; answers how many were before, too.
    fn busy(&self, threads: usize) -> (Counted, usize) {
        Counted::of(&self.busy, threads)
    }

    /// Has `work` done and its result given to `done`: when it is `light` and a thread is idle, at once on the caller's
    /// thread, which may compute and wait; else later on the pool.
    pub(super) fn run_soon<T>(
        &self,
        light: bool,
        work: impl FnOnce() -> T + Send + 'static,
        done: impl FnOnce(Result<T, Error>) + Send + 'static,
    ) {
        let all = self.threads.current_num_threads();
        if light {
            let (_busy, before) = self.busy(1);
            if before < all {
                return done(caught(work));
            }
        }
        let (busy, _) = self.busy(all);
        let (waiting, _) = Counted::of(&self.waiting, 1);
        self.threads.spawn(move || {
            drop(waiting);
            let result = caught(work);
            drop(busy);
            done(result);
        });
    }

    /// Runs `work` on a thread of the pool; parallel iterators within it use the others.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (waiting, _) = Counted::of(&self.waiting, 1);
        let _place = self.places.acquire().await.map_err(Error::internal)?;
        drop(waiting);
        let (answer, answered) = oneshot::channel();
        self.run_soon(false, work, |result| {
            // A caller that has gone away no longer wants it.
            let _ = answer.send(result);
        });
        answered.await.map_err(Error::internal)?
    }
}

/// What `work` comes to, or the error that it panicked.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        tracing::error!("a call panicked: a bug in the daemon");
        Error::new(
            ErrorKind::Internal,
            "the computation panicked: a bug in the daemon",
        )
    })
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

    /// Whether work is done on a thread of the pool.
    fn is_handed_over(pool: &ComputePool, light: bool) -> bool {
        let (answer, answered) = std::sync::mpsc::channel();
        let work = || rayon::current_thread_index().is_some();
        pool.run_soon(light, work, move |on_pool| {
            answer.send(on_pool.unwrap()).unwrap();
        });
        answered.recv().unwrap()
    }

    #[test]
    fn light_work_is_done_where_it_is_asked_for_while_a_thread_is_idle() {
        let pool = ComputePool::start(2).unwrap();
        assert!(is_handed_over(&pool, false));
        // The thread of the pool may not yet have said that it is idle again.
        while pool.busy.load(Ordering::Relaxed) > 0 {}
        assert!(!is_handed_over(&pool, true));
        let _both = pool.busy(2);
        assert!(is_handed_over(&pool, true));
    }

    #[test]
    fn items_are_done_in_their_order_on_either_kind_of_thread() {
        let pool = ComputePool::start(2).unwrap();
        let squares = || side_by_side((0..100).collect(), |x: u64| x * x);
        let expected: Vec<u64> = (0..100).map(|x| x * x).collect();
        assert_eq!(squares(), expected);
        assert_eq!(pool.threads.install(squares), expected);
    }
}
