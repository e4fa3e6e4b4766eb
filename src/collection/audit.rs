//! Audits: what was drawn of an answer is computed exactly, and its error measured ([`crate::index::audit`]).
//!
//! Of the kinds of index that are searched nothing is known of what a search did not find, not even which of it weighs: a
//! sample that misses the one token that matters would call the answer good. There all that was ignored is computed, and
//! the error is known.

use std::sync::Arc;

use wavekv_kernels::{Accumulator, Visibility};

use crate::collection::attend::{self, HeadAnswer, Pass};
use crate::collection::gather::Gathered;
use crate::index::audit::tally::{Part, Tally};
use crate::index::audit::{Drawn, Given, Sample, Seed};
use crate::index::middle::Middle;
use crate::index::segment::HeadCodes;
use crate::index::{Segment, Survey};
use crate::model::{Audit, Error};

/// An answer with what led to it.
#[derive(Clone, Copy)]
pub(super) struct Planned<'a> {
    pub(super) survey: &'a Survey<'a>,
    pub(super) middle: Option<&'a Middle>,
    /// Of the survey.
    pub(super) segments: &'a [&'a Arc<Segment>],
    pub(super) codes: &'a HeadCodes<'a>,
    pub(super) answer: &'a HeadAnswer,
}

impl Pass<'_> {
    /// Measures the error of an answer to one query token. Nothing of it counts as the answer's own cost.
    pub(super) fn audit(&self, planned: Planned<'_>, seed: Seed) -> Result<Audit, Error> {
        let answer = planned.answer;
        let given = Given {
            exact: &self.exact,
            middle: planned.middle,
            out: &answer.partial.out,
            lse: &answer.partial.lse,
            errors: &answer.report.error_estimate,
        };
        let codes = planned.codes.clone();
        let (mut sample, drawn) = Sample::draw(planned.survey, given, codes, seed)?;
        for drawn in &drawn {
            planned.segments[drawn.place.segment].expect_scattered(self.head, &drawn.rows);
        }
        let mut audit = Audit {
            clusters: drawn.len() as u64,
            bytes_read: sample.bytes(),
            ..Audit::default()
        };
        let mut computed = Accumulator::new(self.exact.rows(), self.exact.value_dim());
        for drawn in &drawn {
            computed.reset();
            let segment = planned.segments[drawn.place.segment];
            audit.bytes_read += self.compute_drawn(segment, drawn, &mut computed)?;
            audit.tokens += drawn.rows.len() as u64;
            sample.take(drawn, &computed)?;
        }
        let measured = sample.finish();
        audit.square = measured.square;
        audit.variance = measured.variance;
        Ok(audit)
    }

    /// Computes what was drawn of a cluster, every token of which the query sees; returns the bytes that were read.
    fn compute_drawn(
        &self,
        segment: &Segment,
        drawn: &Drawn,
        to: &mut Accumulator,
    ) -> Result<u64, Error> {
        let mut gathered = Gathered::new(self.snapshot.geometry());
        let payload = segment.scattered(self.head, &drawn.rows)?;
        gathered.take(self.snapshot.fixed.kernels, &payload, &drawn.rows)?;
        let (keys, values) = (gathered.keys()?, gathered.values()?);
        attend::add(
            self.snapshot,
            &self.queries,
            keys,
            values,
            Visibility::All,
            to,
        )
    }
}

/// The error of an answer that ignored what `exact`, the answer to the same query tokens, did not.
pub(super) fn against(exact: &HeadAnswer, given: &HeadAnswer) -> Audit {
    let numbers = |from: &[f32]| from.iter().map(|x| f64::from(*x)).collect();
    // With a mass of 1 a row, the exact sums are the exact answer.
    let known = Part {
        masses: vec![1.0; exact.partial.lse.len()],
        sums: numbers(&exact.partial.out),
    };
    let measured = Tally::new(&given.partial.out, &known).finish();
    Audit {
        square: measured.square,
        variance: measured.variance,
        clusters: 0,
        tokens: given.report.cost.ignored_tokens,
        bytes_read: exact.report.cost.bytes_read,
    }
}
