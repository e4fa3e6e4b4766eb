//! The audit: how wrong an answer is, measured on a random sample of what it did not compute exactly.
//!
//! With `w_i = exp(a.k_i)` the weight of token `i`, `Z` their sum, `out` the exact answer and `est` the one that was given,
//!
//! `Z (out - est) = D = sum_i w_i (v_i - est)`
//!
//! over all tokens, whatever `est` is. Of the tokens that were computed exactly the sum is known. The others are in
//! clusters, and of each there is a guess of its part of the sum, from codes; so that `D = K + sum_C d_C`, with `K` the
//! known part and all the guesses, and `d_C` what cluster C truly adds less its guess. How the answer was put together is
//! not taken on trust: a wrong sum there is an error like any other.
//!
//! Clusters are drawn independently of each other, C with probability `pi_C` (Poisson sampling), and computed exactly; what
//! is drawn counts `x_C = d_C / pi_C` (Horvitz and Thompson, JASA 47, 1952). Over all that might have been drawn,
//!
//! ```text
//! D^ = K + sum x_C                                                 has the mean D
//! S  = |D^|^2 - sum (1 - pi_C) |x_C|^2                             has the mean |D|^2
//! V  = sum (1 - pi_C) (x_C . (2 (D^ - x_C) + d_C))^2               has at least the variance of S for its mean
//! ```
//!
//! The second is the same estimate of the double sum `sum d_C . d_C'`: the noise of `D^` is not taken for an error. For the
//! third, write `e_C` for what chance adds to the number of times that C is drawn: `S - |D|^2 = sum e_C x_C.(2 D - d_C) +
//! sum e_C e_C' x_C.x_C'` over different pairs, two sums without covariance. `V` has the variance of the first for its mean
//! and twice that of the second: where the error is small against its noise, intervals are up to 1.4 times as wide as need
//! be, which makes up for the tails of `S`, longer than those of the normal distribution that is taken for its own.
//!
//! All query heads of a group share a sample, so each `d_C` is one long vector of all of them, every head's part divided by
//! the estimated length of its `Z out` and by the root of the number of heads: then `|D|^2` is their mean square relative
//! error. A cluster with `pi_C = 1` adds no variance; where all have, the error is known and the interval has no width.
//!
//! Start reading at [`Sample`] (what is drawn), then `guess.rs` (what is known without drawing), [`tally`] (the formulas
//! above) and [`feedback`] (what follows from what is found).

pub mod feedback;
mod guess;
mod probability;
mod sample;
mod seed;
pub mod tally;

pub use feedback::Feedback;
pub use sample::{Drawn, Given, Sample};
pub use seed::Seed;
