//! The choice of what is read: which clusters, and whether exactly or by their codes. One file a mode.
//!
//! A choice only moves clusters from the estimation zone to retrieval, coded or ignored; it reads neither K nor V.

mod adaptive;
mod budget;

use wavekv_kernels::{Accumulator, ShapeError};

use crate::index::middle::Price;
use crate::index::survey::Survey;
use crate::model::Mode;

impl Survey<'_> {
    /// Chooses for `mode`, given what the steady zone of each query head came to. Where clusters are to be read by their
    /// codes, the answer is the price at which tokens are read beyond that.
    ///
    /// # Errors
    /// [`ShapeError`] when `steady` is not `[group, value_dim]`.
    pub fn choose(
        &mut self,
        mode: Mode,
        steady: &Accumulator,
    ) -> Result<Option<Price>, ShapeError> {
        match mode {
            Mode::Exact => self.retrieve(|_| true),
            Mode::Budget(rule) => self.choose_budget(rule)?,
            Mode::Adaptive { target_error } => return self.choose_adaptive(target_error, steady),
        }
        Ok(None)
    }
}
