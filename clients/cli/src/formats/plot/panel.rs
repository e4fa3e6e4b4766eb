//! One plot with its legend beside it.

use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::element::DynElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::series::{Join, Mark, Series};

type Svg<'a> = SVGBackend<'a>;
type Area<'a> = DrawingArea<Svg<'a>, Shift>;
type Refusal<'a> = DrawingAreaErrorKind<<Svg<'a> as DrawingBackend>::ErrorType>;
type Chart<'a, 'b> = ChartContext<'a, Svg<'b>, Cartesian2d<Axis, Axis>>;

const FONT: &str = "sans-serif";
const HEIGHT: u32 = 460;
const LEGEND_WIDTH: u32 = 250;
const LEGEND_TOP: i32 = 62;
const LEGEND_LINE: i32 = 19;
/// Half the size of a mark.
const MARK: i32 = 4;
const EDGE: RGBColor = RGBColor(90, 90, 90);
const TICK_LINE: RGBColor = RGBColor(214, 214, 214);
const LINE: RGBColor = RGBColor(240, 240, 240);

/// A plot.
#[derive(Debug, Clone)]
pub(in crate::formats) struct Panel {
    pub(in crate::formats) title: &'static str,
    pub(in crate::formats) x: Axis,
    pub(in crate::formats) y: Axis,
    pub(in crate::formats) series: Vec<Series>,
}

impl Panel {
    /// That the plot and its legend need.
    pub(in crate::formats) fn height(&self) -> u32 {
        let legend = LEGEND_TOP + LEGEND_LINE * self.series.len() as i32;
        HEIGHT.max(legend.cast_unsigned())
    }

    pub(in crate::formats) fn draw<'b>(&self, area: &Area<'b>) -> Result<(), Refusal<'b>> {
        let (width, _) = area.dim_in_pixel();
        let (left, right) = area.split_horizontally(width - LEGEND_WIDTH);
        let mut chart = ChartBuilder::on(&left)
            .caption(self.title, (FONT, 20))
            .margin(14)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        chart
            .configure_mesh()
            .x_desc(self.x.label)
            .y_desc(self.y.label)
            .bold_line_style(TICK_LINE)
            .light_line_style(LINE)
            .axis_style(EDGE)
            .label_style((FONT, 13))
            .axis_desc_style((FONT, 15))
            .draw()?;
        for series in &self.series {
            draw(&mut chart, series)?;
        }
        self.legend(&right)
    }

    fn legend<'b>(&self, area: &Area<'b>) -> Result<(), Refusal<'b>> {
        let style = (FONT, 14)
            .into_text_style(area)
            .pos(Pos::new(HPos::Left, VPos::Center));
        for (line, series) in (0..).zip(&self.series) {
            let y = LEGEND_TOP + line * LEGEND_LINE;
            let dashes: &[(i32, i32)] = match series.join {
                Join::None => &[],
                Join::Line => &[(0, 24)],
                Join::Dashes => &[(0, 6), (9, 15), (18, 24)],
            };
            for &(start, end) in dashes {
                let style = series.colour.stroke_width(2);
                area.draw(&PathElement::new([(start, y), (end, y)], style))?;
            }
            if let Some(mark) = mark(series, (12, y)) {
                area.draw(&mark)?;
            }
            area.draw(&Text::new(series.label.clone(), (32, y), style.clone()))?;
        }
        Ok(())
    }
}

fn draw<'b>(chart: &mut Chart<'_, 'b>, series: &Series) -> Result<(), Refusal<'b>> {
    let points = series.points.iter().copied();
    let style = series.colour.stroke_width(2);
    match series.join {
        Join::None => {}
        Join::Line => {
            chart.draw_series(LineSeries::new(points.clone(), style))?;
        }
        Join::Dashes => {
            chart.draw_series(DashedLineSeries::new(points.clone(), 6, 4, style))?;
        }
    }
    for point in points {
        if let Some(mark) = mark(series, point) {
            chart.plotting_area().draw(&mark)?;
        }
    }
    Ok(())
}

/// The mark of a series at a place of a plot or of a legend.
fn mark<'b, C: Clone + 'static>(series: &Series, at: C) -> Option<DynElement<'b, Svg<'b>, C>> {
    let colour = series.colour;
    Some(match series.mark {
        Mark::None => return None,
        Mark::Dot => Circle::new(at, MARK, colour.filled()).into_dyn(),
        Mark::Ring => Circle::new(at, MARK, colour.stroke_width(2)).into_dyn(),
        Mark::Triangle => TriangleMarker::new(at, MARK + 1, colour.filled()).into_dyn(),
        Mark::Cross => Cross::new(at, MARK, colour.stroke_width(2)).into_dyn(),
        Mark::Square => square(at, colour.filled()),
        Mark::Frame => square(at, colour.stroke_width(2)),
    })
}

fn square<'b, C: Clone + 'static>(at: C, style: ShapeStyle) -> DynElement<'b, Svg<'b>, C> {
    let square = Rectangle::new([(-MARK, -MARK), (MARK, MARK)], style);
    (EmptyElement::at(at) + square).into_dyn()
}
