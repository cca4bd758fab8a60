//! The other commands.

use fluoroscope::picture::write_npy;
use serde_json::Value;

use super::{Scene, rnet};

#[test]
fn maps_are_compared() {
    let scene = Scene::new();
    for name in ["a/x.npy", "a/deep/y.npy", "b/x.npy", "b/deep/y.npy"] {
        scene.array(name, &[1, 4, 5]);
    }
    let ran = scene.run(&["compare", "a", "b", "--limit", "1e-6"]).exits(0);
    assert!(ran.stdout.contains("deep/y.npy") && ran.stdout.contains("1.000000"), "{}", ran.stdout);
    let mut other = scene.array_at("b/x.npy");
    other.data[3] += 0.5;
    write_npy(&scene.path("b/x.npy"), &other).expect("an array");
    scene.run(&["compare", "a", "b"]).exits(0);
    scene.run(&["compare", "a", "b", "--limit", "0.1"]).exits(1).says(&["x.npy", "--limit"]);
    let ran = scene.run(&["compare", "a/x.npy", "b/x.npy", "--json"]).exits(0);
    assert!(ran.objects()[0]["max_difference"].as_f64().expect("a number") > 0.3);
    scene.run(&["compare", "a", "b/x.npy"]).exits(2).says(&["folder"]);
    scene.run(&["compare", "a/x.npy", "none.npy"]).exits(1).says(&["none.npy"]);
    scene.array("c.npy", &[2, 3]);
    scene.run(&["compare", "a/x.npy", "c.npy"]).exits(1).says(&["shapes differ"]);
    scene.run(&["compare", "a", "b", "--limit", "nan"]).exits(2);
}

#[test]
fn models_are_inspected() {
    let scene = Scene::new();
    let ran = scene.run(&["inspect", &rnet(), "--method", "epsilon-plus-flat", "--program"]).exits(0);
    for word in
        ["3x24x24", "parameters", "FLOP", "flat", "z+", "winner-take-all", "Softmax", "conv2d_forward", "an image"]
    {
        assert!(ran.stdout.contains(word), "no {word:?} in {}", ran.stdout);
    }
    let ran = scene.run(&["inspect", &rnet(), "--json"]).exits(0);
    let object: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let nodes = object["nodes"].as_array().expect("nodes");
    let sum = |key: &str| nodes.iter().map(|node| node[key].as_u64().expect("a number")).sum::<u64>();
    assert_eq!(object["parameters"], sum("parameters"));
    assert_eq!(object["flops"], sum("flops"));
    // The first convolution: 28 filters of 3 x 3 x 3 on 22 x 22 cells.
    assert_eq!(nodes[0]["flops"], 2 * 28 * 27 * 22 * 22);
    assert!(object["memory"]["per_image"].as_u64().expect("bytes") > 0);
    scene.run(&["inspect", &rnet(), "--method", "lpr-epsilon"]).exits(2).says(&["did you mean lrp-epsilon?"]);
}

#[test]
fn kernels_are_checked_and_timed() {
    let scene = Scene::new();
    let args = ["bench", &rnet(), "--method", "deeplift", "--batch", "2", "--repeats", "2", "--threads", "1"];
    let ran = scene.run(&args).exits(0);
    let measured = ["batch 2, f32, cpu", "GFLOP/s", "GB/s", "roof", "heatmaps/s", "against f64"];
    for word in [&measured[..], &["conv2d_backward", "pool_max_rescale", "forward", "backward"]].concat() {
        assert!(ran.stdout.contains(word), "no {word:?} in {}", ran.stdout);
    }
    let ran = scene.run(&[&args[..], &["--json"]].concat()).exits(0);
    let object: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let steps = object["steps"].as_array().expect("steps");
    assert!(steps.iter().all(|step| step["passed"] == true && step["microseconds"].as_f64().expect("a time") > 0.0));
    assert_eq!(object["precision"], "f32");
    let agreement = &object["agreement"];
    assert!(agreement["cosine"].as_f64().is_some_and(|cosine| cosine > 0.999), "{agreement}");
    // Rounding in f32 is there, and is small.
    assert!(agreement["relative_l2"].as_f64().is_some_and(|error| (1e-12..1e-2).contains(&error)), "{agreement}");
    assert!(object["roof"]["gflops"].as_f64().expect("a roof") > 0.0);
    scene.run(&["bench", &rnet(), "--batch", "0"]).exits(2);
}

#[test]
fn a_precision_is_timed_where_it_is_computed() {
    let scene = Scene::new();
    let bench = |options: &[&str]| scene.run(&[&["bench", &rnet(), "--repeats", "1", "--json"], options].concat());
    let object = |precision: &str| {
        let options = ["-m", "lrp-epsilon", "--backend", "cpu", "--threads", "1", "--precision", precision];
        bench(&options).exits(0).objects().remove(0)
    };
    let [single, double] = ["f32", "f64"].map(object);
    assert_eq!((&single["precision"], &double["precision"]), (&"f32".into(), &"f64".into()));
    let exact = serde_json::json!({ "cosine": 1.0, "relative_l2": 0.0 });
    assert!(double["agreement"] == exact && single["agreement"] != exact, "{}, {}", double["agreement"], exact);
    let bytes = |key: &str| [&single, &double].map(|run| run["memory"][key].as_u64().expect("bytes"));
    let [slots, weights, total] = ["slots", "weights", "total"].map(bytes);
    assert!(slots[0] < slots[1] && slots[1] <= 2 * slots[0], "{slots:?}");
    // In f32 filters lie in an order of their own each way, in f64 once.
    assert!(weights[0] > weights[1] / 2 && total == [0, 1].map(|at| slots[at] + weights[at]), "{weights:?}, {total:?}");
    for (options, words) in [
        (["--backend", "cuda", "--precision", "f64"], ["the cuda backend does not compute in f64", "--backend cpu"]),
        (["--backend", "cpu", "--precision", "f16"], ["the cpu backend does not store f16", "--backend cuda"]),
        (["--backend", "wgpu", "--precision", "bf16"], ["the wgpu backend does not store bf16", "--backend cuda"]),
    ] {
        bench(&options).exits(2).says(&words);
    }
}

#[test]
fn several_methods_and_batches_are_timed_and_drawn() {
    let scene = Scene::new();
    let args = ["bench", &rnet(), "-m", "gradient,grad-cam", "--batch", "1,3", "--repeats", "1", "--threads", "1"];
    let ran = scene.run(&[&args[..], &["--roofline", "plot.svg"]].concat()).exits(0);
    let summary: Vec<&str> = ran.stdout.lines().rev().take(5).collect();
    assert!(summary[4].starts_with("method") && summary[4].contains("heatmaps/s"), "{summary:?}");
    assert!(summary[4].ends_with("L2 error"), "{summary:?}");
    assert!(summary[0].starts_with("grad-cam") && summary[3].starts_with("gradient"), "{summary:?}");
    let plots = ["plot-grad-cam-1.svg", "plot-grad-cam-3.svg", "plot-gradient-1.svg", "plot-gradient-3.svg"];
    assert_eq!(scene.listing("."), plots);
    let plot = std::fs::read_to_string(scene.path("plot-gradient-3.svg")).expect("a plot");
    for word in ["gradient of ", "batch 3, f32, cpu (1 thread)", "GB/s", "f32 multiply-adds", "conv2d_backward"] {
        assert!(plot.contains(word), "no {word:?} in {plot}");
    }

    let ran = scene.run(&[&args[..], &["--json"]].concat()).exits(0);
    let runs = ran.objects();
    assert_eq!(runs.len(), 4);
    for run in &runs {
        let number = |value: &Value| value.as_f64().expect("a number");
        assert_eq!((&run["batch_agrees"], run["steps"][0]["passed"].as_bool()), (&true.into(), Some(true)));
        let rate = 1e3 * number(&run["batch"]) / number(&run["milliseconds"]);
        assert!((number(&run["heatmaps_per_second"]) / rate - 1.0).abs() < 1e-9);
        let shares = run["kernels"].as_object().expect("kernels").values().map(|kernel| number(&kernel["share"]));
        assert!((shares.sum::<f64>() - 1.0).abs() < 1e-9);
    }
    assert_eq!(runs[0]["memory"]["weights"], runs[1]["memory"]["weights"]);
    assert!(runs[0]["memory"]["slots"].as_u64() < runs[1]["memory"]["slots"].as_u64());
    scene.run(&[&args[..], &["--roofline", "none/plot.svg"]].concat()).exits(2).says(&["no folder none"]);
    scene.run(&["bench", &rnet(), "-m", "gradient,saliancy"]).exits(2).says(&["did you mean saliency?"]);
}

#[test]
fn shells_and_manual_pages() {
    let scene = Scene::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = scene.run(&["completions", shell]).exits(0).stdout;
        assert!(script.contains("fluoroscope") && script.contains("explain"), "{shell}");
    }
    scene.run(&["completions", "tcsh"]).exits(2).says(&["tcsh"]);
    assert!(scene.run(&["man"]).exits(0).stdout.contains(".TH fluoroscope"));
    scene.run(&["man", "--output", "pages"]).exits(0);
    assert!(scene.listing("pages").contains(&"fluoroscope-explain.1".to_owned()), "{:?}", scene.listing("pages"));
    assert!(scene.run(&["devices"]).exits(0).stdout.contains("cpu"));
    let list: Value = serde_json::from_str(&scene.run(&["devices", "--json"]).exits(0).stdout).expect("JSON");
    assert_eq!(list[0]["available"], true);
    assert!(scene.run(&["devices", "--help"]).exits(0).stdout.contains("JSON array"));
    let help = scene.run(&["explain", "--help"]).exits(0).stdout;
    for name in fluoroscope::picture::Colormap::names() {
        assert!(help.contains(name), "--help does not name {name}");
    }
}
