//! Errors: a named line, the right exit code, and nothing else lost.

use std::path::Path;

use fluoroscope::picture::write_npy;
use fluoroscope::tensor::Tensor;

use super::{Scene, rnet};

#[test]
fn wrong_usage_exits_2() {
    let scene = Scene::new();
    scene.picture("a.png", 24, 24);
    let array = scene.array("small.npy", &[3, 2, 2]).display().to_string();
    let cases: [(&[&str], &[&str]); 28] = [
        (&["-m", "gradcma"], &["unknown method", "did you mean grad-cam?"]),
        (&["-m", "gradcam++"], &["method \"gradcam++\" is not offered", "the nearest that is: grad-cam"]),
        (&["-t", "0,2"], &["no target 2", "classes 0 to 1"]),
        (&["-t", "0,top"], &["no target \"top\"", "top, top:K and all stand alone"]),
        (&["--colormap", "virdis"], &["virdis", "did you mean viridis?"]),
        (&["--preprocess", "imagenot"], &["imagenot", "did you mean imagenet?"]),
        (&["--layer", "stage.conv9"], &["stage.conv9", "nearest", "stage.conv"]),
        (&["-t", "2"], &["no target 2", "classes 0 to 1"]),
        (&["-t", "fase"], &["fase", "did you mean \"face\"?"]),
        (&["-t", "top:0"], &["top:0"]),
        (&["--alpha", "1.5"], &["--alpha", "0 to 1"]),
        (&["--batch", "none"], &["--batch", "auto"]),
        (&["--steps", "0"], &["--steps", "1 or more"]),
        (&["--epsilon", "nan"], &["--epsilon"]),
        (&["-t", "-1"], &["no target \"-1\"", "classes 0 to 1"]),
        (&["--epsilon", "-1"], &["--epsilon -1", "0 or more"]),
        (&["--smooth", "-2"], &["--smooth -2", "0 or more"]),
        (&["--scale", "0%"], &["--scale 0%", "90%"]),
        (&["--sigma", "-0.1"], &["--sigma -0.1", "0 or more"]),
        (&["--max-error", "-1"], &["--max-error -1", "0 or more"]),
        (&["--alpha", "-1"], &["--alpha -1", "0 to 1"]),
        (&["--seed", "-1"], &["--seed", "0 or more"]),
        (&["--threads", "-1"], &["--threads", "1 or more"]),
        (&["--batch", "-1"], &["--batch -1", "auto"]),
        (&["--baseline", "black"], &["--baseline", "blur"]),
        (&["--baseline", &array], &["baselines [3, 24, 24]", "[3, 2, 2]"]),
        (&["--formt", "png"], &["--formt", "--format"]),
        (&["--backend", "gpu"], &["gpu"]),
    ];
    for (options, words) in cases {
        let model = rnet();
        let ran = scene.run(&[&["explain", &model, "a.png"], options].concat());
        ran.exits(2).says(words);
    }
    scene.run(&["explain", &rnet()]).exits(2).says(&["<INPUT>"]);
    assert!(scene.listing("heatmaps").is_empty());
}

#[test]
fn unreadable_models_exit_3() {
    let scene = Scene::new();
    scene.picture("a.png", 24, 24);
    let whole = std::fs::read(rnet()).expect("a model");
    scene.file("cut.onnx", &whole[..whole.len() / 2]);
    scene.file("text.onnx", b"this is not a model");
    scene.file("empty.onnx", b"");
    for model in ["cut.onnx", "text.onnx", "empty.onnx", "none.onnx"] {
        scene.run(&["explain", model, "a.png"]).exits(3).says(&[model]);
        scene.run(&["inspect", model]).exits(3).says(&[model]);
    }
    // CAM needs a head that this network does not have.
    scene.run(&["explain", &rnet(), "a.png", "-m", "cam"]).exits(3).says(&["use grad-cam"]);
}

/// DeepLIFT has no rule for a layer normalisation; the other methods have.
#[test]
fn a_node_without_a_rule_exits_3() {
    let scene = Scene::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx/ops");
    std::fs::copy(fixtures.join("layer_norm.onnx"), scene.path("net.onnx")).expect("a copy");
    scene.array("a.npy", &[3, 8, 9]);
    let args = |method| ["explain", "net.onnx", "a.npy", "-t", "0", "-m", method];
    scene.run(&args("deeplift")).exits(3).says(&["norm", "LayerNorm", "rescale"]);
    assert!(scene.listing("heatmaps").is_empty());
    scene.run(&args("lrp-epsilon")).exits(0);
}

#[test]
fn preprocessing_that_fits_no_picture_is_told_once() {
    let scene = Scene::new();
    for name in ["a.png", "b.png"] {
        scene.picture(name, 24, 24);
    }
    std::fs::copy(rnet(), scene.path("net.onnx")).expect("a copy");
    let section =
        |more: &str| format!(r#"{{"channels": "RGB", "size": [24, 24], "resize": {{"mode": "stretch"}}, {more}}}"#);
    for (more, word) in [(r#""std": [0]"#, "divide by zero"), (r#""mean": [0, 1]"#, "2 values for 3 channels")] {
        scene.file("feed.json", section(more).as_bytes());
        let args = ["explain", "net.onnx", "a.png", "b.png", "--preprocess", "feed.json"];
        let ran = scene.run(&args).exits(2).says(&["--preprocess: feed.json", word]);
        assert_eq!(ran.stderr.matches("error: ").count(), 1, "{}", ran.stderr);
        scene.file("net.card.json", format!(r#"{{"preprocess": {}}}"#, section(more)).as_bytes());
        let ran = scene.run(&["explain", "net.onnx", "a.png", "b.png"]).exits(3).says(&["net.card.json", word]);
        assert_eq!(ran.stderr.matches("error: ").count(), 1, "{}", ran.stderr);
        std::fs::remove_file(scene.path("net.card.json")).expect("the card");
    }
}

#[test]
fn errors_come_in_order() {
    let scene = Scene::new();
    let model = rnet();
    scene.run(&["explain", &model, "none.png", "--backend", "cuda"]).exits(4).says(&["cuda", "--backend cpu"]);
    scene.run(&["explain", &model, "none.png", "--backend", "wgpu", "--device", "99"]).exits(4).says(&["wgpu"]);
    scene.run(&["explain", "none.onnx", "none.png", "--backend", "cuda"]).exits(3);
    scene.run(&["explain", "none.onnx", "none.png", "-m", "magic", "--backend", "cuda"]).exits(2);
    scene.run(&["explain", &model, "none.png"]).exits(1);
}

#[test]
fn bad_inputs_are_named_and_the_others_written() {
    let scene = Scene::new();
    scene.picture("good.png", 30, 30);
    scene.file("zero.png", b"");
    scene.file("text.jpg", b"not a picture");
    scene.file("huge.png", &huge_png());
    scene.array("wrong.npy", &[1, 24, 24]);
    let mut nan = Tensor::zeros(&[3, 24, 24]);
    nan.data[30] = f32::NAN;
    write_npy(&scene.path("nan.npy"), &nan).expect("an array");
    std::fs::create_dir(scene.path("hollow")).expect("a folder");
    let bad = ["zero.png", "text.jpg", "huge.png", "wrong.npy", "nan.npy", "missing.png", "hollow", "no*.png"];
    let model = rnet();
    let args: Vec<&str> = ["explain", &model].into_iter().chain(bad).chain(["good.png"]).collect();
    let ran = scene.run(&args).exits(1).says(&bad);
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with("error: ")).count(), bad.len(), "{}", ran.stderr);
    assert!(ran.stderr.contains("100000 x 100000"), "{}", ran.stderr);
    assert_eq!(scene.listing("heatmaps").len(), 2, "the good one is written");
}

/// A PNG that claims 100,000 x 100,000 pixels.
fn huge_png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 100_000, 100_000);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_chunk(png::chunk::IDAT, &[120, 156, 1]).expect("some data");
    drop(writer);
    bytes
}
