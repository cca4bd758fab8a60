//! Maps and pictures that a device draws over one another, of all kinds.

use fluoroscope::explain::Painter;
use fluoroscope::picture::{Caption, Colormap, Levels, Paint, Picture, Placement, Scale, overlay};
use fluoroscope::tensor::Tensor;
use image::RgbImage;

pub fn noise(i: usize) -> f32 {
    (i as f32 * 12.9898).sin() * 43.758
}

pub fn picture(width: usize, height: usize, channels: usize, eight_bit: bool) -> Picture {
    let step = |i: usize, steps: f32| (noise(i).fract().abs() * steps).round();
    let all = 0..width * height * channels;
    let levels = match eight_bit {
        true => Levels::Eight(all.map(|i| step(i, 255.0) as u8).collect()),
        false => Levels::Fine(all.map(|i| step(i, 65535.0) / 65535.0).collect()),
    };
    Picture { width, height, channels, levels }
}

pub fn map(height: usize, width: usize, value: impl Fn(usize) -> f32) -> Tensor {
    Tensor::new(&[height, width], (0..height * width).map(value).collect())
}

pub type ScaleOf = fn(&Tensor) -> Scale;

/// What is drawn over what: a map, a picture, where, and on which scale.
pub type Case = (&'static str, Tensor, Picture, Placement, ScaleOf);

pub fn cases() -> Vec<Case> {
    let whole = |name, map, picture: Picture, scale| {
        let placement = Placement::whole(&picture);
        (name, map, picture, placement, scale)
    };
    let (signed, unsigned): (ScaleOf, ScaleOf) = (Scale::signed, Scale::unsigned);
    let inner = Placement { x: 37.5, y: 0.0, width: 225.0, height: 225.0 };
    let beyond = Placement { x: -3.3, y: 4.7, width: 29.1, height: 17.9 };
    let spoilt = |i: usize| if i.is_multiple_of(11) { f32::NAN } else { noise(i) };
    vec![
        whole("magnified", map(7, 7, noise), picture(24, 24, 3, true), signed),
        whole("grey, from zero", map(7, 5, |i| noise(i).abs()), picture(57, 131, 1, true), unsigned),
        whole("one pixel", map(1, 2, noise), picture(1, 1, 3, true), signed),
        whole("a strip", map(9, 33, noise), picture(300, 11, 3, true), unsigned),
        whole("16 bits", map(13, 13, noise), picture(40, 33, 3, false), signed),
        whole("as large as readable", map(28, 28, noise), picture(231, 225, 3, true), signed),
        ("a crop", map(14, 14, noise), picture(300, 225, 3, true), inner, signed),
        ("partly outside", map(6, 9, noise), picture(31, 23, 1, true), beyond, unsigned),
        whole("zeros", map(3, 3, |_| 0.0), picture(24, 24, 3, true), signed),
        whole("zeros, from zero", map(3, 3, |_| 0.0), picture(24, 24, 3, true), unsigned),
        whole("nothing above zero", map(3, 3, |i| -noise(i).abs()), picture(24, 24, 3, true), unsigned),
        whole("not a number", map(8, 8, spoilt), picture(24, 24, 3, true), signed),
        whole(
            "infinite",
            map(4, 4, |i| if i == 5 { f32::INFINITY } else { noise(i) }),
            picture(24, 24, 3, true),
            signed,
        ),
        whole("tiny", map(4, 4, |i| noise(i) * 1e-39), picture(24, 24, 3, true), signed),
        whole("huge", map(4, 4, |i| noise(i).fract() * f32::MAX), picture(24, 24, 3, true), signed),
    ]
}

pub fn caption() -> Caption {
    Caption { title: "LRP epsilon: a class".into(), subtitle: "logit 6.93".into() }
}

/// The picture of the device, and that of the host.
pub fn both(
    painter: &Painter,
    (_, map, picture, placement, scale): &Case,
    colormap: Colormap,
    alpha: f32,
) -> [RgbImage; 2] {
    let paint = Paint { colormap, scale: scale(map), alpha };
    let device = painter.overlay(picture, map, placement, &paint, &caption()).expect("a picture");
    [device, overlay(picture, map, placement, &paint, &caption()).expect("a picture")]
}
