//! Memory that fails at each of the first 200 allocations of a run, once and for good.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{QUICK, Scene, common};

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
    let model = common::root().join("tests/fixtures/onnx/ops/grey.onnx").display().to_string();
    let options = ["--batch", "1", "--samples", "1", "--steps", "1", "--backend", "cuda"];
    let files = ["explain", &model, "in.npy", "--format", "npy", "-o", into, "-m", METHODS];
    scene.run(&[settings, &[QUICK]].concat(), &[&files[..], &options].concat())
}

/// One place of so many fails once, too: that run goes to its end, and its kernels run.
const ONCE_EVERY: usize = 3;

/// Where memory fails for good, what kernels compute is seldom seen: where it is, they run another time.
const IDLE: (&str, &str) = ("PTX_SIM_RUN", "0");

/// The files of runs in which nothing fails.
struct Wholes {
    computed: Files,
    idle: Files,
}

/// Where the n-th allocation fails: the maps are the same, or nothing is written and the reason is said.
struct Place {
    nth: usize,
    /// On the device, and of pinned memory of the host, which a run may make fewer of.
    kinds: &'static [&'static str],
}

impl Place {
    fn check(&self, scene: &Scene, wholes: &Wholes) {
        let Self { nth, kinds } = self;
        let (once, for_good) = (nth.to_string(), format!("{nth}+"));
        if nth % ONCE_EVERY == 1 {
            let into = format!("once-{nth}");
            let settings: Vec<_> = kinds.iter().map(|kind| (*kind, once.as_str())).collect();
            explain(scene, &settings, &into).exits(0).says(&[]);
            assert!(scene.files(&into) == wholes.computed, "allocation {nth} fails once");
        }
        for kind in *kinds {
            let into = format!("{kind}-{nth}");
            let setting = (*kind, for_good.as_str());
            let ran = explain(scene, &[setting, IDLE], &into);
            let files = scene.files(&into);
            if ran.code == 0 {
                // The run goes on without.
                assert!(files == wholes.idle, "{kind}={for_good}");
                let into = format!("{kind}-{nth}-computed");
                explain(scene, &[setting], &into).exits(0);
                assert!(scene.files(&into) == wholes.computed, "{kind}={for_good}");
            } else {
                ran.exits(4).says(&["error: the cuda backend could not allocate", "hint: use a smaller --batch"]);
                assert!(files.is_empty(), "{kind}={for_good}");
            }
        }
    }
}

#[test]
fn memory_may_fail_at_each_of_the_first_200_allocations() {
    let scene = Scene::new();
    scene.noise("in.npy", &[IMAGES, 1, 9, 11]);
    explain(&scene, &[("PTX_SIM_REPORT", "report")], "whole").exits(0).says(&[]);
    let report = scene.report("report");
    let count = |of: &str| report[of].as_u64().expect("a count") as usize;
    let (on_device, pinned) = (count("allocations"), count("pinned_allocations"));
    assert!(on_device >= PLACES && pinned > 0, "{report}");
    explain(&scene, &[IDLE], "idle").exits(0).says(&[]);
    let wholes = Wholes { computed: scene.files("whole"), idle: scene.files("idle") };
    assert!(wholes.computed.len() == wholes.idle.len() && wholes.computed != wholes.idle);
    let next = AtomicUsize::new(1);
    let some = || {
        while let nth @ 1..=PLACES = next.fetch_add(1, Ordering::Relaxed) {
            let kinds: &[_] = &["PTX_SIM_FAIL_ALLOC", "PTX_SIM_FAIL_PINNED"];
            Place { nth, kinds: if nth <= pinned { kinds } else { &kinds[..1] } }.check(&scene, &wholes);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(some)));
}
