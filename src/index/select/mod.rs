//! The choice of the retrieval zone: which clusters are worth reading exactly. One file a mode.
//!
//! A choice only moves clusters from the estimation zone to retrieval or ignored; it reads neither K nor V.

mod adaptive;
mod budget;

use wavekv_kernels::{Accumulator, ShapeError};

use crate::index::survey::Survey;
use crate::model::Mode;

impl Survey<'_> {
    /// Chooses for `mode`, given what the steady zone of each query head came to.
    ///
    /// # Errors
    /// [`ShapeError`] when `steady` is not `[group, value_dim]`.
    pub fn choose(&mut self, mode: Mode, steady: &Accumulator) -> Result<(), ShapeError> {
        match mode {
            Mode::Exact => {
                self.retrieve(|_| true);
                Ok(())
            }
            Mode::Budget(rule) => self.choose_budget(rule),
            Mode::Adaptive { target_error } => self.choose_adaptive(target_error, steady),
        }
    }
}
