//! The run as a picture of three plots, one below the other: each is a file that turns a report into a panel.

mod contexts;
mod error_by_bytes;
mod error_by_time;
mod time_by_tokens;

use super::report::Report;
use crate::failure::Failure;
use crate::formats::plot;

/// The picture, as SVG.
///
/// # Errors
/// When the library refuses to draw.
pub(crate) fn plots(report: &Report) -> Result<String, Failure> {
    plot::picture(&[
        error_by_bytes::panel(report),
        error_by_time::panel(report),
        time_by_tokens::panel(report),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::bench::sample;

    #[test]
    fn the_picture_names_its_axes_and_every_series() {
        let svg = plots(&sample::report_with_peers()).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in [
            "Error against bytes read",
            "Error against time",
            "Time against length of the context",
            "8K: adaptive",
            "128K: adaptive",
            "128K: faiss ivf",
            "pytorch, exact",
            "limit of the memory",
        ] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn a_run_without_errors_or_contexts_is_drawn_too() {
        let mut report = sample::report();
        for point in report
            .contexts
            .iter_mut()
            .flat_map(|context| &mut context.points)
        {
            (point.error_mean, point.byte_share) = (None, None);
        }
        assert!(plots(&report).unwrap().contains("exact"));
        report.contexts.clear();
        assert!(plots(&report).is_ok());
    }
}
