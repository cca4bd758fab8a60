//! The roofline plot: GFLOP/s over FLOP per byte on logarithmic axes, the roofs of the device, a point per kernel and shape.
//!
//! Points are numbered, the longest time first, and the key under the plot says what they are: so no text lies on another,
//! however many there are.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use svg::Document;
use svg::node::element::{Circle, Group, Line, Polyline, Rectangle, Text};

use super::figures::Row;
use crate::backend::{Rate, Roof};
use crate::cli::table::shortened;
use crate::graph::Precision;

const WIDTH: f64 = 960.0;
/// The plot.
const PLOT: Frame = Frame { left: 64.0, top: 56.0, right: WIDTH - 16.0, bottom: 516.0 };
/// Half the size of a point.
const POINT: f64 = 3.5;
/// Sizes of letters, and what a letter takes of them in width at most.
const LARGE: f64 = 13.0;
const SMALL: f64 = 10.0;
const LETTER: f64 = 0.6;
/// The key.
const COLUMNS: usize = 2;
const LINE: f64 = 14.0;
const KEY_LETTERS: usize = 72;

const INK: &str = "#222222";
const FAINT: &str = "#dddddd";
const ROOF: &str = "#666666";

/// What a point's kernel is drawn with: readable in print and by those who see fewer colours; backward kernels are squares.
fn colour(kernel: &str) -> &'static str {
    match kernel {
        "conv2d_forward" => "#0072b2",
        "conv2d_backward" => "#d55e00",
        "depthwise_forward" => "#009e73",
        _ => "#cc79a7",
    }
}

/// All steps of one kernel and shape.
#[derive(Clone, Debug, Default)]
struct Point {
    kernel: &'static str,
    what: String,
    steps: usize,
    microseconds: f64,
    gflop: f64,
    gbyte: f64,
    /// Microseconds that the roof allows.
    least: f64,
}

impl Point {
    /// FLOP per byte, and GFLOP/s.
    fn at(&self) -> [f64; 2] {
        [self.gflop / self.gbyte, self.gflop / self.microseconds * 1e6]
    }

    fn text(&self) -> String {
        let Self { kernel, what, steps, microseconds, .. } = self;
        let times = if *steps == 1 { String::new() } else { format!("{steps} times ") };
        let percent = 100.0 * self.least / microseconds;
        let what = shortened(&format!("{kernel} {what}"), KEY_LETTERS - 26);
        format!("{what}: {times}{:.1} us, {percent:.0} %", microseconds / *steps as f64)
    }
}

/// A box, y growing downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Frame {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Frame {
    fn around([x, y]: [f64; 2], half_width: f64, half_height: f64) -> Self {
        Self { left: x - half_width, top: y - half_height, right: x + half_width, bottom: y + half_height }
    }

    fn meets(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    fn holds(&self, other: &Self) -> bool {
        self.left <= other.left && other.right <= self.right && self.top <= other.top && other.bottom <= self.bottom
    }
}

/// From values to the plot.
struct Axes {
    x: [f64; 2],
    y: [f64; 2],
}

impl Axes {
    /// Room for the points, and for every roof with its ridge.
    fn new(points: &[Point], roof: &Roof) -> Self {
        let all = points.iter().map(Point::at);
        let least = |axis: usize, other: f64| all.clone().map(|at| at[axis]).fold(other, f64::min);
        let most = |axis: usize, other: f64| all.clone().map(|at| at[axis]).fold(other, f64::max);
        let highest = ceilings(roof).into_iter().map(|(_, gflops)| gflops).fold(0.0, f64::max);
        let ridges = [roof.gflops, highest].map(|gflops| gflops / roof.gbytes);
        Self {
            x: [below(0.7 * least(0, ridges[0])), above(4.0 * most(0, ridges[1]))],
            y: [below(0.7 * least(1, 0.1 * roof.gflops)), above(1.5 * most(1, highest))],
        }
    }

    fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let part = |value: f64, [low, high]: [f64; 2]| (value / low).ln() / (high / low).ln();
        let (across, up) = (part(x, self.x), part(y, self.y));
        [PLOT.left + across * (PLOT.right - PLOT.left), PLOT.bottom - up * (PLOT.bottom - PLOT.top)]
    }
}

/// The power of ten at or below a number.
fn decade(value: f64) -> f64 {
    10f64.powi(value.log10().floor() as i32)
}

/// The nearest number of the series 1, 2, 5, 10 at or below `value`.
fn below(value: f64) -> f64 {
    [5.0, 2.0].map(|n| n * decade(value)).into_iter().find(|n| *n <= value).unwrap_or(decade(value))
}

/// The same at or above `value`.
fn above(value: f64) -> f64 {
    [1.0, 2.0, 5.0].map(|n| n * decade(value)).into_iter().find(|n| *n >= value).unwrap_or(10.0 * decade(value))
}

/// The numbers of that series from `low`, which is one of them, to `high`.
fn ticks([low, high]: [f64; 2]) -> Vec<f64> {
    std::iter::successors(Some(low), |tick| Some(above(1.001 * tick)))
        .take_while(|tick| *tick <= 1.001 * high)
        .collect()
}

/// What computes, with its GFLOP/s.
fn ceilings(roof: &Roof) -> Vec<(String, f64)> {
    let matrix = roof.matrix_gflops.iter().map(|(of, gflops)| (format!("{of} matrix units"), *gflops));
    let thirds = roof.matrix_gflops.get("tf32").map(|gflops| ("f32 as three tf32".to_owned(), gflops / 3.0));
    [("f32 multiply-adds".to_owned(), roof.gflops)].into_iter().chain(thirds).chain(matrix).collect()
}

/// The points of these rows, those that take longest first; steps that multiply nothing have none.
fn points(rows: &[Row]) -> Vec<Point> {
    let mut points: BTreeMap<(&str, &str), Point> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.rate.gflops > 0.0) {
        let point = points.entry((row.kernel, &row.what)).or_default();
        (point.kernel, point.what) = (row.kernel, row.what.clone());
        point.steps += 1;
        let Rate { microseconds, gflops, gbytes, percent_of_roof } = row.rate;
        point.microseconds += microseconds;
        point.gflop += gflops * microseconds / 1e6;
        point.gbyte += gbytes * microseconds / 1e6;
        point.least += percent_of_roof.unwrap_or(0.0) * microseconds / 100.0;
    }
    let mut points: Vec<Point> = points.into_values().collect();
    points.sort_by(|a, b| b.microseconds.total_cmp(&a.microseconds));
    points
}

/// The plot of these rows, of values stored so, as the text of an SVG file; the title's parts are divided by semicolons.
pub fn draw(title: &str, stored: Precision, roof: &Roof, rows: &[Row]) -> String {
    let points = points(rows);
    let axes = Axes::new(&points, roof);
    let mut taken = Vec::new();
    let mut plot = Group::new().add(grid(&axes)).add(roofs(&axes, roof, &mut taken));
    let places: Vec<[f64; 2]> = points.iter().map(|point| axes.place(point.at())).collect();
    let texts: Vec<String> = (1..=points.len()).map(|number| number.to_string()).collect();
    let labels = labels(&places, &texts, &taken);
    for (place, label) in places.iter().zip(&labels) {
        plot = plot.add(leader(*place, label));
    }
    for (point, place) in points.iter().zip(&places) {
        plot = marker(plot, point.kernel, *place);
    }
    for (text, label) in texts.iter().zip(&labels) {
        let text = words(text, [(label.left + label.right) / 2.0, label.bottom - 2.0], SMALL, "middle");
        plot = plot.add(text.clone().set("stroke", "white").set("stroke-width", 2)).add(text);
    }
    let rows_of_key = points.len().div_ceil(COLUMNS);
    let height = PLOT.bottom + 56.0 + LINE * (rows_of_key + 2) as f64;
    let document = Document::new()
        .set("viewBox", format!("0 0 {WIDTH} {height}"))
        .set("width", WIDTH)
        .set("height", height)
        .set("font-family", "DejaVu Sans, Verdana, sans-serif")
        .add(Rectangle::new().set("width", "100%").set("height", "100%").set("fill", "white"));
    let document = document.add(heading(title)).add(plot).add(key(&points, rows_of_key));
    let document = document.add(footnote(stored, rows, height));
    format!("{document}\n")
}

fn heading(title: &str) -> Group {
    let lines = title.splitn(2, "; ").enumerate().map(|(number, line)| {
        let room = (WIDTH - 32.0) / LETTER / line.chars().count().max(1) as f64;
        words(line, [16.0, 22.0 + 18.0 * number as f64], room.min(LARGE), "start")
    });
    lines.fold(Group::new(), Group::add)
}

/// Text on a base line; the anchor is start, middle or end.
fn words(text: &str, [x, y]: [f64; 2], size: f64, anchor: &str) -> Text {
    let text = Text::new(text).set("x", number(x)).set("y", number(y)).set("font-size", number(size));
    text.set("text-anchor", anchor).set("fill", INK)
}

fn number(v: f64) -> String {
    format!("{v:.1}")
}

fn line([from_x, from_y]: [f64; 2], [to_x, to_y]: [f64; 2], colour: &str) -> Line {
    let line = Line::new().set("x1", number(from_x)).set("y1", number(from_y));
    line.set("x2", number(to_x)).set("y2", number(to_y)).set("stroke", colour)
}

/// Lines and numbers of both axes, and what they count.
fn grid(axes: &Axes) -> Group {
    let mut grid = Group::new();
    for value in ticks(axes.x) {
        let [x, _] = axes.place([value, axes.y[0]]);
        grid = grid.add(line([x, PLOT.top], [x, PLOT.bottom], FAINT));
        grid = grid.add(words(&value.to_string(), [x, PLOT.bottom + 15.0], SMALL, "middle"));
    }
    for value in ticks(axes.y) {
        let [_, y] = axes.place([axes.x[0], value]);
        grid = grid.add(line([PLOT.left, y], [PLOT.right, y], FAINT));
        grid = grid.add(words(&value.to_string(), [PLOT.left - 6.0, y + 3.5], SMALL, "end"));
    }
    let middle = [(PLOT.left + PLOT.right) / 2.0, PLOT.bottom + 32.0];
    grid = grid.add(words("FLOP per byte of memory traffic", middle, SMALL + 1.0, "middle"));
    let (x, y) = (14.0, (PLOT.top + PLOT.bottom) / 2.0);
    let turned = words("GFLOP/s", [x, y], SMALL + 1.0, "middle").set("transform", format!("rotate(-90 {x} {y})"));
    grid.add(turned)
}

/// The slope of memory up to the highest ceiling, and every ceiling from its ridge on; their texts are taken.
fn roofs(axes: &Axes, roof: &Roof, taken: &mut Vec<Frame>) -> Group {
    let mut ceilings = ceilings(roof);
    ceilings.sort_by(|a, b| b.1.total_cmp(&a.1));
    let highest = ceilings[0].1;
    let foot = axes.x[0].max(axes.y[0] / roof.gbytes);
    let (foot, top) = (axes.place([foot, foot * roof.gbytes]), axes.place([highest / roof.gbytes, highest]));
    let mut group = Group::new().add(line(foot, top, ROOF).set("stroke-width", 1.5));
    let mut texts: Vec<(String, f64)> = Vec::new();
    for (name, gflops) in &ceilings {
        let ridge = axes.place([gflops / roof.gbytes, *gflops]);
        let bar =
            Polyline::new().set("points", format!("{:.1},{:.1} {:.1},{:.1}", ridge[0], ridge[1], PLOT.right, ridge[1]));
        group = group.add(bar.set("stroke", ROOF).set("stroke-width", 1.5).set("fill", "none"));
        let text = format!("{name}, {gflops:.0}");
        match texts.last_mut().filter(|(_, y)| ridge[1] - y < SMALL + 4.0) {
            Some((words, _)) => *words += &format!("; {text}"),
            None => texts.push((text, ridge[1])),
        }
    }
    for (text, y) in texts {
        let text = format!("{text} GFLOP/s");
        let wide = LETTER * SMALL * text.chars().count() as f64;
        let right = PLOT.right - 6.0;
        taken.push(Frame { left: right - wide, top: y - 5.0 - SMALL, right, bottom: y });
        group = group.add(words(&text, [right, y - 4.0], SMALL, "end"));
    }

    let text = format!("copy, {:.1} GB/s", roof.gbytes);
    let (across, up) = (top[0] - foot[0], foot[1] - top[1]);
    let wide = LETTER * SMALL * text.chars().count() as f64;
    let (length, angle) = (across.hypot(up), up.atan2(across));
    let start = [foot[0] + 0.2 * across - 6.0 * up / length, foot[1] - 0.2 * up - 6.0 * across / length];
    taken.push(Frame {
        left: start[0] - SMALL * angle.sin(),
        top: start[1] - wide * angle.sin() - SMALL * angle.cos(),
        right: start[0] + wide * angle.cos(),
        bottom: start[1],
    });
    let turn = format!("rotate({:.1} {:.1} {:.1})", -angle.to_degrees(), start[0], start[1]);
    group.add(words(&text, start, SMALL, "start").set("transform", turn))
}

/// A free place for the text of every point, as near as can be, inside the plot.
fn labels(places: &[[f64; 2]], texts: &[String], taken: &[Frame]) -> Vec<Frame> {
    let mut taken = taken.to_vec();
    taken.extend(places.iter().map(|place| Frame::around(*place, POINT + 0.5, POINT + 0.5)));
    let mut labels = Vec::new();
    for (place, text) in places.iter().zip(texts) {
        let (wide, high) = (0.5 * LETTER * SMALL * text.len() as f64 + 1.0, 0.5 * SMALL + 1.0);
        let candidates = (0..80).flat_map(|ring| {
            let (reach, count) = (POINT + 1.0 + 4.0 * f64::from(ring), 8 + 2 * ring);
            (0..count).map(move |turn| {
                let (sine, cosine) = (TAU * f64::from(turn) / f64::from(count)).sin_cos();
                Frame::around([place[0] + (reach + wide) * cosine, place[1] - (reach + high) * sine], wide, high)
            })
        });
        let mut inside = candidates.filter(|frame| PLOT.holds(frame));
        let free = inside.find(|frame| taken.iter().all(|other| !frame.meets(other)));
        let label = free.unwrap_or(Frame::around(*place, wide, high));
        taken.push(label);
        labels.push(label);
    }
    labels
}

/// From a point to its label, where the label had to go far.
fn leader([x, y]: [f64; 2], label: &Frame) -> Group {
    let near = [x.clamp(label.left, label.right), y.clamp(label.top, label.bottom)];
    let far = (near[0] - x).hypot(near[1] - y) > 3.0 * POINT;
    if far { Group::new().add(line([x, y], near, "#999999").set("stroke-width", 0.6)) } else { Group::new() }
}

fn marker(group: Group, kernel: &str, [x, y]: [f64; 2]) -> Group {
    if kernel.ends_with("forward") {
        let circle = Circle::new().set("cx", number(x)).set("cy", number(y)).set("r", POINT);
        return group.add(circle.set("fill", colour(kernel)));
    }
    let square = Rectangle::new().set("x", number(x - POINT)).set("y", number(y - POINT));
    group.add(square.set("width", 2.0 * POINT).set("height", 2.0 * POINT).set("fill", colour(kernel)))
}

/// Number, kernel, shape and figures of every point, in columns.
fn key(points: &[Point], rows: usize) -> Group {
    let mut key = Group::new();
    for (number, point) in points.iter().enumerate() {
        let (column, row) = (number / rows, number % rows);
        let x = 16.0 + (WIDTH - 32.0) / COLUMNS as f64 * column as f64;
        let y = PLOT.bottom + 56.0 + LINE * row as f64;
        key = marker(key, point.kernel, [x + 4.0, y - 3.5]);
        key = key.add(words(&(number + 1).to_string(), [x + 32.0, y], SMALL, "end"));
        key = key.add(words(&point.text(), [x + 38.0, y], SMALL, "start"));
    }
    key
}

fn footnote(stored: Precision, rows: &[Row], height: f64) -> Text {
    let all: f64 = rows.iter().map(|row| row.rate.microseconds).sum();
    let others = rows.iter().filter(|row| row.rate.gflops == 0.0);
    let share = 100.0 * others.clone().map(|row| row.rate.microseconds).sum::<f64>() / all;
    let text = format!(
        "Microseconds are those of a step, % those of the roof of {stored}. Not shown, because they multiply nothing: {} steps, \
         {share:.0} % of the time.",
        others.count()
    );
    words(&text, [16.0, height - 8.0], SMALL, "start")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_lies_on_another_or_on_a_point() {
        // A crowd of 150 in a corner of the plot.
        let places: Vec<[f64; 2]> = (0..150)
            .map(|i| {
                let turn = f64::from(i) * 2.4;
                let reach = 6.0 * f64::from(i).sqrt();
                [PLOT.right - 60.0 + reach.min(55.0) * turn.cos(), PLOT.top + 80.0 + reach * turn.sin()]
            })
            .collect();
        let texts: Vec<String> = (1..=150).map(|number| number.to_string()).collect();
        let taken = [Frame { left: PLOT.right - 200.0, top: PLOT.top, right: PLOT.right, bottom: PLOT.top + 12.0 }];
        let labels = labels(&places, &texts, &taken);
        for (i, label) in labels.iter().enumerate() {
            assert!(PLOT.holds(label), "{label:?}");
            assert!(!label.meets(&taken[0]), "{label:?}");
            assert!(labels[..i].iter().all(|other| !label.meets(other)), "label {i}");
            let points = places.iter().map(|place| Frame::around(*place, POINT, POINT));
            assert!(points.into_iter().all(|point| !label.meets(&point)), "label {i}");
        }
    }

    #[test]
    fn axes_end_at_round_numbers_around_everything() {
        assert_eq!([0.7, 1.0, 3.1, 70.0].map(below), [0.5, 1.0, 2.0, 50.0]);
        assert_eq!([0.7, 1.0, 3.1, 70.0].map(above), [1.0, 1.0, 5.0, 100.0]);
        assert_eq!(ticks([0.5, 10.0]), [0.5, 1.0, 2.0, 5.0, 10.0]);
        let roof = Roof { gflops: 100.0, gbytes: 10.0, matrix_gflops: BTreeMap::from([("tf32", 800.0)]) };
        let at = Point { gflop: 0.3, gbyte: 1.0, microseconds: 1e5, ..Point::default() };
        let axes = Axes::new(&[at], &roof);
        assert_eq!((axes.x, axes.y), ([0.2, 500.0], [2.0, 2000.0]));
        assert_eq!(axes.place([0.2, 2.0]), [PLOT.left, PLOT.bottom]);
    }
}
