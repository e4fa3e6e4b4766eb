//! What an audit draws, of the clusters that were not computed exactly. Whoever holds K and V computes it and hands back
//! what it came to.
//!
//! With the belief `s_C` of the length of `d_C`, what codes are usually off by, and `n_C` tokens to read for it, `pi_C` in
//! proportion to `s_C / sqrt(n_C)` has the least noise for the tokens that are read (Neyman's allocation). How many are drawn
//! follows from the noise that is wanted, in proportion to the error that is believed, so that intervals are as wide for good
//! answers as for bad ones.

use rand::RngExt as _;
use wavekv_kernels::Accumulator;

use crate::index::audit::Seed;
use crate::index::audit::guess::Guess;
use crate::index::audit::probability::{Size, probabilities};
use crate::index::audit::tally::{Measured, Part, Tally};
use crate::index::error_estimate::Answer;
use crate::index::middle::Middle;
use crate::index::segment::{HeadCodes, ReadError};
use crate::index::survey::Survey;
use crate::index::zones::Place;

/// The noise of `D^` that is wanted: its square over that of the error that is believed. On real traces intervals then were
/// `e +- 5` to `7 %`, and with a fifth of it `e +- 2` to `3 %` for a quarter more bytes.
const NOISE: f64 = 0.5;
/// An error below this needs no finer interval than it does.
const LEAST_ERROR: f64 = 0.005;

/// An answer that is audited.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// What was computed exactly for it.
    pub exact: &'a Accumulator,
    /// Says which tokens of coded clusters that were.
    pub middle: Option<&'a Middle>,
    /// `[group, value_dim]`.
    pub out: &'a [f32],
    /// `[group]`: its log-sum-exp.
    pub lse: &'a [f32],
    /// `[group]`: the believed `|out - exact| / |exact|`.
    pub errors: &'a [f32],
}

/// A cluster that is to be computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// Which.
    pub place: Place,
    /// Its payload rows that were not computed exactly.
    pub rows: Vec<u32>,
    probability: f64,
}

/// The random sample of one answer: what is needed to judge the clusters that were drawn.
#[derive(Debug)]
pub struct Sample<'a> {
    guess: Guess<'a>,
    /// What was computed and is guessed, together.
    believed: Answer,
    tally: Tally,
    bytes: u64,
}

impl<'a> Sample<'a> {
    /// Draws clusters of a survey that has answered: what is to be computed. `codes` has those of its segments.
    ///
    /// # Errors
    /// [`ReadError`] when the answer or the codes are not those of the survey, or the disk does not give them.
    pub fn draw(
        survey: &'a Survey<'a>,
        given: Given<'a>,
        codes: HeadCodes<'a>,
        seed: Seed,
    ) -> Result<(Self, Vec<Drawn>), ReadError> {
        let guess = Guess::new(survey, given, codes);
        let mut guessed = Accumulator::new(survey.group, given.exact.value_dim());
        let (mut places, mut squares, mut bytes) = (vec![], vec![], 0);
        for segment in 0..survey.segments.len() {
            let unknown = guess.unknown(segment);
            if unknown.is_empty() {
                continue;
            }
            let weighed = guess.weigh(segment, &unknown)?;
            bytes += guess.add(&weighed, &mut guessed)?;
            squares.extend(guess.squares(&weighed));
            let place = |cluster: &usize| Place {
                segment,
                cluster: *cluster,
            };
            places.extend(unknown.iter().map(place));
        }
        let mut all = given.exact.clone();
        all.merge(&guessed)?;
        let believed = Answer::of(&all)?;
        let mut known = Part::of(given.exact, &believed.lse)?;
        known.add(&Part::of(&guessed, &believed.lse)?, 1.0);
        let sample = Self {
            guess,
            believed,
            tally: Tally::new(given.out, &known),
            bytes,
        };
        let drawn = sample.choose(&places, &squares, seed);
        Ok((sample, drawn))
    }

    /// Bytes of meta index and codes that were read for the guesses.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes in what the rows of a drawn cluster came to.
    ///
    /// # Errors
    /// [`ReadError`] when `computed` is not `[group, value_dim]`, or the disk does not give the codes.
    pub fn take(&mut self, drawn: &Drawn, computed: &Accumulator) -> Result<(), ReadError> {
        let mut guessed = Accumulator::new(computed.rows(), computed.value_dim());
        let cluster = [drawn.place.cluster];
        let weighed = self.guess.weigh(drawn.place.segment, &cluster)?;
        self.guess.add(&weighed, &mut guessed)?;
        let mut part = Part::of(computed, &self.believed.lse)?;
        part.add(&Part::of(&guessed, &self.believed.lse)?, -1.0);
        self.tally.add(drawn.probability, &part);
        Ok(())
    }

    /// What they all say.
    pub fn finish(self) -> Measured {
        self.tally.finish()
    }

    /// Draws of `places`, given the squares of what their guesses may be wrong by: `[places, group]`, in masses of the
    /// references.
    fn choose(&self, places: &[Place], squares: &[f64], seed: Seed) -> Vec<Drawn> {
        let answer = self.believed.lse.iter().zip(&self.believed.norms);
        let units = answer.zip(&self.guess.references);
        let units = units.map(|((lse, norm), reference)| {
            let share = f64::from(reference - lse).exp() / f64::from(*norm);
            share * share / self.believed.lse.len() as f64
        });
        let units: Vec<f64> = units.collect();
        let sizes = places.iter().zip(squares.chunks_exact(units.len()));
        let sizes = sizes.map(|(place, squares)| {
            let of_rows = squares.iter().zip(&units);
            Size {
                square: of_rows.map(|(square, unit)| square * unit).sum(),
                tokens: self.guess.tokens_left(*place) as f64,
            }
        });
        let probabilities = probabilities(&sizes.collect::<Vec<_>>(), self.wanted_noise());
        let mut random = seed.generator();
        let mut drawn = vec![];
        for (place, probability) in places.iter().zip(probabilities) {
            if random.random::<f64>() < probability {
                drawn.push(Drawn {
                    place: *place,
                    rows: self.guess.rows_left(*place),
                    probability,
                });
            }
        }
        drawn
    }

    /// The variance of `D^` that is wanted.
    fn wanted_noise(&self) -> f64 {
        let errors = self.guess.given.errors;
        let squares = errors.iter().map(|error| f64::from(*error).powi(2));
        let square = squares.sum::<f64>() / errors.len().max(1) as f64;
        NOISE * square.max(LEAST_ERROR * LEAST_ERROR)
    }
}
