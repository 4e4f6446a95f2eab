//! The picture of a run: latency by percentile, latency over time, deliveries over time.
//!
//! It owns the drawing only. It must not know fonts: text is left to whoever shows the SVG.
//!
//! Invariant: both latency axes are logarithmic with labelled units, the percentile axis has one
//! step for each further nine, and where a panel has several lines each is named in a legend.

use hdrhistogram::Histogram;
use plotters::backend::SVGBackend;
use plotters::chart::ChartBuilder;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea as _};
use plotters::element::PathElement;
use plotters::series::LineSeries;
use plotters::style::{Color as _, IntoFont as _, RGBColor, TextStyle, WHITE};

use super::units::duration;
use super::{Report, hgrm, rows};

const WIDTH: u32 = 1000;
const HEAD: u32 = 92;
const BY_PERCENTILE: u32 = 400;
const OVER_TIME: u32 = 300;
const RATE: u32 = 220;

/// Room for the half of the last label that stands beyond the axis.
const MARGIN_RIGHT: i32 = 44;

const INK: RGBColor = RGBColor(0x22, 0x26, 0x2b);
const GREY: RGBColor = RGBColor(0x5f, 0x68, 0x73);
const FAINT: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);
const BLUE: RGBColor = RGBColor(0x1f, 0x6f, 0xd6);
const ORANGE: RGBColor = RGBColor(0xe0, 0x7b, 0x00);
const RED: RGBColor = RGBColor(0xc6, 0x28, 0x28);
const GREEN: RGBColor = RGBColor(0x2e, 0x8b, 0x57);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// A named line through points in axis coordinates.
struct Line {
    name: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// An axis: what it is, how far it goes, where it has ticks and what stands beside them.
struct Axis {
    name: &'static str,
    range: std::ops::Range<f64>,
    ticks: Vec<f64>,
    label: fn(f64) -> String,
}

/// An axis as the drawing library wants it: linear, with ticks where the axis says.
struct Coordinate<'a>(&'a Axis);

impl Ranged for Coordinate<'_> {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        let range = &self.0.range;
        let share = (value - range.start) / (range.end - range.start);
        low + (share * f64::from(high - low)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.0.ticks.clone()
        }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.0.range.clone()
    }
}

/// The whole SVG.
///
/// # Errors
/// What the drawing library says; it has no reason to fail in memory.
pub fn render(report: &Report) -> Result<String, String> {
    let mut svg = String::new();
    draw(report, &mut svg).map_err(|error| format!("cannot draw the SVG: {error}"))?;
    Ok(svg)
}

fn draw(report: &Report, svg: &mut String) -> Drawn {
    let size = (WIDTH, HEAD + BY_PERCENTILE + OVER_TIME + RATE);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, rest) = root.split_vertically(HEAD);
    let (by_percentile, rest) = rest.split_vertically(BY_PERCENTILE);
    let (over_time, rate) = rest.split_vertically(OVER_TIME);

    draw_head(report, &head)?;
    let curves = percentile_lines(report);
    let most = report
        .histograms
        .latency
        .len()
        .max(report.histograms.latency_misbehaving.len());
    draw_panel(
        &by_percentile,
        "Latency by percentile",
        &nines(most),
        &latency_axis(&curves),
        &curves,
    )?;
    let curves = time_lines(report);
    draw_panel(
        &over_time,
        "Latency over time",
        &seconds(report),
        &latency_axis(&curves),
        &curves,
    )?;
    let curves = rate_lines(report);
    draw_panel(
        &rate,
        "Deliveries per second",
        &seconds(report),
        &rate_axis(&curves),
        &curves,
    )?;
    root.present()
}

fn draw_head(report: &Report, area: &Area<'_>) -> Drawn {
    let text = |size: i32, colour: &RGBColor| -> TextStyle<'_> {
        ("sans-serif", size).into_font().color(colour)
    };
    let (verdict, reasons) = rows::verdict(report);
    area.draw_text("loadgen: message latency", &text(24, &INK), (16, 12))?;
    area.draw_text(&rows::load(report), &text(14, &GREY), (16, 44))?;
    let (line, colour) = match reasons.first() {
        None => (format!("{}, run {verdict}", report.scenario.url), GREY),
        Some(reason) => (format!("run {verdict}: {reason}"), RED),
    };
    area.draw_text(&line, &text(14, &colour), (16, 66))
}

fn draw_panel(area: &Area<'_>, caption: &str, x: &Axis, y: &Axis, lines: &[Line]) -> Drawn {
    let caption_style = ("sans-serif", 17).into_font().color(&INK);
    area.draw_text(caption, &caption_style, (16, 10))?;
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_top(38)
        .margin_right(MARGIN_RIGHT)
        .x_label_area_size(44)
        .y_label_area_size(78)
        .build_cartesian_2d(Coordinate(x), Coordinate(y))?;
    chart
        .configure_mesh()
        .bold_line_style(FAINT)
        .light_line_style(WHITE)
        .axis_style(GREY)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 13).into_font().color(&GREY))
        .x_desc(x.name)
        .y_desc(y.name)
        .x_label_formatter(&|value| (x.label)(*value))
        .y_label_formatter(&|value| (y.label)(*value))
        .draw()?;
    for line in lines {
        let style = line.colour.stroke_width(2);
        chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
    }
    draw_legend(area, lines)
}

/// Names of the lines, to the right of the caption, where no line can run behind them.
fn draw_legend(area: &Area<'_>, lines: &[Line]) -> Drawn {
    const STROKE: i32 = 18;
    // Sans-serif letters of this size are at most about so wide; nothing here can measure them.
    const LETTER: i32 = 7;
    let width = |line: &Line| STROKE + 6 + LETTER * line.name.len() as i32 + 14;
    let mut x = WIDTH as i32 - MARGIN_RIGHT - lines.iter().map(width).sum::<i32>();
    let y = 20;
    if lines.is_empty() {
        let text = ("sans-serif", 13).into_font().color(&RED);
        area.draw_text("nothing was measured", &text, (x - 140, y - 7))?;
    }
    for line in lines.iter().filter(|_| lines.len() > 1) {
        let stroke = line.colour.stroke_width(3);
        area.draw(&PathElement::new([(x, y), (x + STROKE, y)], stroke))?;
        let text = ("sans-serif", 13).into_font().color(&INK);
        area.draw_text(line.name, &text, (x + STROKE + 6, y - 7))?;
        x += width(line);
    }
    Ok(())
}

/// Where a percentile (0 to 100) stands on the axis of nines: 0 at 0 %, 1 at 90 %, 2 at 99 %.
fn nines_of(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).log10()
}

/// The axis of nines for `count` values: as far as one of them can tell.
fn nines(count: u64) -> Axis {
    let end = (count.max(100) as f64).log10();
    let mut ticks = vec![0.0, nines_of(50.0), nines_of(75.0)];
    ticks.extend((1..=end as u32).map(f64::from));
    Axis {
        name: "percentile",
        range: 0.0..end,
        ticks,
        label: |nines| {
            let decimals = (nines.floor() as usize).saturating_sub(2);
            let percentile = 100.0 * (1.0 - 10_f64.powf(-nines));
            format!("{percentile:.decimals$} %")
        },
    }
}

/// Decades of latency around the points of `lines`, at least two.
fn latency_axis(lines: &[Line]) -> Axis {
    let heights = || lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y);
    let (low, high) = heights().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| {
        (low.min(y), high.max(y))
    });
    let (low, high) = if low <= high { (low, high) } else { (3.0, 6.0) };
    let start = low.floor();
    // Room above the highest point, so that no line runs along the frame.
    let end = (high + 0.1).ceil().max(start + 2.0);
    let steps: &[f64] = if end - start <= 4.0 {
        &[1.0, 2.0, 5.0]
    } else {
        &[1.0]
    };
    let mut ticks: Vec<f64> = (start as i32..end as i32)
        .flat_map(|decade| {
            steps
                .iter()
                .map(move |step| f64::from(decade) + step.log10())
        })
        .collect();
    ticks.push(end);
    Axis {
        name: "latency",
        range: start..end,
        ticks,
        label: |exponent| duration(10_f64.powf(exponent).round()),
    }
}

/// Seconds since measuring began, to the end of the last interval.
fn seconds(report: &Report) -> Axis {
    let end = report
        .timeline
        .iter()
        .map(|interval| interval.start_s + interval.length_s)
        .fold(1.0, f64::max);
    Axis {
        name: "seconds of measuring",
        range: 0.0..end,
        ticks: round_ticks(end, 10.0),
        label: plain,
    }
}

fn rate_axis(lines: &[Line]) -> Axis {
    let highest = lines
        .iter()
        .flat_map(|line| &line.points)
        .map(|(_, y)| *y)
        .fold(1.0, f64::max);
    let end = highest * 1.1;
    Axis {
        name: "deliveries/s",
        range: 0.0..end,
        ticks: round_ticks(end, 5.0),
        label: |rate| match rate {
            rate if rate >= 1e6 => format!("{} M", plain(rate / 1e6)),
            rate if rate >= 1e3 => format!("{} k", plain(rate / 1e3)),
            rate => plain(rate),
        },
    }
}

/// Multiples of 1, 2 or 5 times a power of ten from 0 to `end`, at most `most` of them.
fn round_ticks(end: f64, most: f64) -> Vec<f64> {
    let least = end / most;
    let power = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= least)
        .unwrap_or(end);
    (0..=(end / step) as u32)
        .map(|i| f64::from(i) * step)
        .collect()
}

/// A round number as short as it can be; ticks are sums, so they carry rounding errors.
fn plain(value: f64) -> String {
    ((value * 1e6).round() / 1e6).to_string()
}

fn percentile_lines(report: &Report) -> Vec<Line> {
    let histograms = &report.histograms;
    let all: [(&'static str, RGBColor, &Histogram<u64>); 3] = [
        // The corrected curve is drawn last, on top.
        ("misbehaving clients", RED, &histograms.latency_misbehaving),
        (
            "from actual send (uncorrected)",
            ORANGE,
            &histograms.latency_uncorrected,
        ),
        ("from intended send", BLUE, &histograms.latency),
    ];
    all.into_iter()
        .filter(|(_, _, histogram)| !histogram.is_empty())
        .map(|(name, colour, histogram)| Line {
            name,
            colour,
            points: percentile_points(histogram),
        })
        .collect()
}

fn percentile_points(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    // 100 % is infinitely far; the last value stands where one in all of them does.
    let end = (histogram.len() as f64).log10();
    hgrm::steps(histogram, 4 * hgrm::TICKS_PER_HALF_DISTANCE)
        .into_iter()
        .map(|step| (nines_of(step.percentile).min(end), exponent(step.value)))
        .collect()
}

fn time_lines(report: &Report) -> Vec<Line> {
    let whole: Vec<(f64, f64, Histogram<u64>)> = report
        .timeline
        .iter()
        .filter(|interval| !interval.latency.is_empty())
        .map(|interval| {
            (
                interval.start_s,
                interval.start_s + interval.length_s,
                interval.latency.to_histogram(),
            )
        })
        .collect();
    if whole.is_empty() {
        return Vec::new();
    }
    let all: [(&'static str, RGBColor, f64); 3] = [
        ("max", RED, 100.0),
        ("p99", ORANGE, 99.0),
        ("p50", BLUE, 50.0),
    ];
    all.into_iter()
        .map(|(name, colour, percentile)| Line {
            name,
            colour,
            points: whole
                .iter()
                .flat_map(|(start, end, histogram)| {
                    let height = exponent(histogram.value_at_percentile(percentile));
                    [(*start, height), (*end, height)]
                })
                .collect(),
        })
        .collect()
}

fn rate_lines(report: &Report) -> Vec<Line> {
    let points: Vec<(f64, f64)> = report
        .timeline
        .iter()
        .filter(|interval| interval.length_s > 0.0)
        .flat_map(|interval| {
            let rate = interval.delivered as f64 / interval.length_s;
            let end = interval.start_s + interval.length_s;
            [(interval.start_s, rate), (end, rate)]
        })
        .collect();
    vec![Line {
        name: "delivered",
        colour: GREEN,
        points,
    }]
}

/// Where a number of nanoseconds stands on a latency axis.
fn exponent(ns: u64) -> f64 {
    (ns.max(1) as f64).log10()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_picture_names_what_it_shows() {
        let mut report = sample::report();
        crate::gate::judge_all(&[], &[], &mut report);
        let svg = render(&report).unwrap();
        for want in [
            "<svg ",
            "</svg>",
            "Latency by percentile",
            "Latency over time",
            "Deliveries per second",
            "from intended send",
            "99 %",
            "1 ms",
            "seconds of measuring",
            "run passed",
        ] {
            assert!(svg.contains(want), "{want}");
        }
        assert!(
            !svg.contains("NaN") && !svg.contains("inf"),
            "every point has a place"
        );
    }

    #[test]
    fn an_empty_run_is_drawn_too() {
        let mut report = sample::report();
        report.histograms = crate::report::Histograms::default();
        report.timeline.clear();
        report.scenario.url = "ws://h/<&\">".to_owned();
        report.validity.valid = false;
        let svg = render(&report).unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("<&\">"));
    }

    #[test]
    fn nines_are_labelled_with_as_many_digits_as_they_need() {
        let axis = nines(1_000_000);
        let labels: Vec<String> = axis.ticks.iter().map(|tick| (axis.label)(*tick)).collect();
        assert_eq!(
            labels,
            [
                "0 %",
                "50 %",
                "75 %",
                "90 %",
                "99 %",
                "99.9 %",
                "99.99 %",
                "99.999 %",
                "99.9999 %"
            ]
        );
        assert_eq!(axis.range, 0.0..6.0);
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(
            round_ticks(15.0, 10.0),
            [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]
        );
        assert_eq!(round_ticks(1.1, 5.0), [0.0, 0.5, 1.0]);
        assert_eq!(
            round_ticks(198_000.0, 5.0),
            [0.0, 50_000.0, 100_000.0, 150_000.0]
        );
    }
}
