//! The attend of the kinds that are searched: steady tokens, then exactly what the searches of the segments found. The rest
//! is ignored, and the report says what it may have weighed.

use std::sync::Arc;

use wavekv_kernels::Queries;
use wavekv_storage::Patience;

use crate::collection::attend::{HeadAnswer, Pass};
use crate::collection::gather::Gathered;
use crate::index::kinds::{Question, Retrieval, Searched};
use crate::index::{HeadQuery, Segment};
use crate::model::{Cost, Error, Mode};

impl<'a> Pass<'a> {
    /// One query token.
    pub(super) fn searched(mut self, mode: Mode) -> Result<HeadAnswer, Error> {
        self.steady()?;
        let whole = self.cut_segments()?;
        let snapshot = self.snapshot;
        let geometry = snapshot.geometry();
        let queries = self.queries.clone();
        let heads = whole.iter().filter_map(|segment| {
            let search = segment.search(self.head)?;
            Some(Searched {
                keys: &*search.keys,
                tokens: segment.range().tokens() as usize,
                value_mean_norm: search.value_mean_norm,
            })
        });
        let question = Question {
            query: HeadQuery {
                queries: Queries::new(&queries, geometry.group(), geometry.head_dim as usize)?,
                scale: geometry.scale,
                visible: self.hull,
            },
            segments: heads.collect(),
        };
        let (steady, cost) = (self.exact.clone(), self.cost);
        let mut retrieval = question.retrieve(mode, &steady)?;
        self.read_retrieved(&whole, &retrieval)?;
        if let Some(more) = question.retrieve_more(mode, &steady, &retrieval, &self.exact)? {
            let bytes_read = self.cost.bytes_read;
            self.exact = steady;
            self.cost = Cost { bytes_read, ..cost };
            self.read_retrieved(&whole, &more)?;
            retrieval = more;
        }
        let appraised = retrieval.appraise(&self.exact)?;
        let mut answer = self.answer(&self.exact)?;
        answer.report.exact_mass = appraised.exact_mass;
        answer.report.error_estimate = appraised.errors;
        Ok(answer)
    }

    fn read_retrieved(
        &mut self,
        segments: &[&'a Arc<Segment>],
        retrieval: &Retrieval,
    ) -> Result<(), Error> {
        self.cost.bytes_read += retrieval.bytes;
        let Some(rows) = &retrieval.rows else {
            for segment in segments {
                let payload = segment.payload(self.head, segment.all_rows(), Patience::Idle)?;
                self.read(&payload, segment.range())?;
                self.cost.retrieved_tokens += u64::from(segment.range().tokens());
            }
            return Ok(());
        };
        for (segment, rows) in segments.iter().zip(rows) {
            segment.expect_scattered(self.head, rows);
        }
        let mut gathered = Gathered::new(self.snapshot.geometry());
        for (segment, rows) in segments.iter().zip(rows) {
            let payload = segment.scattered(self.head, rows)?;
            gathered.take(self.snapshot.fixed.kernels, &payload, rows)?;
            self.cost.ignored_tokens += u64::from(segment.range().tokens()) - rows.len() as u64;
        }
        self.read_gathered(&gathered)
    }

    /// Computes what the query sees of segments that it does not see whole, and gives the others: a search does not know
    /// what it must not find.
    fn cut_segments(&mut self) -> Result<Vec<&'a Arc<Segment>>, Error> {
        let mut whole = vec![];
        let snapshot = self.snapshot;
        for segment in snapshot.segments() {
            let part = segment.range().intersection(self.hull);
            if part == segment.range() {
                whole.push(segment);
            } else if !part.is_empty() {
                let rows = part.rows_from(segment.range().start);
                let payload = segment.payload(self.head, rows, Patience::Idle)?;
                self.read(&payload, part)?;
                self.cost.steady_tokens += self.seen_of(part);
            }
        }
        Ok(whole)
    }
}
