//! Memory that fails at each of the first 200 allocations of a run, once and for good.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Scene, common};

const PLACES: usize = 200;

/// Each of these has sessions of its own, and they are more than are kept: with every image all are loaded again.
const METHODS: &str = "smoothgrad-gradient,smoothgrad-input-x-gradient,smoothgrad-lrp-epsilon,smoothgrad-lrp-zplus,\
                       smoothgrad-epsilon-plus-flat,smoothgrad-deeplift,smoothgrad-guided-backprop,\
                       smoothgrad-deconvnet,smoothgrad-saliency,smoothgrad-grad-cam,smoothgrad-guided-grad-cam,\
                       integrated-gradients,lrp-epsilon";
const IMAGES: usize = 14;

type Files = BTreeMap<String, Vec<u8>>;

/// A small network's maps into a folder, one image at a time.
fn explain(scene: &Scene, settings: &[(&str, &str)], into: &str) -> crate::ran::Ran {
    let model = common::root().join("tests/fixtures/onnx/ops/spatial.onnx").display().to_string();
    let options = ["--batch", "1", "--samples", "1", "--steps", "1", "--backend", "cuda"];
    let files = ["explain", &model, "in.npy", "--format", "npy", "-o", into, "-m", METHODS];
    let quick = [("PTX_SIM_CHECKS", "0")];
    scene.run(&[settings, &quick].concat(), &[&files[..], &options].concat())
}

/// Where the n-th allocation fails: the maps are the same, or nothing is written and the reason is said.
fn check(scene: &Scene, whole: &Files, nth: usize) {
    let (once, for_good) = (nth.to_string(), format!("{nth}+"));
    let into = format!("once-{nth}");
    explain(scene, &[("PTX_SIM_FAIL_ALLOC", &once), ("PTX_SIM_FAIL_PINNED", &once)], &into).exits(0).says(&[]);
    assert!(scene.files(&into) == *whole, "allocation {nth} fails once");
    for kind in ["PTX_SIM_FAIL_ALLOC", "PTX_SIM_FAIL_PINNED"] {
        let into = format!("{kind}-{nth}");
        let ran = explain(scene, &[(kind, &for_good)], &into);
        let files = scene.files(&into);
        if ran.code == 0 {
            // The run makes fewer, or goes on without.
            assert!(files == *whole, "{kind}={for_good}");
        } else {
            ran.exits(4).says(&["error: the cuda backend could not allocate", "hint: use a smaller --batch"]);
            assert!(files.is_empty(), "{kind}={for_good}");
        }
    }
}

#[test]
fn memory_may_fail_at_each_of_the_first_200_allocations() {
    let scene = Scene::new();
    scene.noise("in.npy", &[IMAGES, 3, 8, 9]);
    explain(&scene, &[("PTX_SIM_REPORT", "report")], "whole").exits(0).says(&[]);
    let report = scene.report("report");
    assert!(report["allocations"].as_u64().expect("a count") >= PLACES as u64, "{report}");
    let whole = scene.files("whole");
    let next = AtomicUsize::new(1);
    let some = || {
        while let nth @ 1..=PLACES = next.fetch_add(1, Ordering::Relaxed) {
            check(&scene, &whole, nth);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(some)));
}
