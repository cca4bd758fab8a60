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
    for word in ["GFLOP/s", "GB/s", "roof", "conv2d_backward", "pool_max_rescale", "images/s", "forward", "backward"] {
        assert!(ran.stdout.contains(word), "no {word:?} in {}", ran.stdout);
    }
    let ran = scene.run(&[&args[..], &["--json"]].concat()).exits(0);
    let object: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let steps = object["steps"].as_array().expect("steps");
    assert!(steps.iter().all(|step| step["passed"] == true && step["microseconds"].as_f64().expect("a time") > 0.0));
    assert!(object["roof"]["gflops"].as_f64().expect("a roof") > 0.0);
    scene.run(&["bench", &rnet(), "--batch", "0"]).exits(2);
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
