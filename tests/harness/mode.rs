//! The modes of attend.

use wavekv_client::wire;
use wavekv_client::wire::attend_mode::Mode;

pub(crate) fn exact() -> wire::AttendMode {
    of(Mode::Exact(wire::ExactMode {}))
}

/// A share of the clustered tokens exactly, all of the rest estimated.
pub(crate) fn budget(retrieve_share: f32) -> wire::AttendMode {
    of(Mode::Budget(wire::BudgetMode {
        retrieve_share,
        estimate_share: None,
    }))
}

/// The same, where only a share of the clusters is estimated.
pub(crate) fn budget_of_two(retrieve_share: f32, estimate_share: f32) -> wire::AttendMode {
    of(Mode::Budget(wire::BudgetMode {
        retrieve_share,
        estimate_share: Some(estimate_share),
    }))
}

pub(crate) fn adaptive(target_error: f32) -> wire::AttendMode {
    of(Mode::Adaptive(wire::AdaptiveMode { target_error }))
}

pub(crate) fn retroinfer() -> wire::AttendMode {
    of(Mode::Retroinfer(wire::RetroInferPreset {}))
}

fn of(mode: Mode) -> wire::AttendMode {
    wire::AttendMode { mode: Some(mode) }
}
