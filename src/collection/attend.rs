//! Attend: plan, fetch, compute, merge, one KV head at a time.
//!
//! The heads of an entry are independent, so whoever has threads runs [`Attend::head`] on them and puts the answers
//! together with [`Attend::assemble`]. All of it is over one snapshot: an insert, a truncation or a segment that comes
//! meanwhile changes nothing.

use std::ops::Range;
use std::sync::Arc;

use tracing::trace_span;
use wavekv_kernels::{
    Accumulator, Attend as Kernel, AttendInput, Bounds, Matrix, Queries, Visibility,
};
use wavekv_storage::Patience;

use crate::collection::audit::{self, Planned};
use crate::collection::audited::Audited;
use crate::collection::gather::Gathered;
use crate::collection::layer::{Layer, Snapshot};
use crate::collection::refusal::checked_position;
use crate::collection::used::Used;
use crate::collection::watched::LastQuery;
use crate::index::audit::Seed;
use crate::index::middle::{Middle, Price};
use crate::index::segment::{HeadCodes, Payload};
use crate::index::{HeadQuery, Segment, Survey, Zone};
use crate::model::{
    AttendQuery, Audit, Cost, Error, ErrorKind, KvHead, LayerKind, Mode, NewTokens, Partial,
    Report, TokenRange,
};

/// Tokens whose exact sums are kept by themselves.
const FOLDED_TOKENS: u32 = 16 * 1024;

/// One entry, checked, over one snapshot.
#[derive(Debug)]
pub struct Attend {
    snapshot: Snapshot,
    query: AttendQuery,
    /// What each query token sees.
    visible: Vec<TokenRange>,
    /// On the target of `adaptive`, one a KV head, or none for 1.
    factors: Vec<f32>,
    /// Of the layer.
    audited: Arc<Audited>,
    /// Of the layer.
    used: Arc<Used>,
    /// Where the error is measured: what is drawn for it.
    audit: Option<Seed>,
}

/// The answer of one KV head: arrays are `[tokens, group]`, `out` has `value_dim` a row.
#[derive(Debug)]
pub struct HeadAnswer {
    pub(super) partial: Partial,
    pub(super) report: Report,
}

/// The answer to one entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Attended {
    /// Merged over all zones.
    pub partial: Partial,
    /// What it cost and how good it is.
    pub report: Report,
    /// The layer's length that was attended over.
    pub length: u32,
}

impl Layer {
    /// Prepares an entry over the layer as it is now. Where the query tokens' positions are not given they are the last
    /// before `end`.
    ///
    /// # Errors
    /// `OutOfRange` when a position is not of a stored token.
    pub fn attend(&self, query: AttendQuery, end: u32) -> Result<Attend, Error> {
        let snapshot = self.snapshot();
        let length = snapshot.length();
        let visible = self.visible_to(&query, length, end.min(length))?;
        self.watched.note(&query, self.query_row(), &visible);
        Ok(self.attend_over(snapshot, query, visible))
    }

    /// The last query that was kept, of its last token alone, over a snapshot of this layer; from now on queries are kept for a
    /// while.
    pub(super) fn last_attend(&self, snapshot: &Snapshot) -> Option<Attend> {
        let last = self.watched.look()?;
        let LastQuery { query, visible } = &*last;
        let stored = TokenRange::new(0, snapshot.length());
        let visible = vec![visible.intersection(stored)];
        Some(self.attend_over(snapshot.clone(), query.clone(), visible))
    }

    fn attend_over(
        &self,
        snapshot: Snapshot,
        query: AttendQuery,
        visible: Vec<TokenRange>,
    ) -> Attend {
        Attend {
            snapshot,
            query,
            visible,
            factors: self.audited.factors(),
            audited: Arc::clone(&self.audited),
            used: Arc::clone(&self.used),
            audit: None,
        }
    }

    /// Numbers of the queries of one token.
    fn query_row(&self) -> usize {
        let geometry = &self.fixed.geometry;
        geometry.q_heads as usize * geometry.head_dim as usize
    }

    /// Whether [`Layer::attend`] will find the positions of `query` once `new` is inserted: a decode step is refused
    /// before it stores anything.
    ///
    /// # Errors
    /// As [`Layer::attend`].
    pub fn check_step(&self, new: &NewTokens, query: &AttendQuery) -> Result<(), Error> {
        let length = self.length().max(new.range().end);
        self.visible_to(query, length, length).map(drop)
    }

    /// What each query token sees of `length` stored tokens.
    fn visible_to(
        &self,
        query: &AttendQuery,
        length: u32,
        end: u32,
    ) -> Result<Vec<TokenRange>, Error> {
        let sees = |position| visible(self.kind(), position, length);
        if let Some(positions) = &query.positions {
            let checked = positions
                .iter()
                .map(|position| checked_position("positions", *position, length));
            return checked.map(|position| position.map(sees)).collect();
        }
        let tokens = query.queries.len() / self.query_row();
        let last = last_tokens(tokens as u32, end)?;
        Ok(last
            .map(|position| position.map_or(TokenRange::EMPTY, sees))
            .collect())
    }
}

/// The positions of the last `tokens` tokens; nothing to see for any of them in an empty layer.
fn last_tokens(tokens: u32, end: u32) -> Result<impl Iterator<Item = Option<u32>>, Error> {
    if end > 0 && tokens > end {
        let message = format!("q has {tokens} tokens: expected at most {end}, the layer's length");
        return Err(Error::new(ErrorKind::OutOfRange, message));
    }
    Ok((0..tokens).map(move |token| (end + token).checked_sub(tokens).filter(|_| end > 0)))
}

/// The stored tokens that a query at `position` sees.
pub(super) fn visible(kind: LayerKind, position: u32, length: u32) -> TokenRange {
    kind.visible_to(position)
        .intersection(TokenRange::new(0, length))
}

/// The tokens that any query token sees.
fn hull(visible: &[TokenRange]) -> TokenRange {
    let seen = visible.iter().filter(|range| !range.is_empty());
    let start = seen.clone().map(|range| range.start).min().unwrap_or(0);
    TokenRange::new(start, seen.map(|range| range.end).max().unwrap_or(0))
}

impl Attend {
    /// Whether its caller wants the error of the answer measured.
    pub fn wants_audit(&self) -> bool {
        self.query.audit
    }

    /// Whether the answer leaves nothing out, whatever is asked: it has no error to measure.
    pub fn is_exact(&self) -> bool {
        self.query.mode == Mode::Exact || !self.snapshot.fixed.parameters.kind.has_segments()
    }

    /// The same, with its error measured on what is drawn by `seed`.
    #[must_use]
    pub fn audited(mut self, seed: Seed) -> Self {
        self.audit = Some(seed);
        self
    }

    /// The same of one of its query tokens alone: they are as good as each other to learn from, and an audit of a thousand
    /// would take long.
    #[must_use]
    pub fn audited_in_one_token(mut self, seed: Seed) -> Self {
        let token = seed.below(self.visible.len());
        let geometry = self.snapshot.geometry();
        let row = geometry.q_heads as usize * geometry.head_dim as usize;
        self.query.queries = self.query.queries[token * row..][..row].to_vec();
        self.visible = vec![self.visible[token]];
        self.audited(seed)
    }

    /// Has the layer learn what audits of all heads, in order, found. From then on it may answer otherwise.
    pub fn learn(&self, heads: &[HeadAnswer]) {
        let audits: Vec<Audit> = heads.iter().filter_map(|head| head.report.audit).collect();
        if audits.len() == heads.len() && !self.is_exact() {
            self.audited.learn(&audits, self.query.mode, &self.factors);
        }
    }

    /// Has the layer note what an answer that is given read of all heads, in order.
    pub fn note(&self, heads: &[HeadAnswer]) {
        if !self.is_exact() {
            self.used.note(heads.iter().map(|head| &head.report));
        }
    }

    /// As its caller asked for it.
    pub(super) fn asked_mode(&self) -> Mode {
        self.query.mode
    }

    /// The tokens that any query token sees.
    pub(super) fn hull(&self) -> TokenRange {
        hull(&self.visible)
    }

    /// How sharp the attention of the first query token is; none where it has nothing to choose among.
    pub(super) fn sharpness(&self, head: KvHead) -> Result<Option<f32>, Error> {
        let pass = Pass::new(self, head, 0..1);
        let (survey, _) = pass.survey(&pass.queries)?;
        Ok(survey.sharpness())
    }

    /// What the first query token does with every cluster of a head, segment after segment.
    pub(super) fn zones(&self, head: KvHead) -> Result<Vec<Zone>, Error> {
        let mut pass = Pass::new(self, head, 0..1);
        let queries = pass.queries.clone();
        pass.steady()?;
        let chosen = pass.choose(self.mode(head), &queries)?;
        let mut chosen_zones = chosen.survey.zones().iter().copied();
        let mut zones = vec![];
        for segment in self.snapshot.segments() {
            let Some(index) = segment.head(head)? else {
                continue;
            };
            let is_seen = !segment.range().intersection(pass.hull).is_empty();
            zones.extend((0..index.clusters()).map(|_| {
                let zone = is_seen.then(|| chosen_zones.next());
                zone.flatten().unwrap_or(Zone::Hidden)
            }));
        }
        Ok(zones)
    }

    /// The KV heads, each to be given to [`Attend::head`].
    pub fn heads(&self) -> impl Iterator<Item = KvHead> + use<> {
        (0..self.snapshot.geometry().kv_heads).map(KvHead)
    }

    /// Answers for the query heads of one KV head.
    ///
    /// # Errors
    /// `Internal` only: a broken promise of our own code.
    pub fn head(&self, head: KvHead) -> Result<HeadAnswer, Error> {
        let tokens = self.visible.len();
        if self.is_exact() {
            let mut answer = Pass::new(self, head, 0..tokens).exact()?;
            answer.report.audit = self.audit.map(|_| Audit::default());
            return Ok(answer);
        }
        let mut answer = HeadAnswer {
            partial: Partial {
                out: vec![],
                lse: vec![],
            },
            report: Report::default(),
        };
        let mut audits = vec![];
        for token in 0..tokens {
            let of_token = self.token(head, token)?;
            answer.partial.out.extend(of_token.partial.out);
            answer.partial.lse.extend(of_token.partial.lse);
            answer.report.exact_mass.extend(of_token.report.exact_mass);
            answer
                .report
                .error_estimate
                .extend(of_token.report.error_estimate);
            answer.report.cost = answer.report.cost.plus(of_token.report.cost);
            audits.extend(of_token.report.audit);
        }
        answer.report.audit = Audit::mean(audits);
        Ok(answer)
    }

    /// Answers for one query token and one KV head.
    fn token(&self, head: KvHead, token: usize) -> Result<HeadAnswer, Error> {
        let mode = self.mode(head);
        let pass = || Pass::new(self, head, token..token + 1);
        if self.snapshot.fixed.parameters.kind.has_clusters() {
            let seed = u64::from(head.0) << u32::BITS | token as u64;
            return pass().planned(mode, self.audit.map(|audit| audit.of(seed)));
        }
        let mut answer = pass().searched(mode)?;
        if self.audit.is_some() {
            answer.report.audit = Some(if answer.report.cost.ignored_tokens == 0 {
                Audit::default()
            } else {
                audit::against(&pass().exact()?, &answer)
            });
        }
        Ok(answer)
    }

    /// The mode for a head: its target of `adaptive` is lowered where audits found it wanting.
    fn mode(&self, head: KvHead) -> Mode {
        match (self.query.mode, self.factors.get(head.index())) {
            (Mode::Adaptive { target_error }, Some(factor)) => Mode::Adaptive {
                target_error: target_error * factor,
            },
            (mode, _) => mode,
        }
    }

    /// Puts the answers of all heads, in order, together.
    pub fn assemble(&self, heads: &[HeadAnswer]) -> Attended {
        let geometry = self.snapshot.geometry();
        let (group, dim) = (geometry.group(), geometry.value_dim as usize);
        let mut attended = Attended {
            partial: Partial {
                out: vec![],
                lse: vec![],
            },
            report: Report::default(),
            length: self.snapshot.length(),
        };
        let Attended {
            partial, report, ..
        } = &mut attended;
        for token in 0..self.visible.len() {
            let rows = token * group..(token + 1) * group;
            for head in heads {
                partial
                    .out
                    .extend(&head.partial.out[rows.start * dim..rows.end * dim]);
                partial.lse.extend(&head.partial.lse[rows.clone()]);
                report
                    .exact_mass
                    .extend(&head.report.exact_mass[rows.clone()]);
                report
                    .error_estimate
                    .extend(&head.report.error_estimate[rows.clone()]);
            }
        }
        report.cost = heads
            .iter()
            .fold(Cost::default(), |cost, head| cost.plus(head.report.cost));
        report.audit = Audit::mean(heads.iter().filter_map(|head| head.report.audit));
        attended
    }
}

/// Some query tokens of one KV head on their way through the zones. Rows are `[tokens, group]`.
pub(super) struct Pass<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) head: KvHead,
    /// Of each token.
    visible: &'a [TokenRange],
    /// The tokens that any row sees.
    pub(super) hull: TokenRange,
    pub(super) queries: Vec<f32>,
    /// Of each row.
    bounds: Vec<Bounds>,
    /// What was computed exactly so far.
    pub(super) exact: Accumulator,
    /// Of earlier tokens, put aside while many are computed.
    folded: Option<Accumulator>,
    /// Tokens since something was put aside.
    unfolded: u32,
    pub(super) cost: Cost,
}

/// What one query token chose.
struct Chosen<'s> {
    survey: Survey<'s>,
    /// Of the survey.
    indexed: Vec<&'s Arc<Segment>>,
    /// At which tokens are read beyond what was chosen, if any are.
    price: Option<Price>,
}

/// Who sees some tokens: every row, or those whose bounds hold the positions, which are in a row from the first or
/// anywhere.
#[derive(Clone, Copy)]
enum Seen<'a> {
    ByAll,
    From(u32),
    At(&'a [u32]),
}

impl<'a> Pass<'a> {
    fn new(attend: &'a Attend, head: KvHead, tokens: Range<usize>) -> Self {
        let geometry = attend.snapshot.geometry();
        let (group, dim) = (geometry.group(), geometry.head_dim as usize);
        let (row, width) = (geometry.q_heads as usize * dim, group * dim);
        let visible = &attend.visible[tokens.clone()];
        let queries = tokens
            .clone()
            .flat_map(|token| &attend.query.queries[token * row + head.index() * width..][..width]);
        let bounds = visible.iter().flat_map(|range| {
            std::iter::repeat_n(
                Bounds {
                    first: range.start,
                    end: range.end,
                },
                group,
            )
        });
        let token_bytes = (geometry.key_bytes() + geometry.value_bytes()) as u64;
        let visible_tokens: u64 = visible.iter().map(|range| u64::from(range.tokens())).sum();
        Self {
            snapshot: &attend.snapshot,
            head,
            visible,
            hull: hull(visible),
            queries: queries.copied().collect(),
            bounds: bounds.collect(),
            exact: Accumulator::new(tokens.len() * group, geometry.value_dim as usize),
            folded: None,
            unfolded: 0,
            cost: Cost {
                full_bytes: visible_tokens * token_bytes,
                ..Cost::default()
            },
        }
    }

    /// Every visible token exactly, all query tokens in one pass over K and V.
    fn exact(mut self) -> Result<HeadAnswer, Error> {
        self.steady()?;
        let snapshot = self.snapshot;
        for segment in snapshot.segments() {
            let range = segment.range();
            if range.intersection(self.hull).is_empty() {
                continue;
            }
            let payload = segment.payload(self.head, segment.all_rows(), Patience::Idle)?;
            self.read(&payload, range)?;
            self.cost.retrieved_tokens += self.seen_of(range);
            self.fold_many(range)?;
        }
        self.settle()?;
        let rows = self.exact.rows();
        let mut answer = self.answer(&self.exact)?;
        answer.report.exact_mass = vec![1.0; rows];
        answer.report.error_estimate = vec![0.0; rows];
        Ok(answer)
    }

    /// What the meta index says of one query token, and the segments that it sees anything of.
    fn survey<'s>(&self, queries: &'s [f32]) -> Result<(Survey<'s>, Vec<&'s Arc<Segment>>), Error>
    where
        'a: 's,
    {
        let snapshot = self.snapshot;
        let geometry = snapshot.geometry();
        let query = HeadQuery {
            queries: Queries::new(queries, geometry.group(), geometry.head_dim as usize)?,
            scale: geometry.scale,
            visible: self.hull,
        };
        let indexed: Vec<_> = snapshot
            .segments()
            .iter()
            .filter(|segment| !segment.range().intersection(self.hull).is_empty())
            .collect();
        let heads = indexed.iter().map(|segment| segment.head(self.head));
        let heads = heads
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        let survey = || Survey::new(snapshot.fixed.kernels, query, heads);
        let survey = trace_span!("index.survey").in_scope(survey)?;
        Ok((survey, indexed))
    }

    /// What `mode` chooses for one query token, when sink, window and tail were computed; what is steady besides is computed
    /// here.
    fn choose<'s>(&mut self, mode: Mode, queries: &'s [f32]) -> Result<Chosen<'s>, Error>
    where
        'a: 's,
    {
        let (mut survey, indexed) = self.survey(queries)?;
        for (segment, rows) in survey.row_runs(Zone::Steady) {
            let payload = indexed[segment].payload(self.head, rows, Patience::Idle)?;
            let seen = payload
                .positions
                .iter()
                .filter(|position| self.hull.contains(**position));
            self.cost.steady_tokens += seen.count() as u64;
            self.read(&payload, indexed[segment].range())?;
        }
        let price = trace_span!("index.select").in_scope(|| survey.choose(mode, &self.exact))?;
        Ok(Chosen {
            survey,
            indexed,
            price,
        })
    }

    /// One query token: what `mode` chooses exactly, the rest estimated; with its error measured where a seed is given.
    fn planned(mut self, mode: Mode, audit: Option<Seed>) -> Result<HeadAnswer, Error> {
        trace_span!("collection.steady").in_scope(|| self.steady())?;
        let queries = self.queries.clone();
        let Chosen {
            mut survey,
            indexed,
            price,
        } = self.choose(mode, &queries)?;
        self.retrieve(&survey, &indexed)?;
        let codes = HeadCodes::new(
            self.head,
            indexed.iter().map(|segment| &***segment).collect(),
        );
        let middle = price.map(|price| self.read_codes(&mut survey, price, &indexed, &codes));
        let middle = middle.transpose()?;
        self.cost.retrieved_tokens += survey.tokens(Zone::Retrieval);
        self.cost.estimated_tokens += survey.tokens(Zone::Estimation);
        self.cost.ignored_tokens += survey.tokens(Zone::Ignored);
        let mut merged = self.exact.clone();
        self.cost.bytes_read += survey.scan_bytes()
            + trace_span!("index.estimate").in_scope(|| survey.estimate(&mut merged))?;
        if let Some(middle) = &middle {
            middle.add_values(&survey, &codes, &mut merged)?;
        }
        let mut answer = self.answer(&merged)?;
        answer.report.error_estimate = survey.error_estimate(&merged)?;
        let mass = |(row, lse): (usize, &f32)| exact_mass(self.exact.log_sum(row), *lse);
        answer.report.exact_mass = answer.partial.lse.iter().enumerate().map(mass).collect();
        if let Some(seed) = audit {
            let planned = Planned {
                survey: &survey,
                middle: middle.as_ref(),
                segments: &indexed,
                codes: &codes,
                answer: &answer,
            };
            answer.report.audit = Some(self.audit(planned, seed)?);
        }
        Ok(answer)
    }

    /// Computes the clusters that were chosen exactly; the disk is asked for all of them first.
    fn retrieve(&mut self, survey: &Survey<'_>, indexed: &[&Arc<Segment>]) -> Result<(), Error> {
        let _span = trace_span!("collection.retrieve").entered();
        let retrieved = survey.row_runs(Zone::Retrieval);
        for (segment, rows) in &retrieved {
            indexed[*segment].expect(self.head, rows.clone());
        }
        for (segment, rows) in retrieved {
            let segment = indexed[segment];
            let payload = segment.payload(self.head, rows, Patience::Idle)?;
            self.read(&payload, segment.range())?;
        }
        Ok(())
    }

    /// Weighs the tokens of the coded clusters, and computes exactly those that are worth it.
    fn read_codes<'s>(
        &mut self,
        survey: &mut Survey<'s>,
        price: Price,
        indexed: &[&'s Arc<Segment>],
        codes: &HeadCodes<'s>,
    ) -> Result<Middle, Error> {
        let _span = trace_span!("index.middle").entered();
        let geometry = self.snapshot.geometry();
        let token_bytes = geometry.key_bytes() + geometry.value_bytes();
        let head = self.head;
        let middle = survey.read_codes(price, token_bytes, codes)?;
        let mut gathered = Gathered::new(geometry);
        for of_segment in &middle.segments {
            indexed[of_segment.segment].expect_scattered(head, &of_segment.exact_rows);
        }
        for of_segment in &middle.segments {
            let segment = indexed[of_segment.segment];
            let payload = segment.scattered(head, &of_segment.exact_rows)?;
            gathered.take(
                self.snapshot.fixed.kernels,
                &payload,
                &of_segment.exact_rows,
            )?;
        }
        self.read_gathered(&gathered)?;
        self.cost.coded_tokens += middle.tokens;
        self.cost.bytes_read += middle.bytes;
        Ok(middle)
    }

    /// Computes chosen tokens, which every row sees, exactly.
    pub(super) fn read_gathered(&mut self, gathered: &Gathered) -> Result<(), Error> {
        self.cost.retrieved_tokens += gathered.rows() as u64;
        self.compute(gathered.keys()?, gathered.values()?, Seen::ByAll)
    }

    /// Sink, window and tail.
    pub(super) fn steady(&mut self) -> Result<(), Error> {
        let snapshot = self.snapshot;
        let geometry = snapshot.geometry();
        for (block, part) in snapshot.steady.parts(self.hull) {
            let keys = block.keys(geometry, self.head, part)?;
            let values = block.values(geometry, self.head, part)?;
            let seen = if self.all_see(part) {
                Seen::ByAll
            } else {
                Seen::From(part.start)
            };
            self.compute(keys, values, seen)?;
            self.cost.steady_tokens += self.seen_of(part);
            self.fold_many(part)?;
        }
        self.settle()
    }

    /// Puts the sums of many tokens aside, `tokens` the last of them: a sum of millions of small numbers that is kept in f32 loses
    /// digits of each, one of the sums of [`FOLDED_TOKENS`] does not.
    fn fold_many(&mut self, tokens: TokenRange) -> Result<(), Error> {
        self.unfolded += tokens.tokens();
        if self.unfolded >= FOLDED_TOKENS {
            self.unfolded = 0;
            match &mut self.folded {
                Some(folded) => folded.merge(&self.exact)?,
                None => self.folded = Some(self.exact.clone()),
            }
            self.exact.reset();
        }
        Ok(())
    }

    /// Brings what was put aside, if anything was, back to `exact`.
    fn settle(&mut self) -> Result<(), Error> {
        self.unfolded = 0;
        if let Some(mut folded) = self.folded.take() {
            folded.merge(&self.exact)?;
            self.exact = folded;
        }
        Ok(())
    }

    /// Computes tokens of a segment of tokens `range` exactly.
    pub(super) fn read(&mut self, payload: &Payload<'_>, range: TokenRange) -> Result<(), Error> {
        let seen = if self.all_see(range) {
            Seen::ByAll
        } else {
            Seen::At(payload.positions)
        };
        self.compute(payload.keys, payload.values, seen)
    }

    /// Adds tokens to what was computed exactly.
    fn compute(
        &mut self,
        keys: Matrix<'_>,
        values: Matrix<'_>,
        seen: Seen<'_>,
    ) -> Result<(), Error> {
        let bounds = &self.bounds;
        let visible = match seen {
            Seen::ByAll => Visibility::All,
            Seen::From(first_position) => Visibility::From {
                first_position,
                bounds,
            },
            Seen::At(positions) => Visibility::Positions { positions, bounds },
        };
        let exact = &mut self.exact;
        self.cost.bytes_read += add(self.snapshot, &self.queries, keys, values, visible, exact)?;
        Ok(())
    }

    fn all_see(&self, range: TokenRange) -> bool {
        self.visible.iter().all(|visible| visible.covers(range))
    }

    /// Tokens of `range` that query tokens see, each counted once for each query token.
    pub(super) fn seen_of(&self, range: TokenRange) -> u64 {
        self.visible
            .iter()
            .map(|visible| u64::from(visible.intersection(range).tokens()))
            .sum()
    }

    pub(super) fn answer(&self, sums: &Accumulator) -> Result<HeadAnswer, Error> {
        let dim = sums.value_dim();
        let mut out = vec![0.0; sums.rows() * dim];
        let rows = out.chunks_exact_mut(dim).enumerate();
        let lse = rows
            .map(|(row, out)| sums.write_row(row, out))
            .collect::<Result<_, _>>()?;
        let report = Report {
            cost: self.cost,
            ..Report::default()
        };
        Ok(HeadAnswer {
            partial: Partial { out, lse },
            report,
        })
    }
}

/// Adds tokens to what `queries`, a row each of `to`, come to; returns the bytes that were read.
pub(super) fn add(
    snapshot: &Snapshot,
    queries: &[f32],
    keys: Matrix<'_>,
    values: Matrix<'_>,
    visible: Visibility<'_>,
    to: &mut Accumulator,
) -> Result<u64, Error> {
    let geometry = snapshot.geometry();
    let input = AttendInput {
        queries: Queries::new(queries, to.rows(), geometry.head_dim as usize)?,
        keys,
        values,
        visible,
        scale: geometry.scale,
        softcap: geometry.softcap,
    };
    snapshot.fixed.kernels.attend(Kernel::new(input, to)?);
    Ok((keys.bytes().len() + values.bytes().len()) as u64)
}

/// The share of the mass `lse` that `exact` is; of no mass, all is exact.
fn exact_mass(exact: f32, lse: f32) -> f32 {
    if lse == f32::NEG_INFINITY {
        1.0
    } else {
        (exact - lse).exp().min(1.0)
    }
}
