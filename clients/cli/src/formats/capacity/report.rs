//! What `wavekv capacity` found: its JSON file, and what of the plan does not hold.

use serde::Serialize;

use crate::formats;
use crate::formats::bench::{Build, Machine, Point};
use crate::plan::{Plan, Shape};

/// The disk may take so much more or less than planned, as a share: headers, and columns that begin at a line.
const DISK_TOLERANCE: f64 = 0.05;
/// And the memory may for a moment be over what the daemon may use: until it sees what a query has just allocated.
const MEMORY_TOLERANCE: f64 = 0.05;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    /// That made this report.
    pub(crate) command: String,
    pub(crate) machine: Machine,
    /// That the daemon may use.
    pub(crate) memory_bytes: u64,
    pub(crate) shape: Shape,
    pub(crate) plan: Plan,
    /// None where only the plan was asked for.
    pub(crate) measured: Option<Measured>,
}

/// One layer, measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Measured {
    pub(crate) tokens: usize,
    /// Of that layer.
    pub(crate) plan: Plan,
    pub(crate) build: Build,
    /// By length, the last with all tokens.
    pub(crate) steps: Vec<Step>,
}

/// What was measured at one length.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Step {
    pub(crate) tokens: usize,
    /// A mode each; errors at the last length only.
    pub(crate) points: Vec<Point>,
    pub(crate) needles: Needles,
    /// Memory of the daemon before it was asked.
    pub(crate) stored_bytes: u64,
    /// And after.
    pub(crate) asked_bytes: u64,
    /// The most that it ever had until then.
    pub(crate) peak_bytes: u64,
    /// Of its folder.
    pub(crate) disk_bytes: u64,
}

/// Planted tokens that were looked for in the default mode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Needles {
    pub(crate) asked: usize,
    pub(crate) found: usize,
}

impl Report {
    /// What was promised and is not so, a sentence each.
    pub(crate) fn broken(&self) -> Vec<String> {
        let mut broken = vec![];
        if self.plan.least_memory_bytes > self.memory_bytes {
            broken.push(format!(
                "the sequences need {} of memory at least, expected at most the {} that there are",
                formats::size(self.plan.least_memory_bytes),
                formats::size(self.memory_bytes),
            ));
        }
        let Some(measured) = &self.measured else {
            return broken;
        };
        for step in &measured.steps {
            let Needles { asked, found } = step.needles;
            if found < asked {
                let tokens = step.tokens;
                broken.push(format!(
                    "{found} of {asked} planted tokens were found among {tokens} tokens, expected all"
                ));
            }
        }
        let Some(last) = measured.steps.last() else {
            return broken;
        };
        if last.peak_bytes as f64 > self.memory_bytes as f64 * (1.0 + MEMORY_TOLERANCE) {
            broken.push(format!(
                "the daemon had {} in memory, expected at most {}",
                formats::size(last.peak_bytes),
                formats::size(self.memory_bytes),
            ));
        }
        let planned = measured.plan.disk_bytes;
        if (measured.disk_ratio() - 1.0).abs() > DISK_TOLERANCE {
            broken.push(format!(
                "segments took {} of disk, expected about the {} of the plan",
                formats::size(measured.segment_bytes()),
                formats::size(planned),
            ));
        }
        broken
    }
}

impl Measured {
    /// Of the segments: K, V, codes and index.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.build.payload_bytes + self.build.code_bytes + self.build.meta_index_bytes
    }

    /// That, for what was planned.
    pub(crate) fn disk_ratio(&self) -> f64 {
        self.segment_bytes() as f64 / self.plan.disk_bytes as f64
    }
}

impl Step {
    /// The exact mode, and the default one.
    pub(crate) fn modes(&self) -> Option<[&Point; 2]> {
        let of = |exact: bool| self.points.iter().find(|point| point.exact == exact);
        Some([of(true)?, of(false)?])
    }
}

#[cfg(test)]
mod tests {
    use crate::formats::capacity::sample;

    #[test]
    fn what_holds_is_not_complained_about() {
        assert_eq!(sample::report().broken(), Vec::<String>::new());
    }

    #[test]
    fn every_promise_can_be_broken() {
        let broken = |change: fn(&mut super::Report)| {
            let mut report = sample::report();
            change(&mut report);
            report.broken().join("\n")
        };
        let found = broken(|report| {
            report.measured.as_mut().unwrap().steps[0].needles.found = 1;
        });
        assert!(found.contains("1 of 2 planted tokens"), "{found}");
        let memory = broken(|report| {
            report.measured.as_mut().unwrap().steps[1].peak_bytes = 3 << 30;
        });
        assert!(
            memory.contains("3.0 GiB in memory, expected at most 2.0 GiB"),
            "{memory}"
        );
        let disk = broken(|report| {
            report.measured.as_mut().unwrap().build.payload_bytes *= 2;
        });
        assert!(disk.contains("of disk, expected about"), "{disk}");
        let least = broken(|report| report.memory_bytes = 1 << 20);
        assert!(
            least.contains("need") && least.contains("1.0 MiB"),
            "{least}"
        );
    }
}
