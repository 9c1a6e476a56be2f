//! The plot of a measurement: latency by percentile, and throughput over time.
//!
//! plotters draws it in the colours of a light page. A style sheet replaces them for readers who prefer a dark one.

use std::error::Error;
use std::ops::Range;

use hdrhistogram::Histogram;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::{self, Report};
use super::run_state::RunState;

const WIDTH: u32 = 900;
const HEIGHT_OF_EACH: u32 = 340;

/// Two lines: what was loaded, and with what.
const TITLE_HEIGHT: u32 = 64;

const PAPER: RGBColor = WHITE;
const INK: RGBColor = RGBColor(0x20, 0x20, 0x20);
const GRID: RGBColor = RGBColor(0xE0, 0xE0, 0xE0);
const LINE: RGBColor = RGBColor(0x1F, 0x6F, 0xB4);

/// The colours on a dark page. plotters writes the light ones in this form.
const DARK_STYLE: &str = "<style>@media (prefers-color-scheme: dark) {\
[fill=\"#FFFFFF\"] { fill: #16181C } [fill=\"#202020\"] { fill: #DDDDDD } [stroke=\"#202020\"] { stroke: #DDDDDD } \
[stroke=\"#E0E0E0\"] { stroke: #33373D } [stroke=\"#1F6FB4\"] { stroke: #6CB6F5 } }</style>";

type Area<'s> = DrawingArea<SVGBackend<'s>, Shift>;
type Failed = Box<dyn Error>;

/// The SVG.
///
/// # Errors
/// None that is known: a string takes everything that is drawn.
pub fn draw(report: &Report<'_>, run: &RunState) -> Result<String, Failed> {
    let latencies = run.measurement.latencies();
    let (point, counts) = run.measurement.series();
    let charts = u32::from(latencies.is_some()) + u32::from(!counts.is_empty());
    let mut svg = String::new();
    {
        let page = SVGBackend::with_string(&mut svg, (WIDTH, TITLE_HEIGHT + HEIGHT_OF_EACH * charts.max(1)))
            .into_drawing_area();
        page.fill(&PAPER)?;
        let (head, body) = page.split_vertically(TITLE_HEIGHT);
        let parameters = format!("{}; {}", report.parameters(), report.time());
        for (text, size, top) in [(format!("tidegate bench {}", report.subject()), 22, 14), (parameters, 16, 42)] {
            head.draw_text(&text, &("sans-serif", size, &INK).into_text_style(&head), (14, top))?;
        }
        let mut areas = body.split_evenly((charts.max(1) as usize, 1)).into_iter();
        if let (Some(latencies), Some(area)) = (latencies, areas.next()) {
            percentiles(&area, "latency by percentile", latencies)?;
        }
        if let (false, Some(area)) = (counts.is_empty(), areas.next()) {
            let per_second: Vec<(f64, f64)> = counts
                .iter()
                .zip(0_u32..)
                .map(|(count, number)| {
                    let point = point.as_secs_f64();
                    (f64::from(number) * point + point / 2.0, *count as f64 / point)
                })
                .collect();
            over_time(&area, &format!("{} per second", report.unit()), &per_second)?;
        }
        page.present()?;
    }
    Ok(with_dark_style(&svg))
}

/// The style sheet comes after the opening tag.
fn with_dark_style(svg: &str) -> String {
    match svg.find("<svg").and_then(|begin| svg[begin..].find('>').map(|end| begin + end + 1)) {
        Some(at) => format!("{}\n{DARK_STYLE}{}", &svg[..at], &svg[at..]),
        None => svg.to_owned(),
    }
}

/// The axis is logarithmic in what lies above: 90 %, 99 % and 99.9 % have the same distance.
fn percentiles(area: &Area<'_>, title: &str, latencies: &Histogram<u64>) -> Result<(), Failed> {
    // Nothing is known of what is rarer than one of all values.
    let most = (latencies.len() as f64).log10().max(1.0);
    let steps = 400_u32;
    let line = (0..=steps).map(|step| {
        let x = most * f64::from(step) / f64::from(steps);
        (x, latencies.value_at_quantile(1.0 - 10_f64.powf(-x)) as f64)
    });
    let lowest = (latencies.min() as f64).max(1.0);
    let ys = lowest * 0.9..(latencies.max() as f64).max(lowest) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 22, &INK))
        .margin(14)
        .x_label_area_size(30)
        .y_label_area_size(90)
        .build_cartesian_2d(0.0..most, ys.clone().log_scale().with_key_points(one_two_five(&ys)))?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .label_style(("sans-serif", 16, &INK))
        .x_label_formatter(&percentile)
        .y_label_formatter(&|nanoseconds| report::time(*nanoseconds))
        .x_labels(most as usize + 1) // one for each nine
        .y_labels(8)
        .draw()?;
    chart.draw_series(LineSeries::new(line, LINE.stroke_width(2)))?;
    Ok(())
}

/// 1, 2, 5, 10, 20 and so on.
fn one_two_five(range: &Range<f64>) -> Vec<f64> {
    let decades = range.start.log10().floor() as i32..=range.end.log10().ceil() as i32;
    let all = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade)));
    all.filter(|value| range.contains(value)).collect()
}

fn percentile(x: &f64) -> String {
    let percent = 100.0 * (1.0 - 10_f64.powf(-x));
    let digits = (x.round() as usize).saturating_sub(2);
    format!("{percent:.digits$} %")
}

fn over_time(area: &Area<'_>, title: &str, points: &[(f64, f64)]) -> Result<(), Failed> {
    let last = points.last().map_or(1.0, |last| last.0);
    let highest = points.iter().map(|point| point.1).fold(1.0, f64::max);
    let ys: Range<f64> = 0.0..highest * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 22, &INK))
        .margin(14)
        .x_label_area_size(30)
        .y_label_area_size(90)
        .build_cartesian_2d(0.0..last, ys)?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .label_style(("sans-serif", 16, &INK))
        .x_label_formatter(&|seconds| format!("{seconds:.1} s"))
        .y_label_formatter(&|count| report::grouped(count.round() as u64))
        .y_labels(6)
        .draw()?;
    chart.draw_series(LineSeries::new(points.iter().copied(), LINE.stroke_width(2)))?;
    Ok(())
}
