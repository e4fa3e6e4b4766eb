//! Attention.

use wavekv_client::{Mode, wire};

use crate::client::WavekvClient;
use crate::given::{WavekvLayer, WavekvTensor, all, all_mut, present};
use crate::status::{Failure, WavekvStatus, told};
use crate::tokens::{entries, wanted, written};

/// How much is computed exactly.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WavekvModeKind {
    /// As the daemon is configured.
    Default = 0,
    /// Everything.
    Exact = 1,
    /// As much as the target error takes.
    Adaptive = 2,
    /// A share of the tokens; all other clusters are estimated.
    Budget = 3,
    /// The paper's rule.
    Retroinfer = 4,
}

/// A mode: a `WavekvModeKind`, and what it takes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WavekvMode {
    /// A `WavekvModeKind`.
    pub kind: u32,
    /// Of adaptive the target of |out - exact| / |exact|, of budget the share of tokens; else nothing.
    pub value: f32,
}

/// A query, with what is to be inserted first.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WavekvAttend {
    /// That is attended to.
    pub layer: WavekvLayer,
    /// `[tokens, q_heads, head_dim]`.
    pub q: WavekvTensor,
    /// Of each query token; null: the layer's last ones, after the insert.
    pub positions: *const u32,
    /// How.
    pub mode: WavekvMode,
    /// K of this step; no insert where its data is null.
    pub k: WavekvTensor,
    /// V of this step.
    pub v: WavekvTensor,
    /// Position of the step's first token.
    pub start: u32,
    /// Room for the output `[tokens, q_heads, value_dim]`.
    pub out: *mut f32,
    /// Its elements.
    pub out_length: usize,
    /// Room for the log-sum-exp `[tokens, q_heads]`; may be null.
    pub lse: *mut f32,
    /// Its elements.
    pub lse_length: usize,
}

/// What an answer cost, summed over query tokens and KV heads, and how good it is believed to be.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WavekvReport {
    /// The layer's length, after the insert.
    pub length: u32,
    /// The largest estimate of |out - exact| / |exact| of a query head.
    pub error_estimate: f32,
    /// Tokens that the queries see.
    pub visible_tokens: u64,
    /// Computed exactly: sink, window and tail.
    pub steady_tokens: u64,
    /// Computed exactly: chosen.
    pub retrieved_tokens: u64,
    /// Weighed by codes.
    pub coded_tokens: u64,
    /// Estimated.
    pub estimated_tokens: u64,
    /// Read for the answer.
    pub bytes_read: u64,
    /// That all visible tokens have.
    pub full_bytes: u64,
}

/// Answers `count` queries in one call, which fail alone, as the entries of `wavekv_insert` do. `reports` (one each) may be null.
///
/// # Safety
/// As `wavekv_insert`; `out` and `lse` of every query may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wavekv_attend(
    client: *const WavekvClient,
    queries: *const WavekvAttend,
    count: usize,
    reports: *mut WavekvReport,
    statuses: *mut WavekvStatus,
) -> WavekvStatus {
    told(|| {
        // SAFETY: the caller's promise.
        let client = unsafe { present("client", client) }?;
        // SAFETY: the caller's promise.
        let queries = unsafe { all("queries", queries, count) }?;
        // SAFETY: the caller's promise.
        let reports = unsafe { all_mut("reports", reports, wanted(reports, count)) }?;
        // SAFETY: the caller's promise.
        let statuses = unsafe { all_mut("statuses", statuses, wanted(statuses, count)) }?;
        // SAFETY: the caller's promise.
        let sent = queries.iter().map(|query| unsafe { query.wire() });
        let batch = client.inner.attend(sent.collect::<Result<_, _>>()?)?;
        entries(batch, statuses, |index, outcome| {
            if let Some(report) = reports.get_mut(index) {
                *report = WavekvReport::of(&outcome);
            }
            // SAFETY: the caller's promise.
            unsafe { queries[index].answered(outcome) }
        })
    })
}

impl WavekvAttend {
    /// As the contract has it.
    ///
    /// # Safety
    /// As [`wavekv_attend`].
    unsafe fn wire(&self) -> Result<wire::AttendEntry, Failure> {
        let count = if self.positions.is_null() {
            0
        } else {
            self.q.tokens as usize
        };
        let insert = if self.k.data.is_null() {
            None
        } else {
            Some(wire::InsertEntry {
                layer: None,
                start_position: self.start,
                // SAFETY: the caller's promise.
                k: Some(unsafe { self.k.wire("k") }?),
                // SAFETY: the caller's promise.
                v: Some(unsafe { self.v.wire("v") }?),
            })
        };
        Ok(wire::AttendEntry {
            // SAFETY: the caller's promise.
            layer: Some(unsafe { self.layer.wire() }?),
            // SAFETY: the caller's promise.
            q: Some(unsafe { self.q.wire("q") }?),
            // SAFETY: the caller's promise.
            positions: unsafe { all("positions", self.positions, count) }?.to_vec(),
            mode: self.mode.wire()?,
            insert,
            audit: false,
        })
    }

    /// Writes the answer.
    ///
    /// # Safety
    /// As [`wavekv_attend`].
    unsafe fn answered(&self, outcome: wire::AttendOutcome) -> Result<(), Failure> {
        let bytes = |length: usize| length.saturating_mul(size_of::<f32>());
        // SAFETY: the caller's promise; every f32 may be written as bytes.
        let out = unsafe { all_mut("out", self.out.cast::<u8>(), bytes(self.out_length)) }?;
        written("out", out, &outcome.out.unwrap_or_default().data)?;
        if self.lse.is_null() {
            return Ok(());
        }
        // SAFETY: as above.
        let lse = unsafe { all_mut("lse", self.lse.cast::<u8>(), bytes(self.lse_length)) }?;
        written("lse", lse, &outcome.lse.unwrap_or_default().data)
    }
}

impl WavekvMode {
    fn wire(self) -> Result<Option<wire::AttendMode>, Failure> {
        let mode = match self.kind {
            0 => return Ok(None),
            1 => Mode::Exact,
            2 => Mode::Adaptive { target: self.value },
            3 => Mode::Budget {
                retrieve: self.value,
                estimate: None,
            },
            4 => Mode::RetroInfer,
            other => {
                let sentence = format!("mode.kind is {other}: expected a WavekvModeKind, 0 to 4");
                return Err(Failure::invalid(sentence));
            }
        };
        Ok(Some(mode.wire()))
    }
}

impl WavekvReport {
    fn of(outcome: &wire::AttendOutcome) -> Self {
        let report = outcome.report.clone().unwrap_or_default();
        Self {
            length: outcome.length,
            error_estimate: report.error_estimate.iter().copied().fold(0.0, f32::max),
            visible_tokens: report.visible_tokens,
            steady_tokens: report.steady_tokens,
            retrieved_tokens: report.retrieved_tokens,
            coded_tokens: report.coded_tokens,
            estimated_tokens: report.estimated_tokens,
            bytes_read: report.bytes_read,
            full_bytes: report.full_bytes,
        }
    }
}
