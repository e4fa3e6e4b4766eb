//! The audit tells the true error of an answer: exactly where it computes everything, within its interval where it draws.
//! What audits find is in the statistics, and heads that are over their target get a lower one.

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_distr::{Distribution as _, StandardNormal};
use rand_pcg::Pcg64;
use wavekv_client::{Client, wire};
use wavekv_trace::compare;

use crate::harness::poll::{A_MINUTE, until};
use crate::harness::property::{self, Asked, asked};
use crate::harness::sequence::floats;
use crate::harness::{Collection, Daemon, Sequence, Shape, mode, trace};

/// What f32 adds to an error of 1 and less: sums of values of size 1, over hundreds of tokens.
const ROUNDING: f64 = 5e-4;

#[test]
fn of_few_tokens_all_are_computed_and_the_error_is_known() {
    property::holds(128, &asked(), &check);
}

async fn check(client: &Client, case: Asked) -> Result<(), TestCaseError> {
    let sequence = Sequence::random(case.shape, case.tokens.max(1), case.seed);
    let collection = Collection::create_as(client, case.shape, case.kind).await;
    collection.insert(&sequence, 0..case.tokens).await;
    collection.cluster().await;
    let positions = case.positions();
    let question = collection.question(&sequence, &positions, case.mode);
    let audited = |positions: Vec<u32>| wire::AttendEntry {
        positions,
        audit: true,
        ..question.clone()
    };
    if case.tokens == 0 {
        let answer = client.attend_one(audited(vec![])).await.unwrap();
        let audit = answer.report.unwrap().audit;
        prop_assert_eq!(audit, Some(wire::Audit::default()));
    } else {
        let answer = client.attend_one(audited(positions.clone())).await.unwrap();
        let audit = answer.report.clone().unwrap().audit.unwrap();
        let squares: Vec<f64> = sequence
            .errors(&positions, &answer)
            .iter()
            .map(|error| error * error)
            .collect();
        let truth = compare::mean(&squares).sqrt();
        let beside = (f64::from(audit.error) - truth).abs();
        let allowed = ROUNDING * truth.max(1.0);
        prop_assert!(beside < allowed, "{:?} for {}", audit, truth);
        prop_assert!(audit.error_high - audit.error_low <= 1e-6);
        let report = answer.report.unwrap();
        let left = report.visible_tokens - report.steady_tokens - report.retrieved_tokens;
        prop_assert_eq!(audit.computed_tokens, left);
        prop_assert_eq!(audit.bytes_read == 0, left == 0);
    }
    collection.delete().await;
    Ok(())
}

#[tokio::test]
async fn intervals_of_a_sample_hold_the_true_error() {
    let daemon = Daemon::start();
    let collection = Collection::unmade(&daemon.client().await);
    let trace = trace::generated(8192);
    let layer = &trace.layers[0];
    trace::store(&collection, &trace, layer).await;
    let rows = trace.q_positions.len();
    let exact = trace.attend(layer, 0..rows).unwrap();
    let (heads, dim) = (trace.q_heads, trace.value_dim);
    for mode in [mode::budget(0.01), mode::retroinfer()] {
        let (mut covered, mut truths, mut audited) = (0, vec![], vec![]);
        for row in 0..rows {
            let question = trace::question(&collection, &trace, layer, row..row + 1, Some(mode));
            let answer = ask(&collection, question.clone(), true).await;
            let report = answer.report.as_ref().unwrap();
            let audit = report.audit.unwrap();
            let exact = &exact.out[row * heads * dim..][..heads * dim];
            let errors = compare::relative_errors(&floats(answer.out.as_ref()), exact, dim);
            let squares: Vec<f64> = errors.iter().map(|error| error * error).collect();
            let truth = compare::mean(&squares);
            let within =
                f64::from(audit.error_low) - ROUNDING..=f64::from(audit.error_high) + ROUNDING;
            covered += usize::from(within.contains(&truth.sqrt()));
            truths.push(truth);
            audited.push(f64::from(audit.error).powi(2));
            assert!(audit.drawn_clusters > 0 && audit.error_low < audit.error_high);
            assert!(audit.bytes_read < report.full_bytes * 2 / 3, "{report:?}");
            // The audit changes nothing of the answer, and none of its numbers.
            let alone = ask(&collection, question, false).await;
            let mut report = report.clone();
            report.audit = None;
            assert_eq!((alone.out, alone.report), (answer.out, Some(report)));
        }
        assert!(covered * 10 >= rows * 8, "{covered} of {rows} in {mode:?}");
        let (truth, audited) = (compare::mean(&truths), compare::mean(&audited));
        assert!((audited / truth - 1.0).abs() < 0.2, "{audited} for {truth}");
    }
}

#[tokio::test]
async fn what_audits_of_one_answer_say_lies_around_its_error() {
    const AUDITS: usize = 200;
    let daemon = Daemon::start();
    let collection = Collection::unmade(&daemon.client().await);
    let trace = trace::generated(8192);
    let layer = &trace.layers[0];
    trace::store(&collection, &trace, layer).await;
    let mode = Some(mode::retroinfer());
    let errors = trace::errors(&collection, &trace, layer, 70..71, mode).await;
    let squares: Vec<f64> = errors.iter().map(|error| error * error).collect();
    let truth = compare::mean(&squares);
    let question = trace::question(&collection, &trace, layer, 70..71, mode);
    let mut found = vec![];
    for _ in 0..AUDITS {
        let answer = ask(&collection, question.clone(), true).await;
        let audit = answer.report.unwrap().audit.unwrap();
        assert!(audit.error_low > 0.0, "{audit:?}: none was cut off at 0");
        found.push(f64::from(audit.error).powi(2));
    }
    let mean = compare::mean(&found);
    let squares: Vec<f64> = found.iter().map(|square| (square - mean).powi(2)).collect();
    let deviation = (compare::mean(&squares) / AUDITS as f64).sqrt();
    assert!(deviation > 0.0, "the same was drawn each time");
    let beside = (mean - truth).abs();
    assert!(
        beside < 6.0 * deviation + ROUNDING * truth,
        "{mean} for {truth}, deviation {deviation}"
    );
}

async fn ask(
    collection: &Collection,
    question: wire::AttendEntry,
    audit: bool,
) -> wire::AttendOutcome {
    let entry = wire::AttendEntry { audit, ..question };
    collection.client.attend_one(entry).await.unwrap()
}

#[tokio::test]
async fn a_share_of_the_answers_is_audited_unasked() {
    let daemon = Daemon::with(&["audit.share=1"]);
    let (collection, sequence) = stored(&daemon).await;
    for token in 380..390 {
        for mode in [mode::budget(0.05), mode::exact()] {
            let tokens = [token, token - 50, token - 70];
            let answer = collection.attend(&sequence, &tokens, mode).await;
            assert_eq!(answer.report.unwrap().audit, None);
        }
    }
    let all_considered = async || {
        let stats = collection.client.stats(None).await.unwrap();
        // Those in exact mode have no error to measure.
        let all = |audits: &wire::AuditStats| audits.audits + audits.skipped == 10;
        stats.audit.filter(all)
    };
    let audits = until(A_MINUTE, all_considered).await.unwrap();
    assert!(audits.audits > 0 && audits.error > 0.0, "{audits:?}");
    let worst = audits.worst.unwrap();
    assert_eq!(worst.collection.unwrap().name, collection.name.name);
    assert!(worst.error >= audits.error);
}

#[tokio::test]
async fn without_a_share_only_what_is_asked_for_is_audited() {
    let daemon = Daemon::with(&["audit.share=0"]);
    let (collection, sequence) = stored(&daemon).await;
    collection
        .attend(&sequence, &[390], mode::budget(0.05))
        .await;
    let audits = async || {
        let stats = collection.client.stats(Some(collection.name.clone())).await;
        let stats = stats.unwrap();
        assert_eq!(stats.audit, stats.layers[0].audit);
        stats.audit.unwrap()
    };
    assert_eq!(audits().await.audits, 0);
    let question = collection.question(&sequence, &[390], mode::budget(0.05));
    let answer = ask(&collection, question, true).await;
    let audits = audits().await;
    assert_eq!((audits.audits, audits.skipped), (1, 0));
    let audit = answer.report.unwrap().audit.unwrap();
    assert!((audits.error / audit.error - 1.0).abs() < 1e-5);
}

#[tokio::test]
async fn a_head_that_is_over_its_target_reads_more_from_then_on() {
    const TARGET: f32 = 0.2;
    const TOKENS: usize = 4000;
    let daemon = Daemon::with(&["audit.share=0"]);
    let sequence = misleading(TOKENS);
    let collection = Collection::create(&daemon.client().await, sequence.shape).await;
    collection.insert(&sequence, 0..TOKENS).await;
    collection.cluster().await;
    let answer = async |mode: wire::AttendMode, audit| {
        let question = collection.question(&sequence, &[TOKENS as u32 - 1], mode);
        ask(&collection, question, audit).await
    };
    let budget = answer(mode::budget(0.05), false).await;
    let error = |answer: &wire::AttendOutcome| {
        let report = answer.report.as_ref().unwrap();
        (report.audit.unwrap().error, report.bytes_read)
    };
    let (before, bytes_before) = error(&answer(mode::adaptive(TARGET), true).await);
    assert!(before > TARGET, "{before}: not misleading");
    for _ in 0..40 {
        answer(mode::adaptive(TARGET), true).await;
    }
    let (after, bytes_after) = error(&answer(mode::adaptive(TARGET), true).await);
    assert!(
        after < before && bytes_after > bytes_before,
        "{after} after {before}"
    );
    assert!(after < 1.1 * TARGET, "{after} after {before}");
    // No other mode is changed.
    assert_eq!(answer(mode::budget(0.05), false).await, budget);

    let stats = collection.client.stats(Some(collection.name.clone())).await;
    let layer = stats.unwrap().layers.remove(0);
    let audits = layer.audit.unwrap();
    assert_eq!((audits.audits, audits.raised_heads), (42, 2));
    assert_eq!(layer.raised.len(), 2);
    for head in layer.raised {
        assert!((0.125..1.0).contains(&head.target_factor), "{head:?}");
    }
}

/// Values that follow the part of their keys that every query asks for. So within each cluster the tokens that weigh more
/// than its mean have larger values, and the errors of all clusters add up, where they are believed to cancel.
fn misleading(tokens: usize) -> Sequence {
    let shape = Shape::default();
    let mut sequence = Sequence::random(shape, tokens, 7);
    let mut rng = Pcg64::seed_from_u64(8);
    let keys: Vec<f32> = StandardNormal
        .sample_iter(&mut rng)
        .take(tokens * shape.kv_heads * shape.head_dim)
        .collect();
    let values = keys
        .chunks_exact(shape.head_dim)
        .flat_map(|key| vec![key[0]; shape.value_dim]);
    sequence.v = shape.dtype.encode(&values.collect::<Vec<_>>());
    sequence.k = shape.dtype.encode(&keys);
    sequence.q.fill(0.0);
    for query in sequence.q.chunks_exact_mut(shape.head_dim) {
        query[0] = 8.0;
    }
    sequence
}

/// A collection with clustered tokens.
async fn stored(daemon: &Daemon) -> (Collection, Sequence) {
    let shape = Shape::default();
    let collection = Collection::create(&daemon.client().await, shape).await;
    let sequence = Sequence::random(shape, 400, 5);
    collection.insert(&sequence, 0..400).await;
    collection.cluster().await;
    (collection, sequence)
}
