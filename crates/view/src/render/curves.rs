//! Learning curves as an SVG image, for light and dark pages.
//!
//! Each panel has an axis of its own; the points of a series are joined by straight lines, and a
//! series of many noisy points is drawn pale with its running mean over it. Colours follow the reader's
//! preference where the image is shown by a browser, and are those of a light page elsewhere.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::markup::escape;
use crate::palette::{Scheme, diverging, sequential};

/// A line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// What it is called.
    pub name: String,
    /// Its points, from left to right; those that are not finite numbers are left out.
    pub points: Vec<(f64, f64)>,
    /// A point to mark, by its index.
    pub marked: Option<usize>,
    /// Whether chance is in its points, so that their running mean tells more than they do.
    pub noisy: bool,
}

/// Lines that share an axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Panel {
    /// What the axis shows.
    pub title: String,
    /// The lines.
    pub series: Vec<Series>,
}

/// Panels, one below the other, over one horizontal axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curves {
    /// What is above all panels.
    pub title: String,
    /// What the horizontal axis counts.
    pub x: String,
    /// The panels; those without a point are left out.
    pub panels: Vec<Panel>,
}

const WIDTH: f64 = 720.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const HEIGHT: f64 = 150.0;
const HEAD: f64 = 26.0;
const GAP: f64 = 22.0;
/// Noisy series of more points are drawn with their running mean; points of others have no dots.
const MANY: usize = 40;
/// So many points are drawn of a line at most: more cannot be told apart.
const MOST: usize = 600;

/// The points of each line of a panel.
type Lines = Vec<Vec<(f64, f64)>>;

/// Writes the image.
///
/// # Errors
/// Those of the writer.
pub fn draw(curves: &Curves, out: &mut dyn Write) -> io::Result<()> {
    let finite = |series: &Series| -> Vec<(f64, f64)> {
        series.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
    };
    let panels: Vec<(&Panel, Lines)> = curves
        .panels
        .iter()
        .map(|panel| (panel, panel.series.iter().map(finite).collect::<Vec<_>>()))
        .filter(|(_, series)| series.iter().any(|points| !points.is_empty()))
        .collect();
    let all = || panels.iter().flat_map(|(_, series)| series.iter().flatten());
    let x = Axis::over(all().map(|point| point.0), false);
    let height = 44.0 + panels.len() as f64 * (HEAD + HEIGHT + GAP) + 34.0;
    let mut body = String::new();
    let _ = writeln!(
        body,
        "<text x=\"24\" y=\"34\" font-size=\"18\" font-weight=\"bold\" class=\"ink\">{}</text>",
        escape(&curves.title)
    );
    let mut top = 44.0;
    for (panel, series) in &panels {
        draw_panel(&mut body, panel, series, &x, top + HEAD);
        top += HEAD + HEIGHT + GAP;
    }
    let across = |value: f64| LEFT + x.share(value) * (WIDTH - LEFT - RIGHT);
    for tick in x.ticks() {
        let _ = writeln!(
            body,
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\" text-anchor=\"middle\" \
             class=\"quiet\">{}</text>",
            across(tick),
            top - GAP + 16.0,
            label(tick, x.step)
        );
    }
    let _ = writeln!(
        body,
        "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"12\" text-anchor=\"middle\" \
         class=\"quiet\">{}</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        top - GAP + 34.0,
        escape(&curves.x)
    );
    write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\" font-family=\"Helvetica, Arial, \
         'Liberation Sans', 'Noto Sans', sans-serif\">\n<title>{}</title>\n<desc>{}</desc>\n\
         <style>{}</style>\n<rect width=\"{WIDTH}\" height=\"{height}\" class=\"page\"/>\n{body}\
         </svg>\n",
        escape(&curves.title),
        escape(&described(&panels)),
        style()
    )
}

/// The picture in words: each line's first and last value.
fn described(panels: &[(&Panel, Lines)]) -> String {
    let mut lines = Vec::new();
    for (panel, series) in panels {
        for (one, points) in panel.series.iter().zip(series) {
            if let (Some(first), Some(last)) = (points.first(), points.last()) {
                let (from, to) = (number(first.1), number(last.1));
                lines.push(format!("{}, {}: from {from} to {to}", panel.title, one.name));
            }
        }
    }
    lines.join("\n")
}

/// Classes for both kinds of page.
fn style() -> String {
    let of = |scheme: Scheme, ink: &str, quiet: &str, rule: &str| {
        let colours = [diverging(-1.0, scheme), diverging(1.0, scheme), sequential(1.0, scheme)];
        let mut css = format!(
            ".page{{fill:{}}}.ink{{fill:{ink}}}.quiet{{fill:{quiet}}}.rule{{stroke:{rule}}}",
            scheme.page()
        );
        for (i, colour) in colours.iter().enumerate() {
            let _ = write!(css, ".s{i}{{stroke:{colour}}}.f{i}{{fill:{colour}}}");
        }
        css
    };
    let light = of(Scheme::Light, "#16181d", "#5b616e", "#dcdfe5");
    let dark = of(Scheme::Dark, "#e9eaee", "#a3a8b4", "#33363e");
    format!("{light}@media (prefers-color-scheme:dark){{{dark}}}")
}

/// How many colours there are; the lines of a panel that has more are told apart by dashes too.
const COLOURS: usize = 3;

fn draw_panel(body: &mut String, panel: &Panel, series: &[Vec<(f64, f64)>], x: &Axis, top: f64) {
    let y = Axis::over(series.iter().flatten().map(|point| point.1), true);
    let across = |value: f64| LEFT + x.share(value) * (WIDTH - LEFT - RIGHT);
    let down = |value: f64| top + (1.0 - y.share(value)) * HEIGHT;
    for tick in y.ticks() {
        let at = down(tick);
        let _ = writeln!(
            body,
            "<path d=\"M{LEFT} {at:.1}H{}\" class=\"rule\"/><text x=\"{}\" y=\"{:.1}\" \
             font-size=\"11\" text-anchor=\"end\" class=\"quiet\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            label(tick, y.step)
        );
    }
    let _ = write!(
        body,
        "<text x=\"{LEFT}\" y=\"{:.1}\" font-size=\"13\" font-weight=\"bold\" \
         class=\"ink\">{}",
        top - 10.0,
        escape(&panel.title)
    );
    let several = panel.series.len() > 1;
    for (i, (one, points)) in panel.series.iter().zip(series).enumerate() {
        if several && !points.is_empty() {
            let _ = write!(
                body,
                "<tspan dx=\"14\" font-weight=\"normal\" class=\"f{}\">{} {}</tspan>",
                i % COLOURS,
                if i < COLOURS { "—" } else { "┄" },
                escape(&one.name)
            );
        }
    }
    body.push_str("</text>\n");
    for (i, (one, points)) in panel.series.iter().zip(series).enumerate() {
        let colour = i % COLOURS;
        let dash = if i < COLOURS { "" } else { " stroke-dasharray=\"5 3\"" };
        let mut line = |points: &[(f64, f64)], width: f64, opacity: f64| {
            let mut path = String::new();
            for (k, &(a, b)) in points.iter().enumerate() {
                let verb = if k == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{verb}{:.1} {:.1}", across(a), down(b));
            }
            let _ = writeln!(
                body,
                "<path d=\"{path}\" fill=\"none\" class=\"s{colour}\" stroke-width=\"{width}\" \
                 stroke-linejoin=\"round\" stroke-opacity=\"{opacity}\"{dash}/>"
            );
        };
        if points.len() > MANY && one.noisy {
            line(&thinned(points), 1.0, 0.35);
            line(&thinned(&smoothed(points)), 2.0, 1.0);
        } else {
            line(&thinned(points), 2.0, 1.0);
        }
        let marked = one.marked.and_then(|index| one.points.get(index));
        let dots = if points.len() > MANY { &[][..] } else { points.as_slice() };
        for (point, radius) in dots.iter().map(|p| (p, 2.5)).chain(marked.map(|p| (p, 5.0))) {
            if point.0.is_finite() && point.1.is_finite() {
                let _ = writeln!(
                    body,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\" class=\"f{colour}\"/>",
                    across(point.0),
                    down(point.1)
                );
            }
        }
    }
}

/// The mean of each point and its neighbours.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let reach = (points.len() / 40).max(2);
    let mut sums = vec![0.0];
    for point in points {
        sums.push(sums[sums.len() - 1] + point.1);
    }
    let mean = |(i, point): (usize, &(f64, f64))| {
        // As far on both sides, so that the ends do not lag.
        let reach = reach.min(i).min(points.len() - 1 - i);
        let (from, to) = (i - reach, i + reach + 1);
        (point.0, (sums[to] - sums[from]) / (to - from) as f64)
    };
    points.iter().enumerate().map(mean).collect()
}

/// At most [`MOST`] points: of each stretch the lowest and the highest.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= MOST {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(MOST / 2);
    let mut kept = Vec::with_capacity(MOST);
    for part in points.chunks(stretch) {
        let index = |least: bool| {
            let ordered = |a: &usize, b: &usize| part[*a].1.total_cmp(&part[*b].1);
            let all = 0..part.len();
            if least { all.min_by(ordered) } else { all.max_by(ordered) }
        };
        let (a, b) = (index(true).unwrap_or(0), index(false).unwrap_or(0));
        kept.push(part[a.min(b)]);
        if a != b {
            kept.push(part[a.max(b)]);
        }
    }
    kept
}

/// A range of numbers with round steps.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// The range of some values; `round` widens it to whole steps.
    fn over(values: impl Iterator<Item = f64>, round: bool) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            (low, high) = (low.min(value), high.max(value));
        }
        if !(low.is_finite() && high.is_finite()) {
            (low, high) = (0.0, 1.0);
        }
        if high - low < 1e-12 * high.abs().max(1e-12) {
            let some = 0.5 * high.abs().max(1e-6);
            (low, high) = (low - some, high + some);
        }
        let rough = (high - low) / if round { 4.0 } else { 7.0 };
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|s| s * power).into_iter().find(|s| *s >= rough);
        let step = step.unwrap_or(10.0 * power);
        if round {
            (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        }
        Self { low, high, step }
    }

    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    fn ticks(&self) -> Vec<f64> {
        let first = (self.low / self.step - 1e-9).ceil();
        let last = (self.high / self.step + 1e-9).floor();
        (0..)
            .map(|i| first + f64::from(i))
            .take_while(|&t| t <= last)
            .map(|t| t * self.step)
            .collect()
    }
}

/// A tick's number, with as many decimals as the step needs.
fn label(tick: f64, step: f64) -> String {
    if tick != 0.0 && (step < 1e-4 || tick.abs() >= 1e7) {
        return format!("{tick:.0e}");
    }
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    // Not the zero below zero.
    let tick = if tick.abs() < step / 2.0 { 0.0 } else { tick };
    format!("{tick:.decimals$}")
}

fn number(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e6) {
        format!("{value:.3e}")
    } else {
        format!("{value:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(curves: &Curves) -> String {
        let mut out = Vec::new();
        draw(curves, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn curves(points: Vec<(f64, f64)>) -> Curves {
        let series = Series { name: "loss <&>".to_owned(), points, marked: Some(0), noisy: true };
        let panel = Panel { title: "loss".to_owned(), series: vec![series] };
        Curves { title: "a \"run\"".to_owned(), x: "step".to_owned(), panels: vec![panel] }
    }

    #[test]
    fn foreign_text_is_no_markup_and_bad_numbers_are_left_out() {
        let svg = svg(&curves(vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 0.5)]));
        assert!(svg.contains("a &quot;run&quot;") && svg.contains("loss &lt;&amp;&gt;"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        assert!(svg.contains("from 1.0000 to 0.5000"));
    }

    #[test]
    fn few_or_like_points_have_an_axis_too() {
        for points in [vec![], vec![(3.0, 2.0)], vec![(0.0, 0.0), (0.0, 0.0)]] {
            let svg = svg(&curves(points));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn axes_have_round_ticks() {
        let axis = Axis::over([0.13, 0.87].into_iter(), true);
        assert_eq!((axis.low, axis.high), (0.0, 1.0));
        let labels: Vec<_> = axis.ticks().into_iter().map(|t| label(t, axis.step)).collect();
        assert_eq!(labels, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(label(5e-5, 1e-5), "5e-5");
    }

    #[test]
    fn long_lines_keep_their_extremes() {
        let mut points: Vec<_> = (0..10_000).map(|i| (f64::from(i), 0.0)).collect();
        points[4321].1 = 9.0;
        let thin = thinned(&points);
        assert!(thin.len() <= MOST && thin.contains(&(4321.0, 9.0)));
        let level = smoothed(&points[..100]);
        assert!(level.iter().all(|point| point.1 == 0.0));
    }
}
