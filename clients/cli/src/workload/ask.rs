//! Asking: the modes take turns, so that all meet the same noise.

use indicatif::ProgressBar;
use wavekv_client::{Client, Mode, wire};

use super::questions::Questions;
use super::source::Source;
use super::tally::Tally;
use crate::failure::Failure;
use crate::formats::bench::Point;
use crate::stopwatch::Stopwatch;
use crate::upload;

/// What to ask, and of what.
pub(crate) struct Asking<'a> {
    pub(crate) client: &'a Client,
    pub(crate) source: &'a Source,
    pub(crate) collection: &'a wire::CollectionRef,
    /// One per layer.
    pub(crate) questions: &'a [Questions],
    pub(crate) modes: &'a [Mode],
    /// Timed calls a mode.
    pub(crate) queries: usize,
    /// Calls a mode before those.
    pub(crate) warm_up: usize,
}

impl Asking<'_> {
    /// One point per mode.
    pub(crate) async fn run(&self) -> Result<Vec<Point>, Failure> {
        for number in 0..self.warm_up {
            for mode in self.modes {
                self.client.attend_one(self.entry(number, *mode)).await?;
            }
        }
        let mut tallies = vec![Tally::default(); self.modes.len()];
        let bar = ProgressBar::new(self.queries as u64); // Draws on a terminal only.
        for step in 0..self.queries {
            for (index, (mode, tally)) in self.modes.iter().zip(&mut tallies).enumerate() {
                let number = turn(step, index, self.modes.len(), self.queries);
                let entry = self.entry(number, *mode);
                let watch = Stopwatch::start();
                let answer = self.client.attend_one(entry).await?;
                let latency_ms = watch.elapsed_ms();
                let geometry = self.source.geometry();
                tally.add(&geometry, &answer, latency_ms, self.exact(number))?;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let kv_heads = self.source.geometry().kv_heads;
        let points = self.modes.iter().zip(tallies);
        Ok(points
            .map(|(mode, tally)| tally.point(*mode, kv_heads))
            .collect())
    }

    /// The layer that query `number` goes to, and its place among the layer's questions, of which each may be asked more
    /// than once.
    fn place(&self, number: usize) -> (usize, usize) {
        let layers = self.questions.len();
        (number % layers, number / layers)
    }

    fn entry(&self, number: usize, mode: Mode) -> wire::AttendEntry {
        let (layer, place) = self.place(number);
        let questions = &self.questions[layer];
        let place = place % questions.q.len();
        let geometry = self.source.geometry();
        let shape = [geometry.q_heads, geometry.head_dim];
        upload::question(
            upload::layer(self.collection, layer),
            &questions.q[place],
            shape,
            questions.positions[place],
            mode,
        )
    }

    /// The exact answer to query `number`, `[q_heads, value_dim]`, where it is checked: each question once.
    fn exact(&self, number: usize) -> Option<&[f64]> {
        let (layer, place) = self.place(number);
        let questions = &self.questions[layer];
        let geometry = self.source.geometry();
        let row = geometry.q_heads * geometry.value_dim;
        let exact = questions.exact.as_ref()?;
        (place < questions.checked).then(|| &exact.out[place * row..(place + 1) * row])
    }
}

/// Which query a mode asks at a step: every mode asks all of them, but never two modes the same one after the other,
/// since the second would find in the caches what the first has read.
fn turn(step: usize, mode: usize, modes: usize, queries: usize) -> usize {
    (step + mode * queries / modes) % queries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_asks_every_query_once_and_no_two_the_same_at_a_step() {
        let (modes, queries) = (7, 128);
        for mode in 0..modes {
            let mut asked: Vec<usize> = (0..queries)
                .map(|step| turn(step, mode, modes, queries))
                .collect();
            asked.sort_unstable();
            assert_eq!(asked, (0..queries).collect::<Vec<_>>());
        }
        let mut at_once: Vec<usize> = (0..modes)
            .map(|mode| turn(5, mode, modes, queries))
            .collect();
        at_once.sort_unstable();
        at_once.dedup();
        assert_eq!(at_once.len(), modes);
        assert_eq!(turn(0, 3, 7, 1), 0);
    }
}
