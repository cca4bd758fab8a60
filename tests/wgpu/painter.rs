//! Pictures that the device draws: those of the host, up to a level where a driver does not divide exactly.

use std::sync::Arc;

use fluoroscope::backend::wgpu::{Limits, WgpuBackend, WgpuOptions};
use fluoroscope::explain::{Drawn, ExplainOptions, Explainer, Painter, Target};
use fluoroscope::picture::Colormap;
use image::RgbImage;

use crate::pictures::{Case, both, cases};
use crate::{golden, images, opened};

/// Of all levels, in percent.
const APART: usize = 1;

fn painter(options: WgpuOptions) -> (Arc<WgpuBackend>, Painter) {
    let backend = opened(options);
    (Arc::clone(&backend), Painter::new(Box::new(backend)))
}

/// What is wrong with a picture of the device.
fn complaint([device, host]: &[RgbImage; 2]) -> Option<String> {
    assert_eq!(device.dimensions(), host.dimensions());
    let apart: Vec<u8> = device.as_raw().iter().zip(host.as_raw()).map(|(a, b)| a.abs_diff(*b)).collect();
    let most = apart.iter().copied().max().unwrap_or(0);
    let count = apart.iter().filter(|apart| **apart > 0).count();
    (most > 1 || 100 * count > APART * apart.len()).then(|| format!("{count} levels differ, by {most} at most"))
}

/// Numbers that are not normal may be zeros on a device, so those are left to the host here.
fn normal() -> Vec<Case> {
    cases().into_iter().filter(|case| case.0 != "tiny").collect()
}

#[test]
fn an_adapter_draws_the_pictures_of_the_host() {
    let (_, painter) = painter(WgpuOptions::default());
    let maps = Colormap::names();
    let cases = normal();
    let draw = |(i, case): (usize, &Case)| {
        let colormap = Colormap::named(maps[i % maps.len()]).expect("a name");
        let said = complaint(&both(&painter, case, colormap, [0.8, 1.0, 0.35][i % 3]))?;
        Some(format!("{}: {said}", case.0))
    };
    let complaints: Vec<String> = cases.iter().enumerate().filter_map(draw).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert_eq!(painter.drawn(), Drawn { on_device: cases.len(), ..Drawn::default() });
}

#[test]
fn threads_draw_at_the_same_time_on_an_adapter() {
    let (_, painter) = painter(WgpuOptions::default());
    let cases = normal();
    let draw = |case: &Case| (0..3).find_map(|_| complaint(&both(&painter, case, Colormap::default_for(true), 0.8)));
    let draw = &draw;
    let found: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = cases[..4].iter().map(|case| scope.spawn(move || draw(case))).collect();
        threads.into_iter().filter_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(painter.drawn(), Drawn { on_device: 12, ..Drawn::default() });
}

#[test]
fn a_picture_that_is_too_large_for_the_device_is_left_to_the_host() {
    let limits = Limits { tensor: Some(1 << 18), ..Limits::default() };
    let (_, painter) = painter(WgpuOptions { limits, ..WgpuOptions::default() });
    let cases = normal();
    let of = |name: &str| cases.iter().find(|case| case.0 == name).expect("a case");
    for (name, [on_device, on_host]) in [("one pixel", [1, 0]), ("a crop", [1, 1]), ("one pixel", [2, 1])] {
        let pictures = both(&painter, of(name), Colormap::default_for(true), 0.8);
        assert_eq!(complaint(&pictures), None, "{name}");
        let drawn = painter.drawn();
        assert_eq!((drawn.on_device, drawn.on_host, drawn.gave_up), (on_device, on_host, false), "{name}");
    }
    assert!(painter.drawn().reason.expect("a reason").contains("bytes a tensor"));
}

/// The picture at hand is drawn by the host, the next one by the device again; and maps are computed on it.
#[test]
fn a_lost_device_that_draws_is_opened_anew() {
    let (backend, painter) = painter(WgpuOptions::default());
    let painter = Arc::new(painter);
    let case = &normal()[0];
    for (is_lost, [on_device, on_host]) in [(false, [1, 0]), (true, [1, 1]), (false, [2, 1])] {
        if is_lost {
            backend.destroy();
        }
        assert_eq!(complaint(&both(&painter, case, Colormap::default_for(true), 0.8)), None);
        let drawn = painter.drawn();
        assert_eq!((drawn.on_device, drawn.on_host, drawn.gave_up), (on_device, on_host, false));
    }

    backend.destroy();
    let model = golden("plain");
    let (image, methods) = (images(&model, 1), ["saliency".parse().expect("a method")]);
    let mut explainer = Explainer::new(&model, Box::new(painter), ExplainOptions::default()).expect("an explainer");
    explainer.explain(&image, &methods, &Target::Top(1)).expect("a map after a loss");
}
