//! How exact an answer is for the time that it takes. Of other systems' sweeps, the settings that no other beats.

use super::contexts;
use crate::formats::bench::report::Report;
use crate::formats::plot::axis;
use crate::formats::plot::panel::Panel;
use crate::formats::plot::scale::Scale;

pub(super) fn panel(report: &Report) -> Panel {
    let series = contexts::by_context(report, |point| {
        Some((point.latency_p50_ms, axis::floored(point.error_mean?)))
    });
    Panel {
        title: "Error against time",
        x: axis::milliseconds(Scale::around(axis::all(&series, |(x, _)| x))),
        y: axis::error(&series),
        series,
    }
}
