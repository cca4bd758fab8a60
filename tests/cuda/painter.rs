//! Pictures that the device draws: those of the host, bit for bit, and the host draws where the device does not.

use fluoroscope::backend::cuda::CudaBackend;
use fluoroscope::explain::{Drawn, Painter};
use fluoroscope::picture::{Colormap, Paint, Placement, Scale};
use fluoroscope::tensor::Tensor;

use super::pictures::{Case, both, caption, cases, map, noise, picture};
use super::{Scene, common};

fn painter() -> Painter {
    common::load_driver();
    Painter::new(Box::new(CudaBackend::new(0).expect("the driver has a device")))
}

#[test]
fn a_device_draws_the_pictures_of_the_host() {
    let painter = painter();
    let maps = Colormap::names();
    let mut complaints = Vec::new();
    let cases = cases();
    for (i, case) in cases.iter().enumerate() {
        let colormap = Colormap::named(maps[i % maps.len()]).expect("a name");
        let [device, host] = both(&painter, case, colormap, [0.8, 1.0, 0.35][i % 3]);
        assert_eq!(device.dimensions(), host.dimensions(), "{}", case.0);
        let apart = device.as_raw().iter().zip(host.as_raw()).filter(|(a, b)| a != b).count();
        complaints.extend((apart > 0).then(|| format!("{}: {apart} levels differ", case.0)));
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
    let drawn = painter.drawn();
    assert_eq!(drawn, Drawn { on_device: cases.len(), ..Drawn::default() });
}

#[test]
fn what_the_device_does_not_draw_the_host_does() {
    let painter = painter();
    let (map, picture) = (map(3, 3, noise), picture(24, 24, 3, true));
    let draw = |map: &Tensor, scale| {
        let paint = Paint { colormap: Colormap::default_for(true), scale, alpha: 0.8 };
        painter.overlay(&picture, map, &Placement::whole(&picture), &paint, &caption())
    };
    draw(&map, Scale::full(&map)).expect("a scale of its own");
    draw(&map, Scale { low: -1.0, high: 9.0 }).expect("a scale of its own");
    assert_eq!(painter.drawn(), Drawn { on_host: 2, ..Drawn::default() });
    for shape in [&[1, 3, 3][..], &[9], &[0, 3], &[]] {
        let map = Tensor::zeros(shape);
        let error = draw(&map, Scale::signed(&map)).expect_err("no plane").to_string();
        assert!(error.contains("[H, W]"), "{shape:?}: {error}");
    }
}

#[test]
fn threads_draw_at_the_same_time() {
    let painter = painter();
    let cases = cases();
    let few: Vec<&Case> = cases.iter().filter(|case| case.2.width <= 57).take(4).collect();
    let wrong = |case: &Case| {
        let pairs = (0..3).map(|_| both(&painter, case, Colormap::default_for(true), 0.8));
        pairs.filter(|[device, host]| device != host).count()
    };
    let wrong = &wrong;
    let found: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = few.iter().map(|case| scope.spawn(move || wrong(case))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!((found, painter.drawn().on_device), (0, 12));
}

/// One image and two methods into raw maps and pictures.
fn explain(scene: &Scene, settings: &[(&str, &str)], into: &str, formats: &str) -> super::ran::Ran {
    let options = ["-m", "saliency,lrp-epsilon", "--backend", "cuda", "--threads", "1", "-v"];
    let model = super::golden("plain");
    let files = ["explain", &model, "in.npy", "--format", formats, "-o", into];
    scene.run(&[settings, &[("PTX_SIM_CHECKS", "0")]].concat(), &[&files[..], &options].concat())
}

#[test]
fn explain_draws_on_the_device_and_on_the_host_where_that_fails() {
    let scene = Scene::new();
    scene.images("in.npy", "plain", 1);
    explain(&scene, &[("PTX_SIM_REPORT", "report")], "maps", "npy").exits(0);
    let before = scene.report("report");
    let ran = explain(&scene, &[("PTX_SIM_REPORT", "report")], "whole", "npy,png").exits(0);
    assert!(ran.stderr.contains("2 pictures drawn by cuda, 0 by the CPU"), "{}", ran.stderr);
    let (after, whole) = (scene.report("report"), scene.files("whole"));
    assert_eq!((whole.len(), &after["live_bytes"]), (4, &0.into()));
    let count = |key: &str| [&before, &after].map(|report| report[key].as_u64().expect("a count"));
    let [computing, all] = count("launches");
    assert_eq!(all - computing, 2 * 3, "three steps a picture");

    // From each of the allocations on that pictures need, and each of the launches.
    let [first, last] = count("allocations");
    let lacking =
        (first + 1..=last).map(|nth| ("PTX_SIM_FAIL_ALLOC", format!("{nth}+"), "the cuda backend could not allocate"));
    let failing = (computing + 1..=all).map(|nth| ("PTX_SIM_FAIL_LAUNCH", nth.to_string(), "the cuda device stopped"));
    assert!(last > first);
    for (kind, nth, reason) in lacking.chain(failing) {
        let into = format!("{kind}-{nth}");
        let ran = explain(&scene, &[(kind, &nth)], &into, "npy,png").exits(0);
        assert!(ran.stderr.contains(&format!("the CPU drew pictures: {reason}")), "{into}: {}", ran.stderr);
        assert!(!ran.stderr.contains(", 0 by the CPU"), "{into}: {}", ran.stderr);
        assert!(scene.files(&into) == whole, "{into}");
    }
}
