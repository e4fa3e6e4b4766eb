//! A ladder of worths: how little need be read for an error, found without sorting.
//!
//! What gains alike stands on one rung, so that the choice is linear in the number of things to choose from, and never reads
//! more than a rung too much.

use crate::index::error_estimate::Doubt;

/// Rungs of a ladder: worths that agree in their exponent and [`STEPS`] steps of their mantissa.
const RUNGS: usize = 256;
/// Bits of the mantissa that a rung is known by.
const STEPS: u32 = 2;
/// The exponent, biased, of the lowest rung: 2^-60. What is worth less is on it too.
const LOWEST: u32 = 127 - 60;

/// Squares and sums of gains, by what reading them is worth.
#[derive(Debug)]
pub(super) struct Ladder {
    group: usize,
    /// `[RUNGS, group]`: sum of squared gains, sum of gains.
    rungs: Vec<[f32; 2]>,
}

impl Ladder {
    pub(super) fn new(group: usize) -> Self {
        Self {
            group,
            rungs: vec![[0.0; 2]; RUNGS * group],
        }
    }

    /// Adds what reading something of this worth would take from the squared error and from the sum of errors, for
    /// each query head.
    pub(super) fn add(&mut self, worth: f32, gains: impl Iterator<Item = [f32; 2]>) {
        let rung = rung_of(worth) * self.group;
        for (at, gain) in self.rungs[rung..].iter_mut().zip(gains) {
            at[0] += gain[0];
            at[1] += gain[1];
        }
    }

    /// The least worth that must be read so that the estimated error of every row is at most `aim`, given what else is
    /// in doubt, to which is added what need not be read; none when nothing need be.
    pub(super) fn least_worth(&self, doubt: &mut Doubt, aim: f32) -> Option<f32> {
        for (rung, of_rows) in self.rungs.chunks_exact(self.group).enumerate() {
            let of_rows = of_rows.iter().enumerate();
            let over = |(row, [squares, sum]): (usize, &[f32; 2])| {
                doubt.error_with(row, *squares, *sum) > aim
            };
            if of_rows.clone().any(over) {
                return Some(worth_of(rung));
            }
            of_rows.for_each(|(row, [squares, sum])| doubt.add_many(row, *squares, *sum));
        }
        None
    }
}

fn rung_of(worth: f32) -> usize {
    let bits = worth.max(0.0).to_bits() >> (f32::MANTISSA_DIGITS - 1 - STEPS);
    (bits.saturating_sub(LOWEST << STEPS) as usize).min(RUNGS - 1)
}

/// The least worth on a rung.
fn worth_of(rung: usize) -> f32 {
    if rung == 0 {
        return 0.0;
    }
    f32::from_bits((rung as u32 + (LOWEST << STEPS)) << (f32::MANTISSA_DIGITS - 1 - STEPS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::error_estimate::Answer;

    #[test]
    fn a_rung_holds_what_is_worth_as_much() {
        for rung in 0..RUNGS {
            assert_eq!(rung_of(worth_of(rung)), rung);
            if rung > 0 {
                assert_eq!(rung_of(worth_of(rung).next_down()), rung - 1);
            }
        }
        assert_eq!(rung_of(f32::MAX), RUNGS - 1);
        assert_eq!((rung_of(0.0), rung_of(f32::NAN)), (0, 0));
    }

    #[test]
    fn no_more_is_read_than_the_aim_asks_for() {
        let mut ladder = Ladder::new(2);
        let nothing = Doubt::none(Answer {
            lse: vec![0.0; 2],
            norms: vec![1.0; 2],
        });
        assert_eq!(ladder.least_worth(&mut nothing.clone(), 0.1), None);
        for gains in [[0.3, 0.0], [0.05, 0.05], [0.01, 0.2]] {
            let worth = gains[0] * gains[0] + gains[1] * gains[1];
            ladder.add(worth, gains.into_iter().map(|gain| [gain * gain, gain]));
        }
        let read = |aim: f32| {
            let least = ladder.least_worth(&mut nothing.clone(), aim);
            least.map_or(0, |least| {
                [0.09, 0.005, 0.0401]
                    .iter()
                    .filter(|w| **w >= least)
                    .count()
            })
        };
        assert_eq!(read(0.5), 0);
        assert_eq!(read(0.25), 1);
        assert_eq!(read(0.1), 2);
        assert_eq!(read(0.01), 3);
    }
}
