//! Charts as SVG inside of a page. The only file, with `ink.rs`, that knows the library which draws them.
//!
//! A [`Chart`] says what is to be seen: an axis each way, and marks. It has a width that fits a phone; a page scales it up.

mod axis;
mod ink;

pub(super) use axis::Axis;
pub(super) use ink::Ink;

use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::{
    Cartesian2d, ChartBuilder, ChartContext, Circle, Color, DrawingArea, DrawingAreaErrorKind, IntoDrawingArea,
    IntoFont, PathElement, Polygon, Rectangle, SVGBackend, ShapeStyle, Text, TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;

/// The usual width, in the units that lengths are given in: a phone's, or half of a page.
pub(super) const WIDTH: u32 = 420;

/// Places are whole numbers for the library: a unit has so many of them each way, so that curves are smooth.
const FINE: u32 = 4;

/// Letters are so large, in units: on a phone of 360 they are still 10 pixels.
const LETTERS: f64 = 13.0;

/// The library writes letters smaller than it is told, by this.
const SHRUNK: f64 = 1.24;

/// Letters of a name that fit beside an axis.
const LONGEST_NAME: usize = 14;

/// What is free to the right: half of a label that stands below the end of an axis.
const RIGHT: u32 = 22;

/// What is to be seen.
pub(super) struct Chart {
    /// What those hear who do not see it.
    pub(super) label: String,
    /// From left to right.
    pub(super) x: Axis,
    /// From below to above.
    pub(super) y: Axis,
    /// The width, in units.
    pub(super) width: u32,
    /// The height.
    pub(super) height: u32,
    /// Later ones lie on earlier ones.
    pub(super) marks: Vec<Mark>,
}

/// A thing in a chart.
pub(super) enum Mark {
    /// A rectangle between two corners.
    Bar((f64, f64), (f64, f64), Ink),
    /// A line through points.
    Line(Vec<(f64, f64)>, Ink),
    /// A thin one in dashes, between two points.
    Dashes((f64, f64), (f64, f64), Ink),
    /// What lies between a curve and the lower end of the chart.
    Area(Vec<(f64, f64)>, Ink),
    /// A point.
    Dot((f64, f64), Ink),
    /// A point that counts less.
    Ring((f64, f64), Ink),
    /// A word that ends at a place.
    Word((f64, f64), String, Ink),
    /// A word that begins at a place.
    Label((f64, f64), String, Ink),
}

type Backend<'a> = SVGBackend<'a>;
type Failed<'a> = DrawingAreaErrorKind<<Backend<'a> as plotters::prelude::DrawingBackend>::ErrorType>;
type Drawn<'a, 'b> = ChartContext<'a, Backend<'b>, Cartesian2d<Ticks, Ticks>>;

/// The chart as part of a page.
pub(super) fn draw(chart: &Chart) -> Markup {
    let (width, height) = (chart.width * FINE, chart.height * FINE);
    let mut svg = String::new();
    // Drawing into a string can only fail where a range is empty or no number, and then there is nothing to see.
    let inner = if drawn(chart, &mut svg, (width, height)).is_ok() { content(&svg) } else { "" };
    html! {
        svg class="chart" role="img" aria-label=(chart.label) viewBox=(format!("0 0 {width} {height}")) {
            (PreEscaped(ink::resolved(inner)))
        }
    }
}

/// What stands between the outermost tags: the page has its own.
fn content(svg: &str) -> &str {
    let start = svg.find('>').map_or(0, |end| end + 1);
    let end = svg.rfind("</svg>").unwrap_or(svg.len());
    svg.get(start..end).unwrap_or_default()
}

fn drawn<'a>(chart: &Chart, svg: &'a mut String, size: (u32, u32)) -> Result<(), Failed<'a>> {
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    axis_name(&root, &chart.y.name)?;
    let mut context = ChartBuilder::on(&root)
        .margin_top(FINE * if chart.y.name.is_empty() { 6 } else { 26 })
        .margin_right(FINE * RIGHT)
        .margin_bottom(FINE * if chart.x.name.is_empty() { 0 } else { 20 })
        .x_label_area_size(FINE * if chart.x.ticks.is_empty() { 12 } else { 24 })
        .y_label_area_size(FINE * chart.y.widest())
        .build_cartesian_2d(Ticks(chart.x.clone()), Ticks(chart.y.clone()))?;
    let lines = ShapeStyle::from(&Ink::Line.stand_in()).stroke_width(FINE / 2);
    context
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(lines)
        .light_line_style(lines)
        .axis_style(lines)
        .label_style(letters(Ink::Text))
        .set_all_tick_mark_size(FINE * 4)
        .x_label_formatter(&|at| chart.x.label(*at))
        .y_label_formatter(&|at| chart.y.label(*at))
        .draw()?;
    chart.marks.iter().try_for_each(|mark| mark.draw(&mut context, chart))?;
    let (right, below) = (size.0 - FINE * RIGHT, size.1 - FINE * 2);
    let name = letters(Ink::Text).pos(Pos::new(HPos::Right, VPos::Bottom));
    root.draw(&Text::new(chart.x.name.clone(), (right as i32, below as i32), name))?;
    root.present()
}

/// The name of the vertical axis stands above it, to be read without turning one's head.
fn axis_name<'a>(root: &DrawingArea<Backend<'a>, Shift>, name: &str) -> Result<(), Failed<'a>> {
    root.draw(&Text::new(
        name.to_owned(),
        (0, 3 * FINE as i32),
        letters(Ink::Text).pos(Pos::new(HPos::Left, VPos::Top)),
    ))
}

fn letters(ink: Ink) -> TextStyle<'static> {
    ("sans-serif", f64::from(FINE) * LETTERS * SHRUNK).into_font().color(&ink.stand_in())
}

impl Mark {
    fn draw<'b>(&self, context: &mut Drawn<'_, 'b>, chart: &Chart) -> Result<(), Failed<'b>> {
        let area = context.plotting_area();
        let line = |ink: &Ink, width: u32| ShapeStyle::from(&ink.stand_in()).stroke_width(FINE * width);
        match self {
            Self::Bar(low, high, ink) => area.draw(&Rectangle::new([*low, *high], ink.stand_in().filled())),
            Self::Line(points, ink) => area.draw(&PathElement::new(points.clone(), line(ink, 2))),
            Self::Dashes(from, to, ink) => {
                dashes(*from, *to).try_for_each(|dash| area.draw(&PathElement::new(dash, line(ink, 1))))
            }
            Self::Area(points, ink) => {
                let floor = chart.y.range.0;
                let ends = points.last().into_iter().chain(points.first()).map(|(x, _)| (*x, floor));
                let around: Vec<(f64, f64)> = points.iter().copied().chain(ends).collect();
                area.draw(&Polygon::new(around, ink.stand_in().mix(0.25)))
            }
            Self::Dot(at, ink) => {
                // A rim of paper tells dots apart that touch.
                area.draw(&Circle::new(*at, FINE * 6, Ink::Paper.stand_in().filled()))?;
                area.draw(&Circle::new(*at, FINE * 5, ink.stand_in().filled()))
            }
            Self::Ring(at, ink) => {
                area.draw(&Circle::new(*at, FINE * 4, Ink::Paper.stand_in().filled()))?;
                area.draw(&Circle::new(*at, FINE * 4, line(ink, 2)))
            }
            Self::Word(at, word, ink) => {
                area.draw(&Text::new(word.clone(), *at, letters(*ink).pos(Pos::new(HPos::Right, VPos::Center))))
            }
            Self::Label(at, word, ink) => {
                area.draw(&Text::new(word.clone(), *at, letters(*ink).pos(Pos::new(HPos::Left, VPos::Center))))
            }
        }
    }
}

/// A line as short ones.
fn dashes(from: (f64, f64), to: (f64, f64)) -> impl Iterator<Item = Vec<(f64, f64)>> {
    const DASHES: u32 = 40;
    let place = move |at: f64| {
        let share = at / f64::from(DASHES);
        (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1))
    };
    (0..DASHES).map(move |dash| vec![place(f64::from(dash)), place(f64::from(dash) + 0.55)])
}

impl Axis {
    /// How much space labels take beside the axis, in units.
    fn widest(&self) -> u32 {
        let letters = self.ticks.iter().map(|(_, label)| short(label).chars().count()).max();
        14 + 8 * letters.unwrap_or(0) as u32
    }

    fn label(&self, at: f64) -> String {
        let tick = self.ticks.iter().find(|(place, _)| *place == at);
        tick.map_or_else(String::new, |(_, label)| short(label))
    }
}

/// A name that fits beside an axis.
fn short(name: &str) -> String {
    if name.chars().count() <= LONGEST_NAME {
        return name.to_owned();
    }
    name.chars().take(LONGEST_NAME - 1).chain(['…']).collect()
}

/// An axis as the library knows one.
struct Ticks(Axis);

impl Ranged for Ticks {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        let (from, to) = self.0.range;
        let share = ((value - from) / (to - from)).clamp(0.0, 1.0);
        low + (share * f64::from(high - low)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, _hint: H) -> Vec<f64> {
        self.0.ticks.iter().map(|(at, _)| *at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.0.range.0..self.0.range.1
    }
}

impl ValueFormatter<f64> for Ticks {
    fn format(value: &f64) -> String {
        value.to_string()
    }
}

#[cfg(test)]
mod tests;
