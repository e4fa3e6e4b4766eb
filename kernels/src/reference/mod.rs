//! What every family means, in plain `f64`.
//!
//! This is the oracle of the whole project: obviously right, slow, and free to allocate. It must not
//! share a line of arithmetic with [`cpu`](crate::cpu), or it could not contradict it. Production
//! code does not call it; tests of every room do.
//!
//! Where to start: `attend.rs`, three lines of the definition of attention.

mod assign;
mod attend;
mod codes;
mod estimate;
mod log_mass;
mod scan;

pub use assign::assign;
pub use attend::attend;
pub use codes::{chance, estimate, gain, rows_of_codes4, rows_of_codes8};
pub use estimate::{merge, softmax};
pub use log_mass::log_mass;
pub use scan::{rows_f64, scan};

/// An attention output over some tokens with the log-sum-exp of their scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Partial {
    /// The normalised output; zeros where no token was seen.
    pub out: Vec<f64>,
    /// Log-sum-exp of the scores; minus infinity where no token was seen.
    pub lse: f64,
}
