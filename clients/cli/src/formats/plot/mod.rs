//! Pictures of plots, one below the other.
//!
//! Whoever has something to show makes a [`panel::Panel`] of it; `panel.rs` draws it, `axis.rs` and `scale.rs` say what its axes show,
//! `series.rs` what has one colour.

pub(in crate::formats) mod axis;
pub(in crate::formats) mod panel;
pub(in crate::formats) mod scale;
pub(in crate::formats) mod series;

use plotters::prelude::*;

use crate::failure::Failure;
use panel::Panel;

const WIDTH: u32 = 1000;

/// Plots, as one SVG.
///
/// # Errors
/// When the library refuses to draw.
pub(in crate::formats) fn picture(panels: &[Panel]) -> Result<String, Failure> {
    let mut svg = String::new();
    {
        let height = panels.iter().map(Panel::height).sum();
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let refuse = |error: &dyn std::fmt::Display| Failure::Plot(error.to_string());
        root.fill(&WHITE).map_err(|error| refuse(&error))?;
        let mut below = root.clone();
        for panel in panels {
            let (area, rest) = below.split_vertically(panel.height());
            panel.draw(&area).map_err(|error| refuse(&error))?;
            below = rest;
        }
        root.present().map_err(|error| refuse(&error))?;
    }
    Ok(svg)
}
