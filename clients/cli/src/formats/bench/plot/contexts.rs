//! The points of a report as series: a colour for each context.

use plotters::style::RGBColor;

use crate::formats::bench::report::{Context, Point, Report};
use crate::formats::plot::series::{Join, Mark, Series, colour, tokens};

/// A colour for each context, a look for each family of methods. `place` gives a point its coordinates, or none.
pub(super) fn by_context(report: &Report, place: fn(&Point) -> Option<(f64, f64)>) -> Vec<Series> {
    let contexts = report.contexts.iter().enumerate();
    contexts
        .flat_map(|(number, context)| of_context(context, colour(number), place))
        .collect()
}

fn of_context(
    context: &Context,
    colour: RGBColor,
    place: fn(&Point) -> Option<(f64, f64)>,
) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for point in &context.points {
        let Some(at) = place(point) else { continue };
        let label = format!("{}: {}", length(context), family(point));
        if let Some(series) = all.iter_mut().find(|series| series.label == label) {
            series.points.push(at);
            if !point.is_ours() {
                series.points = front(std::mem::take(&mut series.points));
            }
            continue;
        }
        let (mark, join) = look(point);
        all.push(Series {
            label,
            colour,
            mark,
            join,
            points: vec![at],
        });
    }
    for series in &mut all {
        series.points.sort_by(|a, b| b.1.total_cmp(&a.1));
    }
    all
}

/// Ours by the kind of mode; others by system, and by method where that is a choice between errors.
fn family(point: &Point) -> String {
    match (point.is_ours(), point.exact) {
        (true, _) => point.family().to_owned(),
        (false, true) => point.system.clone(),
        (false, false) => format!("{} {}", point.system, point.family()),
    }
}

fn look(point: &Point) -> (Mark, Join) {
    match (point.is_ours(), point.family()) {
        (true, "adaptive") => (Mark::Dot, Join::Line),
        (true, "budget") => (Mark::Ring, Join::None),
        (true, "retroinfer") => (Mark::Triangle, Join::None),
        (true, _) => (Mark::Square, Join::None),
        (false, "ivf") => (Mark::Ring, Join::Dashes),
        (false, "hnsw") => (Mark::Frame, Join::Dashes),
        (false, _) => (Mark::Cross, Join::None),
    }
}

/// Of another system's settings, the points that no other beats in both coordinates, by the first.
fn front(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut best = f64::INFINITY;
    points.retain(|&(_, y)| {
        let better = y < best;
        best = best.min(y);
        better
    });
    points
}

/// A context by its length where that says enough, else by its name.
fn length(context: &Context) -> String {
    if context.is_generated() {
        tokens(context.trace.tokens as f64)
    } else {
        context.name.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::bench::sample;

    #[test]
    fn a_context_has_one_colour_and_a_family_one_look() {
        let place = |point: &Point| Some((point.latency_p50_ms, point.error_mean?));
        let series = by_context(&sample::report_with_peers(), place);
        let labels: Vec<&str> = series.iter().map(|series| series.label.as_str()).collect();
        let expected = [
            "8K: exact",
            "8K: retroinfer",
            "8K: adaptive",
            "8K: pytorch",
            "8K: faiss ivf",
            "8K: faiss hnsw",
        ];
        assert_eq!(labels[..6], expected);
        assert_eq!(labels[6], "128K: exact");
        assert!(series[0].colour == series[5].colour && series[0].colour != series[6].colour);
        assert_eq!(series[2].points.len(), 2);
        assert_eq!((series[2].mark, series[8].mark), (Mark::Dot, Mark::Dot));
    }

    #[test]
    fn a_front_goes_down_only() {
        let points = vec![(3.0, 0.2), (1.0, 0.5), (2.0, 0.6), (4.0, 0.3), (5.0, 0.1)];
        assert_eq!(front(points), [(1.0, 0.5), (3.0, 0.2), (5.0, 0.1)]);
        assert!(front(vec![]).is_empty());
    }
}
