//! What is counted as it happens. Hot path: no allocation once a series is there, no lock, no log.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use prometheus::core::Metric as _;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use super::declared::{self, Metric};
use super::labels::{Operation, Outcome, ShmEnd, Transport};
use crate::clock::Clock;

/// Upper bounds of [`declared::CALL_SECONDS`]: about three a decade, from less than a call over shared memory takes to more
/// than anybody waits.
const SECONDS: [f64; 20] = [
    0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0,
];

/// All that is counted as it happens. It has the clock, since it measures.
pub struct Metrics {
    clock: Clock,
    registry: Registry,
    seconds: HistogramVec,
    /// Of `seconds`, by operation, transport and outcome; made when it is wanted first, so that only what happens is exported.
    by_call: Box<[OnceLock<Histogram>]>,
    /// By transport.
    in_progress: Box<[IntGauge]>,
    entries: IntCounterVec,
    /// Of `entries`, by operation and outcome.
    by_entry: Box<[OnceLock<IntCounter>]>,
    shm_connections: IntGauge,
    /// By reason.
    shm_ended: Box<[IntCounter]>,
    shm_refused: IntCounter,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// A call in progress: it is measured from its beginning to when this is dropped.
#[derive(Debug)]
pub struct Timed {
    metrics: Arc<Metrics>,
    operation: Operation,
    transport: Transport,
    began: Instant,
    outcome: Outcome,
}

/// Calls of one operation, over one transport, that came to the same.
#[derive(Clone, Debug, PartialEq)]
pub struct CallCounts {
    /// What was asked for.
    pub operation: Operation,
    /// How they came.
    pub transport: Transport,
    /// What they came to.
    pub outcome: Outcome,
    /// By how long they took: one for each of [`Metrics::BUCKET_SECONDS`], and those that took longer.
    pub counts: Vec<u64>,
    /// That all of them took.
    pub seconds: f64,
}

impl Metrics {
    /// What the buckets of [`CallCounts`] end with.
    pub const BUCKET_SECONDS: &[f64] = &SECONDS;

    /// Nothing is counted yet, but of the process what the system has counted.
    ///
    /// # Errors
    /// [`prometheus::Error`] when a declaration is none, which a test would have found.
    pub fn start(clock: Clock) -> Result<Arc<Self>, Error> {
        let registry = Registry::new();
        let buckets = SECONDS.to_vec();
        let of = declared::CALL_SECONDS;
        let seconds = HistogramOpts::new(of.name, of.help).buckets(buckets);
        let seconds = HistogramVec::new(seconds, of.labels)?;
        let of = declared::CALLS_IN_PROGRESS;
        let in_progress = IntGaugeVec::new(opts(of), of.labels)?;
        let entries = IntCounterVec::new(opts(declared::ENTRIES), declared::ENTRIES.labels)?;
        let ended = IntCounterVec::new(opts(declared::SHM_ENDED), declared::SHM_ENDED.labels)?;
        let connections = IntGauge::with_opts(opts(declared::SHM_CONNECTIONS))?;
        let refused = IntCounter::with_opts(opts(declared::SHM_REFUSED))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(in_progress.clone()))?;
        registry.register(Box::new(entries.clone()))?;
        registry.register(Box::new(ended.clone()))?;
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(refused.clone()))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let in_progress = Transport::ALL
            .iter()
            .map(|transport| in_progress.get_metric_with_label_values(&[transport.name()]));
        let ended = ShmEnd::ALL
            .iter()
            .map(|end| ended.get_metric_with_label_values(&[end.name()]));
        let calls = Operation::ALL.len() * Transport::ALL.len() * Outcome::ALL.len();
        let kinds_of_entries = Operation::ALL.len() * Outcome::ALL.len();
        Ok(Arc::new(Self {
            clock,
            seconds,
            by_call: (0..calls).map(|_| OnceLock::new()).collect(),
            in_progress: in_progress.collect::<Result<_, _>>()?,
            entries,
            by_entry: (0..kinds_of_entries).map(|_| OnceLock::new()).collect(),
            shm_connections: connections,
            shm_ended: ended.collect::<Result<_, _>>()?,
            shm_refused: refused,
            registry,
        }))
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The calls that there were, told apart as they are exported. Calls that end meanwhile do not wait for it.
    pub fn calls(&self) -> Vec<CallCounts> {
        let operations = Operation::ALL.iter();
        let kinds = operations.flat_map(|&operation| {
            Transport::ALL.iter().flat_map(move |&transport| {
                let outcomes = Outcome::ALL.iter();
                outcomes.map(move |&outcome| (operation, transport, outcome))
            })
        });
        // The order of the cells.
        let calls = kinds.zip(self.by_call.iter()).filter_map(|(kind, cell)| {
            let (operation, transport, outcome) = kind;
            let series = cell.get()?.metric();
            let histogram = series.get_histogram();
            Some(CallCounts {
                operation,
                transport,
                outcome,
                counts: counts(histogram),
                seconds: histogram.get_sample_sum(),
            })
        });
        calls.collect()
    }

    /// Begins to measure a call.
    pub fn begin(self: &Arc<Self>, operation: Operation, transport: Transport) -> Timed {
        self.in_progress[transport.index()].inc();
        Timed {
            metrics: Arc::clone(self),
            operation,
            transport,
            began: self.clock.now(),
            outcome: Outcome::Cancelled,
        }
    }

    /// Counts an entry of a batch.
    pub fn entry(&self, operation: Operation, outcome: Outcome) {
        let place = operation.index() * Outcome::ALL.len() + outcome.index();
        let labels = || [operation.name(), outcome.name()];
        let made = || self.entries.get_metric_with_label_values(&labels()).ok();
        if let Some(counter) = filled(&self.by_entry[place], made) {
            counter.inc();
        }
    }

    /// Counts a client that has shared memory.
    pub fn shm_began(&self) {
        self.shm_connections.inc();
    }

    /// The same when it has none any more.
    pub fn shm_ended(&self, why: ShmEnd) {
        self.shm_connections.dec();
        self.shm_ended[why.index()].inc();
    }

    /// Counts a client that was refused shared memory.
    pub fn shm_refused(&self) {
        self.shm_refused.inc();
    }

    fn call_ended(&self, call: &Timed) {
        self.in_progress[call.transport.index()].dec();
        let place = call.operation.index() * Transport::ALL.len() + call.transport.index();
        let place = place * Outcome::ALL.len() + call.outcome.index();
        let labels = || {
            [
                call.operation.name(),
                call.transport.name(),
                call.outcome.name(),
            ]
        };
        let made = || self.seconds.get_metric_with_label_values(&labels()).ok();
        if let Some(histogram) = filled(&self.by_call[place], made) {
            let took = self.clock.now().saturating_duration_since(call.began);
            histogram.observe(took.as_secs_f64());
        }
    }
}

/// What a cell has, made first where it has nothing.
fn filled<T>(cell: &OnceLock<T>, made: impl FnOnce() -> Option<T>) -> Option<&T> {
    if cell.get().is_none() {
        // Two that come at once make the same.
        let _ = cell.set(made()?);
    }
    cell.get()
}

/// Of every bucket, which the library adds up.
fn counts(histogram: &prometheus::proto::Histogram) -> Vec<u64> {
    let up_to = histogram.get_bucket().iter();
    let up_to = up_to.map(prometheus::proto::Bucket::cumulative_count);
    let mut below = 0;
    up_to
        .chain([histogram.get_sample_count()])
        .map(|up_to| up_to - std::mem::replace(&mut below, up_to))
        .collect()
}

fn opts(of: Metric) -> Opts {
    Opts::new(of.name, of.help)
}

impl Timed {
    /// What the call asks for.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// What the call came to; until this is said, its caller has gone away.
    pub fn came_to(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Counts an entry of the call.
    pub fn entry(&self, outcome: Outcome) {
        self.metrics.entry(self.operation, outcome);
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.metrics.call_ended(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Page;

    #[test]
    fn calls_are_told_apart_by_kind_and_each_is_in_one_bucket() {
        let metrics = Metrics::start(Clock::start()).unwrap();
        assert!(metrics.calls().is_empty());
        for _ in 0..3 {
            metrics
                .begin(Operation::Attend, Transport::Shm)
                .came_to(Outcome::Ok);
        }
        drop(metrics.begin(Operation::Activity, Transport::GrpcTcp));
        let calls = metrics.calls();
        let kinds = calls
            .iter()
            .map(|call| (call.operation, call.transport, call.outcome));
        let expected = [
            (Operation::Attend, Transport::Shm, Outcome::Ok),
            (Operation::Activity, Transport::GrpcTcp, Outcome::Cancelled),
        ];
        assert!(kinds.eq(expected), "{calls:?}");
        for (call, expected) in calls.iter().zip([3, 1]) {
            assert_eq!(call.counts.len(), Metrics::BUCKET_SECONDS.len() + 1);
            assert_eq!(call.counts.iter().sum::<u64>(), expected, "{call:?}");
            assert!(call.seconds >= 0.0);
        }
    }

    #[test]
    fn a_call_is_counted_by_what_it_came_to_and_one_that_says_nothing_was_cancelled() {
        let metrics = Metrics::start(Clock::start()).unwrap();
        let mut call = metrics.begin(Operation::Attend, Transport::Shm);
        call.came_to(Outcome::Ok);
        call.entry(Outcome::OutOfRange);
        let page = Page::of(&metrics).text().unwrap();
        assert!(page.contains("wavekv_service_calls_in_progress{transport=\"shm\"} 1\n"));
        assert!(
            !page.contains("wavekv_service_call_seconds_count"),
            "{page}"
        );
        drop(call);
        drop(metrics.begin(Operation::Fetch, Transport::GrpcTcp));
        let page = Page::of(&metrics).text().unwrap();
        for line in [
            "wavekv_service_calls_in_progress{transport=\"shm\"} 0",
            "wavekv_service_call_seconds_count{operation=\"attend\",outcome=\"ok\",transport=\"shm\"} 1",
            "wavekv_service_call_seconds_count{operation=\"fetch\",outcome=\"cancelled\",transport=\"grpc_tcp\"} 1",
            "wavekv_service_entries_total{operation=\"attend\",outcome=\"out_of_range\"} 1",
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line} is not in\n{page}"
            );
        }
    }
}
