//! How exact an answer is for what it reads.

use super::contexts;
use crate::formats::bench::report::Report;
use crate::formats::plot::axis::{self, Axis};
use crate::formats::plot::panel::Panel;
use crate::formats::plot::scale::Scale;

pub(super) fn panel(report: &Report) -> Panel {
    let series = contexts::by_context(report, |point| {
        Some((point.byte_share?, axis::floored(point.error_mean?)))
    });
    Panel {
        title: "Error against bytes read",
        x: Axis {
            label: "bytes read, as a share of full attention's",
            scale: Scale::around(axis::all(&series, |(x, _)| x)),
            shown: |share| format!("{} %", axis::number(share * 100.0)),
        },
        y: axis::error(&series),
        series,
    }
}
