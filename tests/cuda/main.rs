//! The real binary on the stand-in driver of `ptx-sim/driver`: maps, drivers that are broken, memory that runs out, launches
//! that fail.

mod allocations;
#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "the binary loads the driver")]
mod common;
mod counts;
mod half;
mod painter;
#[path = "../common/pictures.rs"]
mod pictures;
mod pipeline;
#[path = "../common/prefetch.rs"]
mod prefetched;
#[path = "../cli/ran.rs"]
mod ran;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use fluoroscope::backend::cuda::CudaBackend;
use fluoroscope::method::{MethodChoice, names};
use fluoroscope::model::Model;
use fluoroscope::picture::{read_array, write_npy};
use fluoroscope::plan::{Batch, Pass, PlanError, plan};
use fluoroscope::rule::RuleOptions;
use fluoroscope::tensor::Tensor;
use ptx_sim_driver::{Variant, install};
use serde_json::Value;
use tempfile::TempDir;

use ran::{NO_VULKAN, Ran};

/// Largest difference to f64 on the CPU, relative to the peak of its map.
const LIMIT: f64 = 1e-4;

/// Kernels that other tests run with all checks of the interpreter run without.
const QUICK: (&str, &str) = ("PTX_SIM_CHECKS", "0");

/// A temporary folder in which the binary runs, with a driver of its own.
struct Scene {
    folder: TempDir,
    /// Where the stand-in driver is; without one, the machine's own is used.
    driver: Option<PathBuf>,
}

/// The whole stand-in driver, installed once.
fn whole_driver() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let installed = || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        install(folder.path(), Variant::Whole).unwrap_or_else(|error| panic!("{error}"));
        folder
    };
    FOLDER.get_or_init(installed).path()
}

impl Scene {
    fn new() -> Self {
        let driver = (!common::on_a_device()).then(|| whole_driver().to_owned());
        Self { folder: tempfile::tempdir().expect("a temporary folder"), driver }
    }

    /// With a driver that is not whole.
    fn with(variant: Variant) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let driver = folder.path().join("driver");
        install(&driver, variant).unwrap_or_else(|error| panic!("{error}"));
        Self { folder, driver: Some(driver) }
    }

    /// So many images for a golden network, in one file.
    fn images(&self, name: &str, net: &str, count: usize) {
        let model = Model::open(golden(net)).expect("a golden network");
        let shape = model.input();
        self.noise(name, &[count, shape.channels, shape.height, shape.width]);
    }

    /// An array of values in -1..1.
    fn noise(&self, name: &str, shape: &[usize]) {
        let value = |i: usize| ((i * 37 % 1009) as f32 * 0.37).sin();
        let data = (0..shape.iter().product()).map(value).collect();
        write_npy(&self.folder.path().join(name), &Tensor::new(shape, data)).expect("an array");
    }

    fn run(&self, settings: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let mut command = Command::new(common::binary());
        command.args(arguments).current_dir(self.folder.path());
        // Where no device of CUDA computes it is to be the CPU, also on a machine with an adapter.
        if !arguments.contains(&"wgpu") {
            command.envs(NO_VULKAN);
        }
        if let Some(driver) = &self.driver {
            command.env("LD_LIBRARY_PATH", driver).env_remove("CUDA_VISIBLE_DEVICES");
        }
        command.envs(settings.iter().copied());
        // What the driver says about faults is not the program's.
        command.env("PTX_SIM_LOG", self.folder.path().join("driver.log"));
        let output = command.output().expect("the binary runs");
        // The last kind is the driver's, about its settings.
        Ran::new(&output, &format!("{settings:?} {arguments:?}"), &["error: ", "hint: ", "note: ", "ptx-sim: "])
    }

    /// `explain` of `net` into the folder `into`.
    fn explain(&self, settings: &[(&str, &str)], net: &str, into: &str, options: &[&str]) -> Ran {
        let model = golden(net);
        self.run(settings, &[&["explain", &model, "in.npy", "--format", "npy", "-o", into], options].concat())
    }

    /// Files of a folder with their bytes.
    fn files(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(self.folder.path().join(name)).into_iter().flatten();
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let named = |path: PathBuf| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("a file"))
        };
        paths.map(named).collect()
    }

    /// What the driver reports of a run: its last device, and the number of its launches.
    fn report(&self, name: &str) -> Value {
        let text = std::fs::read_to_string(self.folder.path().join(name)).expect("a report");
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.rfind(|line| line["kind"] == "device").expect("a device")
    }
}

/// A golden network, or the one whose convolutions have groups.
fn golden(net: &str) -> String {
    let folder = if net == "resnext" { "tests/fixtures/onnx" } else { "data/golden" };
    common::root().join(format!("{folder}/{net}.onnx")).display().to_string()
}

/// Every method of which a golden network has a map: CAM needs a head of its own.
fn methods(net: &str) -> Vec<&'static str> {
    let model = Model::open(golden(net)).expect("a golden network");
    let has_map = |name: &&str| {
        let choice: MethodChoice = name.parse().expect("a method");
        match plan(&model.graph, &[Pass::of(choice.method, None)], &RuleOptions::default(), Batch::of(1)) {
            Ok(_) => true,
            Err(PlanError::NoCamHead { .. }) => false,
            Err(error) => panic!("{name} of {net}: {error}"),
        }
    };
    names().into_iter().filter(has_map).collect()
}

#[test]
fn what_is_prefetched_is_what_would_be_read() {
    common::load_driver();
    let model = Model::open(golden("plain")).expect("a golden network");
    prefetched::check(&model, &CudaBackend::new(0).expect("the driver has a device"));
}

/// Largest difference of two maps over the peak of the second.
fn difference(a: &Path, b: &Path) -> f64 {
    let [a, b] = [a, b].map(|path| read_array(path).unwrap_or_else(|error| panic!("{error}")));
    assert_eq!(a.shape, b.shape);
    let peak = b.data.iter().fold(0f64, |peak, v| peak.max(f64::from(v.abs())));
    let worst = a.data.iter().zip(&b.data).map(|(a, b)| f64::from((a - b).abs()));
    assert!(a.data.iter().all(|v| v.is_finite()));
    worst.fold(0.0, f64::max) / peak.max(f64::MIN_POSITIVE)
}

#[test]
fn maps_are_those_of_the_cpu() {
    for net in ["plain", "resnet", "densenet", "mobile", "gated", "decoder", "resnext"] {
        let scene = Scene::new();
        scene.images("in.npy", net, 2);
        let methods = methods(net);
        let list = methods.join(",");
        let options = ["-m", &list, "--steps", "4", "--samples", "2", "--batch", "2", "-t", "top:2", "--json"];
        for (into, precision) in [("cpu", "f32"), ("exact", "f64")] {
            let place = ["--backend", "cpu", "--precision", precision];
            scene.explain(&[], net, into, &[&options[..], &place].concat()).exits(0);
        }
        let shuffled = [("PTX_SIM_SEED", "1")];
        let by_cuda = [&options[..], &["--backend", "cuda"]].concat();
        let ran = scene.explain(&shuffled, net, "cuda", &by_cuda).exits(0).says(&[]);
        for line in ran.stdout.lines() {
            let record: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!((&record["report"]["backend"], &record["report"]["precision"]), (&"cuda".into(), &"f32".into()));
        }
        let names: Vec<String> = scene.files("exact").into_keys().collect();
        assert_eq!(names, scene.files("cuda").into_keys().collect::<Vec<_>>(), "{net}");
        assert_eq!(names.len(), 2 * methods.len(), "{net}");
        // Where f32 itself is further off, it is by as much on any device.
        let path = |folder: &str, name: &str| scene.folder.path().join(folder).join(name);
        let from_exact = |folder: &str, name: &str| difference(&path(folder, name), &path("exact", name));
        let errors = names.iter().map(|name| (name, from_exact("cuda", name), from_exact("cpu", name)));
        let wrong: Vec<_> = errors.filter(|(_, cuda, cpu)| cuda.is_nan() || *cuda > LIMIT.max(10.0 * cpu)).collect();
        assert!(wrong.is_empty(), "{net}: {wrong:?}");
    }
}

#[test]
fn results_depend_on_neither_batch_nor_schedule() {
    let scene = Scene::new();
    scene.images("in.npy", "plain", 3);
    let methods = ["-m", "saliency,deeplift,lrp-zplus", "--backend", "cuda"];
    scene.explain(&[], "plain", "one", &[&methods[..], &["--batch", "1"]].concat()).exits(0);
    scene.explain(&[], "plain", "three", &[&methods[..], &["--batch", "3"]].concat()).exits(0);
    let late = [("PTX_SIM_ORDER", "late"), ("PTX_SIM_SEED", "1,2,3"), ("PTX_SIM_REPORT", "report")];
    scene.explain(&late, "plain", "late", &methods).exits(0);
    assert_eq!(scene.files("one").len(), 3);
    for other in ["three", "late"] {
        assert!(scene.files("one") == scene.files(other), "{other}");
    }
    assert_eq!(scene.report("report")["live_bytes"], 0, "everything is freed");
}

#[test]
fn devices_are_listed_and_chosen() {
    let scene = Scene::new();
    scene.images("in.npy", "plain", 1);
    let two = [("PTX_SIM_DEVICES", "2"), ("PTX_SIM_CAPABILITY", "9.0")];
    let listed = scene.run(&two, &["devices"]).exits(0).stdout;
    assert!(listed.contains("cuda  device 1: ") && listed.contains("capability 9.0, 4.0 GiB"), "{listed}");
    let list: Value = serde_json::from_str(&scene.run(&two, &["devices", "--json"]).exits(0).stdout).expect("JSON");
    assert_eq!(list[2]["available"], true);
    assert_eq!(list[2]["devices"][1]["compute_capability"], "9.0");
    assert_eq!(list[2]["devices"][0]["memory_bytes"], 4u64 << 30);

    let backend_of = |settings: &[(&str, &str)], options: &[&str]| {
        let ran = scene.explain(settings, "plain", "maps", &[options, &["--json"]].concat()).exits(0);
        let record: Value = serde_json::from_str(ran.stdout.lines().next().expect("a line")).expect("JSON");
        record["report"]["backend"].as_str().expect("a name").to_owned()
    };
    assert_eq!(backend_of(&[], &[]), "cuda", "auto takes the device");
    assert_eq!(backend_of(&two, &["--device", "1"]), "cuda");
    assert_eq!(backend_of(&[], &["--precision", "f64"]), "cpu", "auto in f64");
    assert_eq!(backend_of(&[("CUDA_VISIBLE_DEVICES", "")], &[]), "cpu", "auto without a device");

    for (settings, options, code, words) in [
        (&two[..], &["--device", "2"][..], 4, &["no device 2", "devices 0 to 1", "fluoroscope devices"][..]),
        (&[], &["--device", "1", "--backend", "cuda"], 4, &["no device 1, only device 0"]),
        (&[("CUDA_VISIBLE_DEVICES", "1")], &["--device", "1"], 4, &["finds no device"]),
        (&[], &["--device", "first", "--backend", "cuda"], 4, &["no device called", "first", "fluoroscope devices"]),
        (&[], &["--device", "-1"], 2, &["-1"]),
        (&[], &["--device", "0", "--backend", "cpu"], 2, &["--device 0 names a GPU"]),
        (&[], &["--backend", "cuda", "--precision", "f64"], 2, &["f64", "--backend cpu"]),
    ] {
        scene.explain(settings, "plain", "none", options).exits(code).says(words);
    }
    scene.run(&[], &["bench", &golden("plain"), "--device", "7"]).exits(4).says(&["no device 7"]);
    scene.run(&[], &["demo", "--device", ""]).exits(2).says(&["--device"]);
    assert!(scene.files("none").is_empty());
}

#[test]
fn broken_drivers_are_named_and_auto_does_without() {
    type Knobs<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Scene, Knobs, &str); 9] = [
        (Scene::with(Variant::Empty), &[], "no NVIDIA driver is installed"),
        (Scene::with(Variant::Garbage), &[], "no NVIDIA driver is installed"),
        (Scene::with(Variant::Without("cuGraphLaunch")), &[], "lacks the symbol cuGraphLaunch"),
        (Scene::with(Variant::Without("cuInit")), &[], "lacks the symbol cuInit"),
        (Scene::new(), &[("PTX_SIM_DEVICES", "0")], "finds no device"),
        (Scene::new(), &[("CUDA_VISIBLE_DEVICES", "-1")], "finds no device"),
        (Scene::new(), &[("PTX_SIM_DRIVER_VERSION", "10020")], "too old: it is for CUDA 10.2, and 11.4 is needed"),
        (Scene::new(), &[("PTX_SIM_CAPABILITY", "6.1")], "too old: it has compute capability 6.1, and 7.5 is needed"),
        (Scene::new(), &[("PTX_SIM_DEVICES", "many")], "does not start: CUDA_ERROR_INVALID_VALUE"),
    ];
    for (scene, settings, reason) in &cases {
        scene.images("in.npy", "plain", 1);
        let listed = scene.run(settings, &["devices"]).exits(0).stdout;
        assert!(listed.contains("cpu   ") && listed.contains(reason), "{listed}");
        let list = scene.run(settings, &["devices", "--json"]).exits(0).stdout;
        let list: Value = serde_json::from_str(&list).expect("JSON");
        assert_eq!(list[2]["available"], false);
        let cuda = ["--backend", "cuda"];
        scene.explain(settings, "plain", "maps", &cuda).exits(4).says(&["error: the cuda backend", reason, "hint: "]);
        assert!(scene.files("maps").is_empty());
        scene.explain(settings, "plain", "maps", &[]).exits(0);
    }
}

#[test]
fn a_refused_kernel_is_named_with_the_compilers_words() {
    let scene = Scene::new();
    scene.images("in.npy", "plain", 1);
    let words = ["could not load kernel rearrange", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "hint: use --backend cpu"];
    let old = [("PTX_SIM_PTX_VERSION", "6.0")];
    let ran = scene.explain(&old, "plain", "maps", &["--backend", "cuda"]).exits(4).says(&words);
    assert!(ran.stderr.contains("6.3"), "the compiler's words are in {}", ran.stderr);
    assert!(scene.files("maps").is_empty());

    scene.explain(&[], "plain", "cpu", &["--backend", "cpu"]).exits(0);
    let ran = scene.explain(&old, "plain", "auto", &[]).exits(0).says(&["note: the CPU computes: ", "UNSUPPORTED_PTX"]);
    assert!(ran.stderr.contains("6.3"), "the compiler's words are in {}", ran.stderr);
    assert!(!scene.files("auto").is_empty() && scene.files("auto") == scene.files("cpu"));
    scene.explain(&old, "plain", "maps", &["--device", "0"]).exits(4);
    assert!(scene.files("maps").is_empty());
}

#[test]
fn a_driver_that_records_no_graphs_launches_every_step() {
    let scene = Scene::new();
    scene.images("in.npy", "plain", 3);
    let options = ["-m", "saliency,deeplift,lrp-zplus", "--backend", "cuda", "--batch", "2"];
    scene.explain(&[("PTX_SIM_REPORT", "recorded")], "plain", "recorded-maps", &options).exits(0).says(&[]);
    for order in ["eager", "late"] {
        let settings = [("PTX_SIM_GRAPHS", "0"), ("PTX_SIM_ORDER", order), ("PTX_SIM_REPORT", order)];
        scene.explain(&settings, "plain", "maps", &options).exits(0).says(&[]);
        assert!(scene.files("maps") == scene.files("recorded-maps"), "{order}");
        assert_eq!(scene.report(order)["launches"], scene.report("recorded")["launches"], "{order}");
    }
    let refused = std::fs::read_to_string(scene.folder.path().join("driver.log")).expect("the driver's log");
    assert!(refused.contains("streams cannot be captured"), "{refused}");
}

#[test]
fn a_graph_that_is_not_made_is_an_error_unless_the_driver_has_none() {
    let scene = Scene::new();
    scene.images("in.npy", "plain", 1);
    let ran = scene.explain(&[("PTX_SIM_FAIL_GRAPH", "800")], "plain", "maps", &["--backend", "cuda"]).exits(4);
    ran.says(&["could not record a graph: CUDA_ERROR_NOT_PERMITTED", "hint: use --backend cpu"]);
    assert!(scene.files("maps").is_empty());
    let not_supported = [("PTX_SIM_FAIL_GRAPH", "801"), QUICK];
    scene.explain(&not_supported, "plain", "launched", &["--backend", "cuda"]).exits(0).says(&[]);
    scene.explain(&[QUICK], "plain", "replayed", &["--backend", "cuda"]).exits(0).says(&[]);
    assert!(scene.files("launched") == scene.files("replayed"));
}

#[test]
fn memory_that_runs_out_halves_the_batch() {
    let scene = Scene::new();
    scene.images("in.npy", "plain", 5);
    let options = ["-m", "gradient,lrp-epsilon", "--backend", "cuda", "--batch", "4"];
    scene.explain(&[("PTX_SIM_REPORT", "report")], "plain", "whole", &options).exits(0).says(&[]);
    let report = scene.report("report");
    let whole = scene.files("whole");
    let peak = report["peak_bytes"].as_u64().expect("bytes");
    let (mut halved, mut failed) = (0, 0);
    for tenths in 1..=10 {
        let (budget, into) = ((peak * tenths / 10 - 1).to_string(), format!("maps-{tenths}"));
        let ran = scene.explain(&[("PTX_SIM_MEMORY", &budget), QUICK], "plain", &into, &options);
        match ran.code {
            0 => {
                assert!(scene.files(&into) == whole, "{tenths} tenths");
                let ran = ran.says(&[]);
                halved += usize::from(ran.stderr.contains("note: the device's memory does not hold 4 images"));
            }
            _ => {
                ran.exits(4).says(&["error: the cuda backend could not allocate", "hint: use a smaller --batch"]);
                assert!(scene.files(&into).is_empty(), "{tenths} tenths");
                failed += 1;
            }
        }
    }
    assert!(halved >= 2 && failed >= 1, "{halved} of the budgets halve the batch, {failed} are too small for an image");

    for kind in ["PTX_SIM_FAIL_ALLOC", "PTX_SIM_FAIL_PINNED"] {
        for nth in 1..=8 {
            let into = format!("{kind}-{nth}");
            scene.explain(&[(kind, &nth.to_string()), QUICK], "plain", &into, &options).exits(0).says(&[]);
            assert!(scene.files(&into) == whole, "{into}");
            let ran = scene.explain(&[(kind, &format!("{nth}+")), QUICK], "plain", &format!("{into}+"), &options);
            let files = scene.files(&format!("{into}+"));
            if ran.code == 0 {
                assert!(files == whole, "{into}+");
            } else {
                ran.exits(4).says(&["could not allocate"]);
                assert!(files.is_empty(), "{into}+");
            }
        }
    }
}

#[test]
fn a_fault_ends_cleanly_wherever_it_strikes() {
    let scene = Scene::new();
    scene.images("in.npy", "plain", 3);
    let options = ["-m", "saliency,deeplift", "--backend", "cuda", "--batch", "1"];
    scene.explain(&[("PTX_SIM_REPORT", "report")], "plain", "whole", &options).exits(0);
    let report = scene.report("report");
    let launches = report["launches"].as_u64().expect("a count");
    assert!(launches > 50, "{report}");
    let codes = [(700, "ILLEGAL_ADDRESS"), (719, "LAUNCH_FAILED"), (702, "LAUNCH_TIMEOUT"), (214, "ECC_UNCORRECTABLE")];
    for (i, order) in ["eager", "late"].into_iter().cycle().take(50).enumerate() {
        let (code, name) = codes[i % codes.len()];
        let nth = 1 + i as u64 * (launches - 1) / 49;
        let settings = [("PTX_SIM_FAIL_LAUNCH", &*format!("{nth}:{code}")), ("PTX_SIM_ORDER", order), QUICK];
        let into = format!("maps-{nth}");
        let words = ["error: the cuda device stopped: CUDA_ERROR_", name, "hint: run again", "--backend cpu"];
        scene.explain(&settings, "plain", &into, &options).exits(4).says(&words);
        assert!(scene.files(&into).is_empty(), "launch {nth}: the source was not complete");
    }
}

#[test]
fn kernels_are_checked_and_timed_on_the_device() {
    let scene = Scene::new();
    let model = golden("plain");
    let arguments = ["bench", &model, "--method", "deeplift", "--repeats", "1", "--backend", "cuda"];
    let table = scene.run(&[], &arguments).exits(0).stdout;
    assert!(table.contains("cuda (") && !table.contains("FAILED"), "{table}");
    let json = scene.run(&[], &[&arguments[..], &["--json"]].concat()).exits(0).stdout;
    let object: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(object["backend"], "cuda");
    assert!(object["roof"]["matrix_gflops"]["f16"].as_f64().expect("a roof") > 0.0);
    let steps = object["steps"].as_array().expect("steps");
    assert!(steps.iter().all(|step| step["passed"] == true && step["microseconds"].as_f64().expect("a time") > 0.0));
    assert!(steps.iter().all(|step| step["percent_of_roof"].as_f64().expect("a share") > 0.0));
}

/// The matrix units of warpgroups, where the driver takes their kernels, change no bit.
#[test]
fn warpgroups_give_the_maps_of_warps() {
    let scene = Scene::new();
    // So many that tiles fill two thirds of the processors.
    scene.images("in.npy", "decoder", 20);
    let hopper = [QUICK, ("PTX_SIM_CAPABILITY", "9.0")];
    // On a device, whatever its driver is told, an image alone has too few tiles for warpgroups.
    for (into, settings, batch) in [("warps", &hopper[..1], "20"), ("alone", &hopper, "1"), ("groups", &hopper, "20")] {
        let options = ["--method", "gradient,lrp-epsilon", "--backend", "cuda", "--batch", batch];
        scene.explain(settings, "decoder", into, &options).exits(0);
    }
    let groups = scene.files("groups");
    assert!(groups.len() == 2 && scene.files("warps") == groups && scene.files("alone") == groups);
}

#[test]
fn a_driver_that_knows_no_warpgroups_is_not_asked() {
    let scene = Scene::new();
    scene.images("in.npy", "decoder", 20);
    let options = ["--method", "gradient,lrp-epsilon", "--batch", "20", "--backend", "cuda"];
    let hopper = [QUICK, ("PTX_SIM_CAPABILITY", "9.0")];
    scene.explain(&hopper, "decoder", "groups", &options).exits(0);
    let old = [hopper[0], hopper[1], ("PTX_SIM_DRIVER_VERSION", "11080")];
    scene.explain(&old, "decoder", "old", &options).exits(0);
    assert!(scene.files("groups").len() == 2 && scene.files("groups") == scene.files("old"));
    let refusing = [hopper[0], hopper[1], ("PTX_SIM_PTX_VERSION", "7.8")];
    scene.explain(&refusing, "decoder", "none", &options).exits(4).says(&["load kernel conv2d_", ".wgmma"]);
}

/// Without the matrix instructions; larger batches agree with the two images that are checked.
#[test]
fn batches_are_timed_on_an_old_chip() {
    let (scene, model) = (Scene::new(), golden("plain"));
    let arguments =
        ["bench", &model, "-m", "gradient", "--batch", "1,5", "--repeats", "1", "--backend", "cuda", "--json"];
    let lines = scene.run(&[("PTX_SIM_CAPABILITY", "7.5")], &arguments).exits(0).stdout;
    let objects: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(objects.iter().map(|object| object["batch"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(5)]);
    for object in objects {
        assert_eq!((&object["batch_agrees"], &object["roof"]["matrix_gflops"]), (&true.into(), &serde_json::json!({})));
        assert!(object["heatmaps_per_second"].as_f64().expect("a rate") > 0.0);
        assert!(object["memory"]["slots"].as_u64() > Some(0) && object["memory"]["weights"].as_u64() > Some(0));
    }
}
