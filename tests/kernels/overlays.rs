//! Ranges and overlays: odd sizes, magnification, windows that leave the picture, maps of zeros, what is not a number.

use fluoroscope::graph::{Constant, Precision};
use fluoroscope::program::{Arrangement, Element, Kernel, Layout, OverlayParams, Per, Segment, Weight};

use crate::bench::Bench;
use crate::cases::{Case, case};
use crate::oracle::Array;

pub fn ranges(cases: &mut Vec<Case>) {
    let shapes = [[1, 1, 1], [1, 7, 13], [3, 5, 300], [255, 3, 2], [1030, 1, 3]];
    for (shape, is_spoilt) in shapes.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
        cases.push(case(format!("range: {shape:?}, spoilt {is_spoilt}"), move |b| {
            let spoil = |i: usize| if is_spoilt && i.is_multiple_of(5) { f64::NAN } else { 1.0 };
            // Of either sign alone, too: zero is an end then.
            let one_sided = |i: usize, v: f64| [v, v.abs(), -v.abs()][i / 4 % 3];
            b.precision = Precision::F32;
            let count = b.count(Per::Message);
            let data = b.random(count * shape.iter().product::<usize>()).into_iter().enumerate();
            let data = data.map(|(i, v)| one_sided(i, v) * spoil(i)).collect();
            let x = Array { n: count, c: shape[0], h: shape[1], w: shape[2], data };
            let view = b.given(Per::Message, Element::Float, x.clone());
            let ends = Array::from_fn(count, [3, shape[1], 1], |[n, lane, row, _]| {
                let values = (0..shape[0]).flat_map(|c| (0..shape[2]).map(move |column| [n, c, row, column]));
                let values = values.map(|at| x.at(at));
                match lane {
                    0 => values.fold(0.0, f64::min),
                    1 => values.fold(0.0, f64::max),
                    _ => values.map(|v| 0.0 * v).sum(),
                }
            });
            b.dense = true;
            let out = b.expect(Per::Message, Element::Float, ends);
            b.step(Kernel::Range, vec![view], vec![], out, vec![]);
        }));
    }
    cases.push(case("range: rows side by side", |b| {
        b.precision = Precision::F32;
        let (view, x) = b.noise(Per::Message, [1, 9, 5], 1.0);
        let row = |n: usize, row: usize| (0..5).map(move |column| [n, 0, row, column]);
        let ends = Array::from_fn(x.n, [3, 1, 9], |[n, lane, _, at]| match lane {
            0 => row(n, at).fold(0.0, |least, at| x.at(at).min(least)),
            1 => row(n, at).fold(0.0, |greatest, at| x.at(at).max(greatest)),
            _ => 0.0,
        });
        b.dense = true;
        let out = b.expect(Per::Message, Element::Float, ends);
        b.step(Kernel::Range, vec![view], vec![], out, vec![]);
    }));
}

/// What a case draws: the map by its pixel, over a picture of so many rows and columns.
struct Scene {
    name: &'static str,
    map: [usize; 2],
    picture: [usize; 2],
    params: OverlayParams,
    colours: usize,
    value: fn(f64, usize) -> f64,
}

fn scenes() -> Vec<Scene> {
    let plain = OverlayParams { factor: 1, window: [0.0; 4], symmetric: true, alpha: 0.8, dimmed: 0.4 };
    let whole = |[height, width]: [usize; 2]| [0.0, 0.0, width as f32, height as f32];
    let scene = |name, map, picture, params: OverlayParams, colours, value| {
        let window = if params.window == [0.0; 4] { whole(picture) } else { params.window };
        Scene { name, map, picture, params: OverlayParams { window, ..params }, colours, value }
    };
    let noise: fn(f64, usize) -> f64 = |v, _| v;
    let from_zero = OverlayParams { symmetric: false, ..plain };
    let inner = OverlayParams { window: [1.3, 2.6, 4.15, 5.9], ..plain };
    vec![
        scene("one pixel", [1, 1], [1, 1], plain, 2, noise),
        scene("several blocks", [7, 5], [19, 17], plain, 17, noise),
        scene("from zero", [7, 5], [13, 11], from_zero, 17, noise),
        scene("magnified", [4, 3], [5, 7], OverlayParams { factor: 3, ..plain }, 9, noise),
        scene("magnified from zero", [2, 9], [7, 3], OverlayParams { factor: 5, ..from_zero }, 9, noise),
        scene("a window inside", [3, 4], [11, 9], inner, 9, noise),
        scene("a window inside, magnified", [3, 4], [11, 9], OverlayParams { factor: 2, ..inner }, 9, noise),
        scene("partly outside", [5, 5], [9, 7], OverlayParams { window: [-2.2, 3.7, 5.4, 9.1], ..plain }, 9, noise),
        scene("wholly outside", [5, 5], [3, 4], OverlayParams { window: [7.2, 0.0, 2.0, 3.0], ..plain }, 9, noise),
        scene("an empty window", [2, 2], [3, 4], OverlayParams { window: [1.5, 1.5, 0.0, 0.0], ..plain }, 9, noise),
        scene("a map finer than the picture", [33, 29], [4, 3], plain, 9, noise),
        scene("one colour", [3, 3], [5, 5], plain, 1, noise),
        scene("opaque", [3, 3], [5, 5], OverlayParams { alpha: 1.0, ..plain }, 9, noise),
        scene("more than opaque", [3, 3], [5, 5], OverlayParams { alpha: 3.0, ..plain }, 9, noise),
        scene("zeros", [3, 3], [5, 5], plain, 9, |_, _| 0.0),
        scene("zeros from zero", [3, 3], [5, 5], from_zero, 9, |_, _| 0.0),
        scene("nothing above zero", [3, 3], [5, 5], from_zero, 9, |v, _| -v.abs()),
        scene("everything below zero", [3, 3], [5, 5], plain, 9, |v, _| -v.abs()),
        scene("not a number", [5, 5], [9, 9], plain, 9, |v, i| if i.is_multiple_of(4) { f64::NAN } else { v }),
        scene("not a number, from zero", [5, 5], [9, 9], from_zero, 9, |v, i| if i == 12 { f64::NAN } else { v }),
        scene("nothing but that", [2, 2], [3, 3], plain, 9, |_, _| f64::NAN),
        scene("huge", [3, 3], [5, 5], plain, 9, |v, _| v * f64::from(f32::MAX)),
    ]
}

pub fn overlays(cases: &mut Vec<Case>) {
    for scene in scenes() {
        cases.push(case(format!("overlay: {}", scene.name), move |b| draw(b, &scene)));
    }
}

/// What is drawn is never a half.
fn draw(b: &mut Bench, scene: &Scene) {
    (b.dense, b.precision) = (true, Precision::F32);
    let ([map_h, map_w], [height, width], params) = (scene.map, scene.picture, scene.params);
    let (maps, images) = (b.count(Per::Message), b.count(Per::Image));
    let data = b.random(maps * map_h * map_w).into_iter().enumerate();
    let data = data.map(|(i, v)| (scene.value)(v, i % (map_h * map_w))).collect();
    let map = Array { n: maps, c: 1, h: map_h, w: map_w, data };
    let data = b.random(images * 3 * height * width).into_iter().map(|v| (128.0 * (v + 1.0)).floor()).collect();
    let picture = Array { n: images, c: 3, h: height, w: width, data };
    let ends: Vec<[f64; 2]> = map.data.chunks_exact(map_h * map_w).map(ends).collect();
    let range = Array::from_fn(maps, [2, 1, 1], |[n, lane, ..]| ends[n][lane]);
    let colours: Vec<f64> = b.random(4 * scene.colours).into_iter().map(|v| 127.5 * (v + 1.0)).collect();
    let colours = Constant::new(colours, Precision::F32);

    let [rows, columns] = [height, width].map(|n| n * params.factor);
    let y = Array::from_fn(maps, [3, rows, columns], |[n, c, y, x]| {
        let from = [b.item(Per::Image, Per::Message, n), c, y / params.factor, x / params.factor];
        let from = picture.at(from);
        let [left, top, across, down] = params.window.map(f64::from);
        let share = |at: usize, start: f64, length: f64| ((at as f64 + 0.5) / params.factor as f64 - start) / length;
        let inside = [share(y, top, down), share(x, left, across)];
        let (colour, part) = if inside.iter().all(|share| (0.0..=1.0).contains(share)) {
            let value = between_cells(&map, n, inside);
            let (place, strength) = on_scale(value, ends[n], params.symmetric);
            (between_colours(&colours, place, c), (f64::from(params.alpha) * strength).clamp(0.0, 1.0))
        } else {
            (0.0, f64::from(params.dimmed))
        };
        (from + part * (colour - from)).round()
    });
    let inputs = vec![
        b.given(Per::Message, Element::Float, map),
        b.given(Per::Message, Element::Float, range),
        b.given(Per::Image, Element::Byte, picture),
    ];
    let lanes = colours.len();
    let layout = Layout { segments: vec![Segment { real: lanes, padded: lanes }] };
    let weight: Weight = Bench::weight(&colours, Arrangement::Channel { layout });
    let out = b.expect(Per::Message, Element::Byte, y);
    b.step(Kernel::Overlay(params), inputs, vec![weight], out, vec![]);
}

/// The least and the greatest number of a map and zero.
fn ends(map: &[f64]) -> [f64; 2] {
    [map.iter().copied().fold(0.0, f64::min), map.iter().copied().fold(0.0, f64::max)]
}

/// The mean of all cells, weighted by how near they are to a point: (y, x) in shares of the map.
fn between_cells(map: &Array, n: usize, inside: [f64; 2]) -> f64 {
    let [at_y, at_x] = [0, 1].map(|axis| {
        let cells = [map.h, map.w][axis];
        (inside[axis] * cells as f64 - 0.5).clamp(0.0, cells as f64 - 1.0)
    });
    let near = |at: f64, cell: usize| (1.0 - (at - cell as f64).abs()).max(0.0);
    // The cell after the point counts even with no weight, unless there is none: what is not a number stays so.
    let counts = |at: f64, cell: usize| cell == at.floor() as usize || cell == at.floor() as usize + 1;
    let cells = (0..map.h).flat_map(|y| (0..map.w).map(move |x| (y, x)));
    let cells = cells.filter(|(y, x)| counts(at_y, *y) && counts(at_x, *x));
    cells.map(|(y, x)| near(at_y, y) * near(at_x, x) * map.at([n, 0, y, x])).sum()
}

/// Place on the scale and strength; nothing on a scale without extent, and where the value is not a number.
fn on_scale(value: f64, [least, greatest]: [f64; 2], symmetric: bool) -> (f64, f64) {
    let peak = if symmetric { greatest.max(-least) } else { greatest };
    if peak == 0.0 || value.is_nan() {
        return (0.0, 0.0);
    }
    let share = value / peak;
    if symmetric {
        (((share + 1.0) / 2.0).clamp(0.0, 1.0), share.abs().min(1.0))
    } else {
        (share.clamp(0.0, 1.0), share.clamp(0.0, 1.0))
    }
}

fn between_colours(colours: &Constant, place: f64, channel: usize) -> f64 {
    let last = colours.len() / 4 - 1;
    let at = place * last as f64;
    let near = |entry: usize| (1.0 - (at - entry as f64).abs()).max(0.0);
    (0..=last).map(|entry| near(entry) * colours.get(4 * entry + channel)).sum()
}
