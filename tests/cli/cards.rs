//! Model cards: what they may leave out, and what of them is remarked.

use super::{Ran, Scene, rnet};

/// A folder with a picture and a network of `[3, 24, 24]`, whose card is `json`.
fn scene(json: &str) -> Scene {
    let scene = Scene::new();
    scene.picture("a.png", 40, 30);
    std::fs::copy(rnet(), scene.path("net.onnx")).expect("a copy");
    scene.file("net.card.json", json.as_bytes());
    scene
}

fn explain(scene: &Scene, options: &[&str]) -> Ran {
    scene.run(&[&["explain", "net.onnx", "a.png", "-t", "0", "--format", "npy"], options].concat())
}

#[test]
fn fields_that_are_missing_have_defaults() {
    // The values of `imagenet` to the last digit, in as few words as there are.
    let scene = scene(r#"{"preprocess": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}}"#);
    let map = |options: &[&str]| {
        explain(&scene, &[&["-m", "input-x-gradient"], options].concat()).exits(0);
        scene.array_at("heatmaps/a.0.input-x-gradient.npy")
    };
    assert_eq!(map(&[]), map(&["--preprocess", "imagenet"]));
    for json in [
        r#"{"channels": "RGB", "size": [24, 24]}"#,
        r#"{"size": [24, 24]}"#,
        r#"{"channels": "BGR"}"#,
        r#"{"resize": {"mode": "stretch"}, "mean": 0.5, "std": 0.25}"#,
    ] {
        scene.file("net.card.json", format!(r#"{{"preprocess": {json}}}"#).as_bytes());
        explain(&scene, &["-m", "gradient"]).exits(0).says(&[]);
        scene.file("feed.json", json.as_bytes());
        explain(&scene, &["-m", "gradient", "--preprocess", "feed.json"]).exits(0).says(&[]);
    }
}

#[test]
fn a_model_of_any_size_keeps_its_own_where_the_card_has_none() {
    let scene = Scene::new();
    std::fs::copy(super::data("models/text-direction.onnx"), scene.path("net.onnx")).expect("a copy");
    scene.file("net.card.json", br#"{"preprocess": {"mean": 0.5}}"#);
    scene.array("b.npy", &[3, 64, 160]);
    scene.run(&["explain", "net.onnx", "b.npy", "-m", "saliency", "-t", "0", "--format", "npy"]).exits(0);
    assert_eq!(scene.array_at("heatmaps/b.0.saliency.npy").shape, [3, 64, 160]);
}

#[test]
fn slips_in_the_section_preprocess_are_noted() {
    let scene = scene(r#"{"later": 1, "preprocess": {"meen": 0.5, "std": 0.5, "resize": {"fliter": "bicubic"}}}"#);
    let slips = ["net.card.json: preprocess.meen is not known", "did you mean mean?", "did you mean filter?"];
    let ran = explain(&scene, &["-m", "gradient"]).exits(0).says(&slips);
    assert!(!ran.stderr.contains("later"), "{}", ran.stderr);
    scene.run(&["inspect", "net.onnx"]).exits(0).says(&slips);
    assert!(explain(&scene, &["-m", "gradient", "-q"]).exits(0).stderr.is_empty());
    scene.file("feed.json", br#"{"meen": 0.5, "size": [24, 24], "std": 1}"#);
    let ran = explain(&scene, &["-m", "gradient", "--preprocess", "feed.json"]).exits(0);
    ran.says(&["feed.json: preprocess.meen is not known"]);
    scene.file("feed.json", br#"{"meen": 0.5}"#);
    let ran = explain(&scene, &["--preprocess", "feed.json"]).exits(2);
    ran.says(&["feed.json: has no section preprocess", "channels, size"]);
}

#[test]
fn a_layer_that_the_model_lacks_is_an_error() {
    let scene = scene(r#"{"cam_layer": {"value": "stage.conv9"}}"#);
    let words = ["net.card.json: cam_layer.value: no layer", "stage.conv9", "the nearest are stage.conv"];
    explain(&scene, &[]).exits(3).says(&words);
    scene.run(&["inspect", "net.onnx", "-m", "grad-cam"]).exits(3).says(&words);
    // Whoever looks for the right name finds it, and can give it.
    assert!(scene.run(&["inspect", "net.onnx"]).exits(0).stdout.contains("conv1"));
    explain(&scene, &["--layer", "stage.conv1"]).exits(0);
    scene.file("net.card.json", br#"{"cam_layer": {"value": "stage.conv3"}}"#);
    explain(&scene, &[]).exits(0).says(&["CAM methods read layer", "conv3"]);
    // Before another output there may be other layers.
    scene.run(&["inspect", "net.onnx", "-m", "grad-cam", "--logits", "stage.conv1"]).exits(0);
}
