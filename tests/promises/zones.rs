//! Every visible token is in exactly one zone of every query: none is lost, none counted twice.
//!
//! Where all keys are alike, every token weighs the same and estimates have no error. So whatever the mode estimates, the
//! mass of the answer is the number of tokens in its zones, and its output their mean value.

use proptest::prelude::*;
use wavekv_client::{Client, wire};

use crate::harness::property::{self, Asked, asked};
use crate::harness::{Collection, Partial, Sequence};

/// Mean values are kept in a byte an element, and are shorter than the values: a token too many or too few shows in the
/// mass.
const TOLERANCE: f64 = 1e-2;

#[test]
fn every_visible_token_is_in_one_zone() {
    property::holds(128, &(asked(), any::<bool>()), &check);
}

async fn check(client: &Client, (case, clustered): (Asked, bool)) -> Result<(), TestCaseError> {
    let mut sequence = Sequence::random(case.shape, case.tokens, case.seed);
    sequence.k.fill(0);
    let collection = Collection::create_as(client, case.shape, case.kind).await;
    collection.insert(&sequence, 0..case.tokens).await;
    if clustered {
        collection.cluster().await;
    }
    if case.tokens == 0 {
        nothing_is_visible(&collection, &case).await?;
    } else {
        let positions = case.positions();
        let answer = collection.attend(&sequence, &positions, case.mode).await;
        each_token_counts_once(&sequence, &positions, &answer)?;
        if answer.report.as_ref().unwrap().ignored_tokens == 0 {
            let tolerance = match case.mode.mode {
                // It may take the value of a light cluster to be the mean of its segment.
                Some(wire::attend_mode::Mode::Adaptive(adaptive)) => adaptive.target_error.into(),
                _ => 0.0,
            };
            let errors = sequence.errors(&positions, &answer);
            let worst = errors.into_iter().fold(0.0, f64::max);
            prop_assert!(worst < TOLERANCE.max(tolerance), "relative error {worst}");
        }
    }
    collection.delete().await;
    Ok(())
}

fn each_token_counts_once(
    sequence: &Sequence,
    positions: &[u32],
    answer: &wire::AttendOutcome,
) -> Result<(), TestCaseError> {
    let shape = sequence.shape;
    let sees = |position: &u32| match u64::from(position + 1) {
        before if shape.window == 0 => before,
        before => before.min(shape.window.into()),
    };
    let visible = positions.iter().map(sees).sum::<u64>() * shape.kv_heads as u64;
    let report = answer.report.as_ref().unwrap();
    let exact = report.steady_tokens + report.retrieved_tokens;
    let weighed = exact + report.coded_tokens + report.estimated_tokens;
    prop_assert_eq!(report.visible_tokens, visible);
    prop_assert_eq!(weighed + report.ignored_tokens, visible);

    let found = Partial::of_answer(answer.out.as_ref(), answer.lse.as_ref());
    let masses = found.lse.iter().step_by(shape.group).map(|lse| lse.exp());
    prop_assert_eq!(masses.map(|mass| mass.round() as u64).sum::<u64>(), weighed);
    Ok(())
}

async fn nothing_is_visible(collection: &Collection, case: &Asked) -> Result<(), TestCaseError> {
    let any = Sequence::random(case.shape, 1, case.seed);
    let entry = wire::AttendEntry {
        positions: vec![],
        ..collection.question(&any, &[0], case.mode)
    };
    let answer = collection.client.attend_one(entry).await.unwrap();
    let nothing = Partial::of_nothing(case.shape.q_heads(), case.shape.value_dim);
    let found = Partial::of_answer(answer.out.as_ref(), answer.lse.as_ref());
    prop_assert_eq!(found, nothing);
    prop_assert_eq!(answer.report.unwrap().visible_tokens, 0);
    Ok(())
}
