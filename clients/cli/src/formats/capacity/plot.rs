//! How time and memory grow with the context.

use super::report::{Report, Step};
use crate::failure::Failure;
use crate::formats::plot;
use crate::formats::plot::axis::{self, Axis};
use crate::formats::plot::panel::Panel;
use crate::formats::plot::scale::Scale;
use crate::formats::plot::series::{self, GREY, Join, Mark, Series};

const MIB: f64 = 1024.0 * 1024.0;

/// The picture, as SVG.
///
/// # Errors
/// When the library refuses to draw.
pub(crate) fn plots(report: &Report) -> Result<String, Failure> {
    let steps = report.measured.as_ref().map(|measured| &measured.steps[..]);
    let steps = steps.unwrap_or_default();
    plot::picture(&[time(steps), memory(report, steps)])
}

fn time(steps: &[Step]) -> Panel {
    let series = [
        line("exact", 0, steps, |step| {
            Some(step.modes()?[0].latency_p50_ms)
        }),
        line("default", 1, steps, |step| {
            Some(step.modes()?[1].latency_p50_ms)
        }),
    ];
    Panel {
        title: "Time against length of the context",
        x: lengths(steps),
        y: axis::milliseconds(Scale::around(axis::all(&series, |(_, y)| y))),
        series: series.into(),
    }
}

fn memory(report: &Report, steps: &[Step]) -> Panel {
    let budget = Series {
        colour: GREY,
        mark: Mark::None,
        join: Join::Dashes,
        ..line("memory of the daemon", 0, steps, |_| {
            Some(report.memory_bytes as f64 / MIB)
        })
    };
    let token_bytes = report.shape.token_bytes();
    let series = vec![
        line("K and V", 0, steps, |step| {
            Some(step.tokens as f64 * token_bytes as f64 / MIB)
        }),
        line("disk", 1, steps, |step| Some(step.disk_bytes as f64 / MIB)),
        line("resident, after questions", 2, steps, |step| {
            Some(step.asked_bytes as f64 / MIB)
        }),
        line("resident, before them", 3, steps, |step| {
            Some(step.stored_bytes as f64 / MIB)
        }),
        budget,
    ];
    Panel {
        title: "Memory and disk against length of the context",
        x: lengths(steps),
        y: Axis {
            label: "MiB",
            scale: Scale::around(axis::all(&series, |(_, y)| y)),
            shown: axis::number,
        },
        series,
    }
}

fn lengths(steps: &[Step]) -> Axis {
    Axis {
        label: "tokens of the context",
        scale: Scale::around(steps.iter().map(|step| step.tokens as f64)),
        shown: axis::number,
    }
}

fn line(
    label: &str,
    number: usize,
    steps: &[Step],
    value: impl Fn(&Step) -> Option<f64>,
) -> Series {
    Series {
        label: label.to_owned(),
        colour: series::colour(number),
        mark: Mark::Dot,
        join: Join::Line,
        points: steps
            .iter()
            .filter_map(|step| Some((step.tokens as f64, value(step)?)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::capacity::sample;

    #[test]
    fn the_picture_names_its_lines() {
        let svg = plots(&sample::report()).unwrap();
        for text in ["exact", "default", "disk", "memory of the daemon", "5000"] {
            assert!(svg.contains(text), "{text}");
        }
        let mut report = sample::report();
        report.measured = None;
        assert!(plots(&report).is_ok());
    }
}
