//! The run as a picture of three plots, one below the other.
//!
//! Each plot is a file that turns a report into a [`Panel`]; `panel.rs` draws it, `axis.rs` and `scale.rs` say what its axes
//! show, `series.rs` what has one colour.

mod axis;
mod error_by_bytes;
mod error_by_time;
mod panel;
mod scale;
mod series;
mod time_by_tokens;

use plotters::prelude::*;

use panel::Panel;

use super::report::Report;
use crate::failure::Failure;

const WIDTH: u32 = 1000;

/// The picture, as SVG.
///
/// # Errors
/// When the library refuses to draw.
pub(crate) fn plots(report: &Report) -> Result<String, Failure> {
    let panels = [
        error_by_bytes::panel(report),
        error_by_time::panel(report),
        time_by_tokens::panel(report),
    ];
    let mut svg = String::new();
    {
        let height = panels.iter().map(Panel::height).sum();
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let refuse = |error: &dyn std::fmt::Display| Failure::Plot(error.to_string());
        root.fill(&WHITE).map_err(|error| refuse(&error))?;
        let mut below = root.clone();
        for panel in &panels {
            let (area, rest) = below.split_vertically(panel.height());
            panel.draw(&area).map_err(|error| refuse(&error))?;
            below = rest;
        }
        root.present().map_err(|error| refuse(&error))?;
    }
    Ok(svg)
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
