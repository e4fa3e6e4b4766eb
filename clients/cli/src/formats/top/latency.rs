//! How often calls come and how long they take, by operation and transport.

use serde::Serialize;
use wavekv_client::wire::{ActivityResponse, CallActivity};

use super::percentile::percentile;
use super::rate::{Rate, grown};

/// Calls of one operation over one transport.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) operation: String,
    pub(crate) transport: String,
    pub(crate) calls_per_second: f64,
    /// Of them, those that were refused or given up.
    pub(crate) failed_per_second: f64,
    /// Of those that were answered; none where there were none.
    pub(crate) p50_seconds: Option<f64>,
    pub(crate) p99_seconds: Option<f64>,
    pub(crate) p999_seconds: Option<f64>,
}

/// Of every operation and transport that there were calls of since the daemon's start, in the daemon's order.
pub(super) fn latencies(
    before: &ActivityResponse,
    now: &ActivityResponse,
    rate: Rate,
) -> Vec<Latency> {
    let mut kinds: Vec<(&str, &str)> = vec![];
    for call in &now.calls {
        let kind = (&*call.operation, &*call.transport);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let latency = |(operation, transport): (&str, &str)| {
        let of_kind =
            |call: &&CallActivity| call.operation == operation && call.transport == transport;
        let (mut answered, mut failed) = (vec![], 0);
        for call in now.calls.iter().filter(of_kind) {
            let mut earlier = before.calls.iter().filter(of_kind);
            let earlier = earlier.find(|earlier| earlier.outcome == call.outcome);
            let counts = since(earlier, call);
            if call.outcome == "ok" {
                answered = counts;
            } else {
                failed += counts.iter().sum::<u64>();
            }
        }
        let all = answered.iter().sum::<u64>() + failed;
        let at = |share| percentile(&now.bucket_seconds, &answered, share);
        Latency {
            operation: operation.to_owned(),
            transport: transport.to_owned(),
            calls_per_second: rate.of(0, all),
            failed_per_second: rate.of(0, failed),
            p50_seconds: at(0.5),
            p99_seconds: at(0.99),
            p999_seconds: at(0.999),
        }
    };
    kinds.into_iter().map(latency).collect()
}

/// By bucket, those that came since.
fn since(before: Option<&CallActivity>, now: &CallActivity) -> Vec<u64> {
    let before = before.map_or(&[][..], |before| &before.counts);
    let before = before.iter().copied().chain(std::iter::repeat(0));
    let counts = now.counts.iter().zip(before);
    counts.map(|(&now, before)| grown(before, now)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: &str, outcome: &str, counts: &[u64]) -> CallActivity {
        CallActivity {
            operation: operation.into(),
            transport: "shm".into(),
            outcome: outcome.into(),
            counts: counts.to_vec(),
            ..Default::default()
        }
    }

    fn activity(calls: Vec<CallActivity>) -> ActivityResponse {
        ActivityResponse {
            bucket_seconds: vec![1.0, 2.0],
            calls,
            ..Default::default()
        }
    }

    #[test]
    fn calls_are_those_since_the_answer_before_and_percentiles_are_of_the_answered_ones() {
        let before = activity(vec![call("attend", "ok", &[100, 0, 0])]);
        let now = activity(vec![
            call("attend", "ok", &[100, 10, 0]),
            call("attend", "not_found", &[4, 0, 0]),
            call("fetch", "ok", &[0, 0, 0]),
        ]);
        let latencies = latencies(&before, &now, Rate { seconds: 2.0 });
        assert_eq!(latencies.len(), 2);
        let attend = &latencies[0];
        assert!((attend.calls_per_second - 7.0).abs() < 1e-9);
        assert!((attend.failed_per_second - 2.0).abs() < 1e-9);
        assert_eq!(attend.p50_seconds, Some(1.5));
        assert!(attend.p999_seconds.unwrap() > attend.p99_seconds.unwrap());
        assert_eq!(latencies[1].p50_seconds, None);
    }
}
