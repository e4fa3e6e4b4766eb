//! The modes of Attend, and how they are written.

use std::fmt;
use std::str::FromStr;

use crate::wire;
use crate::wire::attend_mode::Mode as WireMode;

/// A mode of Attend: `exact`, `retroinfer`, `budget:SHARE`, `budget:SHARE:ESTIMATED` or `adaptive:TARGET`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Every token exactly.
    Exact,
    /// The rule of the paper.
    RetroInfer,
    /// Shares of the tokens computed exactly, and of the clusters estimated.
    Budget {
        /// Of the clustered tokens, computed exactly: 0 to 1.
        retrieve: f32,
        /// Of the clusters, estimated: 0 to 1. None: all of the rest.
        estimate: Option<f32>,
    },
    /// A relative error to aim at.
    Adaptive {
        /// Of |out - exact| / |exact|: above 0 and below 1.
        target: f32,
    },
}

impl Mode {
    /// As the contract says it.
    pub fn wire(self) -> wire::AttendMode {
        let mode = match self {
            Self::Exact => WireMode::Exact(wire::ExactMode {}),
            Self::RetroInfer => WireMode::Retroinfer(wire::RetroInferPreset {}),
            Self::Budget { retrieve, estimate } => WireMode::Budget(wire::BudgetMode {
                retrieve_share: retrieve,
                estimate_share: estimate,
            }),
            Self::Adaptive { target } => WireMode::Adaptive(wire::AdaptiveMode {
                target_error: target,
            }),
        };
        wire::AttendMode { mode: Some(mode) }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => write!(f, "exact"),
            Self::RetroInfer => write!(f, "retroinfer"),
            Self::Budget {
                retrieve,
                estimate: None,
            } => write!(f, "budget:{retrieve}"),
            Self::Budget {
                retrieve,
                estimate: Some(estimate),
            } => {
                write!(f, "budget:{retrieve}:{estimate}")
            }
            Self::Adaptive { target } => write!(f, "adaptive:{target}"),
        }
    }
}

/// Text that is no [`Mode`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "mode is {0:?}, expected exact, retroinfer, budget:SHARE, budget:SHARE:ESTIMATED or adaptive:TARGET, \
     with shares from 0 to 1 and a target between 0 and 1"
)]
pub struct UnknownMode(String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        let unknown = || UnknownMode(text.to_owned());
        let share = |text: &str| {
            let share: f32 = text.parse().map_err(|_| unknown())?;
            if (0.0..=1.0).contains(&share) {
                Ok(share)
            } else {
                Err(unknown())
            }
        };
        match *text.split(':').collect::<Vec<_>>() {
            ["exact"] => Ok(Self::Exact),
            ["retroinfer"] => Ok(Self::RetroInfer),
            ["budget", retrieve] => Ok(Self::Budget {
                retrieve: share(retrieve)?,
                estimate: None,
            }),
            ["budget", retrieve, estimate] => Ok(Self::Budget {
                retrieve: share(retrieve)?,
                estimate: Some(share(estimate)?),
            }),
            ["adaptive", target] => match share(target)? {
                target if target > 0.0 && target < 1.0 => Ok(Self::Adaptive { target }),
                _ => Err(unknown()),
            },
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_they_are_written() {
        for text in [
            "exact",
            "retroinfer",
            "budget:0.018",
            "budget:0.5:0.25",
            "adaptive:0.05",
        ] {
            assert_eq!(text.parse::<Mode>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for text in [
            "",
            "exact:1",
            "budget",
            "budget:1.1",
            "budget:x",
            "adaptive:0",
            "adaptive:1",
            "adaptive:NaN",
        ] {
            assert!(text.parse::<Mode>().is_err(), "{text}");
        }
    }
}
