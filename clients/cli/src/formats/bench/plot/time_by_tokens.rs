//! How time grows with the context: the generated ones, which are alike but for their length.

use crate::formats::bench::report::{Context, Report};
use crate::formats::bench::rivals;
use crate::formats::plot::axis::{self, Axis};
use crate::formats::plot::panel::Panel;
use crate::formats::plot::scale::Scale;
use crate::formats::plot::series::{self, GREY, Join, Mark, Series};

/// The error that a system may have that has nothing exact.
const LOOSE: f64 = 0.05;

pub(super) fn panel(report: &Report) -> Panel {
    let mut contexts: Vec<&Context> = report
        .contexts
        .iter()
        .filter(|c| c.is_generated())
        .collect();
    contexts.sort_by_key(|context| context.trace.tokens);
    let mut series = modes(&contexts);
    series.extend(others(&contexts));
    series.extend(limit(report, &contexts));
    for (number, series) in series.iter_mut().enumerate() {
        if series.colour != GREY {
            series.colour = series::colour(number);
        }
    }
    let lengths = contexts.iter().map(|context| context.trace.tokens as f64);
    Panel {
        title: "Time against length of the context",
        x: Axis {
            label: "tokens of the context",
            scale: Scale::at(lengths.collect()),
            shown: series::tokens,
        },
        y: axis::milliseconds(Scale::around(axis::all(&series, |(_, y)| y))),
        series,
    }
}

fn modes(contexts: &[&Context]) -> Vec<Series> {
    let ours = contexts
        .first()
        .into_iter()
        .flat_map(|context| &context.points);
    ours.filter(|point| point.is_ours())
        .map(|point| {
            let time = |context: &Context| {
                let same = context
                    .points
                    .iter()
                    .find(|other| other.is_ours() && other.method == point.method);
                same.map(|point| point.latency_p50_ms)
            };
            line(point.method.clone(), contexts, Join::Line, time)
        })
        .collect()
}

fn others(contexts: &[&Context]) -> Vec<Series> {
    let mut systems: Vec<&str> = contexts.iter().flat_map(|c| rivals::systems(c)).collect();
    let mut seen = Vec::new();
    systems.retain(|system| {
        !seen.contains(system) && {
            seen.push(system);
            true
        }
    });
    systems
        .into_iter()
        .map(|system| {
            let fastest = |context: &Context, error| {
                rivals::fastest(context, system, error).map(|point| point.latency_p50_ms)
            };
            let exact = contexts.iter().any(|c| fastest(c, None).is_some());
            let (label, error) = if exact {
                (format!("{system}, exact"), None)
            } else {
                (format!("{system}, error ≤ {LOOSE}"), Some(LOOSE))
            };
            line(label, contexts, Join::Dashes, |context| {
                fastest(context, error)
            })
        })
        .collect()
}

/// What exact attention would take if it did nothing but read.
fn limit(report: &Report, contexts: &[&Context]) -> Option<Series> {
    let rate = report.machine.read_bytes_per_second?;
    let label = "limit of the memory".to_owned();
    let time = |context: &Context| Some(context.layer_bytes as f64 / rate * 1e3);
    Some(Series {
        colour: GREY,
        mark: Mark::None,
        ..line(label, contexts, Join::Dashes, time)
    })
}

fn line(
    label: String,
    contexts: &[&Context],
    join: Join,
    time: impl Fn(&Context) -> Option<f64>,
) -> Series {
    let points = contexts.iter();
    Series {
        label,
        colour: series::colour(0),
        mark: Mark::Dot,
        join,
        points: points
            .filter_map(|context| Some((context.trace.tokens as f64, time(context)?)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::bench::sample;

    #[test]
    fn every_mode_and_system_is_a_line_over_all_lengths() {
        let panel = panel(&sample::report_with_peers());
        let labels: Vec<&str> = panel.series.iter().map(|s| s.label.as_str()).collect();
        let expected = [
            "exact",
            "retroinfer",
            "adaptive:0.1",
            "adaptive:0.02",
            "pytorch, exact",
            "faiss, error ≤ 0.05",
            "limit of the memory",
        ];
        assert_eq!(labels, expected);
        assert!(panel.series.iter().all(|series| series.points.len() == 2));
        let ms = panel.series[6].points[0].1;
        assert!((ms - 8192.0 * 4096.0 / 32e9 * 1e3).abs() < 1e-9, "{ms}");
    }
}
