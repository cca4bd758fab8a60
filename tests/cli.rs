//! The real binary in temporary folders: what it prints, writes and returns.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fluoroscope::picture::{Picture, read_array, write_npy};
use fluoroscope::tensor::Tensor;
use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder in which the binary runs.
struct Scene {
    folder: TempDir,
}

/// What a run did.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        path
    }

    /// A picture of `width` x `height` with a bright square.
    fn picture(&self, name: &str, width: u32, height: u32) -> PathBuf {
        let path = self.path(name);
        let inside = |x, y| x > width / 3 && y > height / 3 && x < width / 2 && y < height / 2;
        let at = |x, y| image::Rgb(if inside(x, y) { [250, 200, 90] } else { [(x * 3 % 200) as u8, 60, 40] });
        image::RgbImage::from_fn(width, height, at).save(&path).expect("a picture");
        path
    }

    /// An array of the given shape, different in every element.
    fn array(&self, name: &str, shape: &[usize]) -> PathBuf {
        let path = self.path(name);
        let count: usize = shape.iter().product();
        let value = |i: usize| (i as f32 * 0.37).sin();
        write_npy(&path, &Tensor::new(shape, (0..count).map(value).collect())).expect("an array");
        path
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    fn run(&self, args: &[&str]) -> Ran {
        let output: Output = Command::new(env!("CARGO_BIN_EXE_fluoroscope"))
            .args(args)
            .current_dir(self.folder.path())
            // These tests are the CPU's, also on a machine with a GPU.
            .env("CUDA_VISIBLE_DEVICES", "-1")
            .output()
            .expect("the binary runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().expect("an exit code, not a signal");
        let ran = Ran { code, stdout: text(&output.stdout), stderr: text(&output.stderr) };
        assert!(!ran.stderr.contains("panicked"), "{args:?}: {}", ran.stderr);
        ran
    }

    /// Files below `name`, relative and sorted.
    fn listing(&self, name: &str) -> Vec<String> {
        let top = self.folder.path().join(name);
        let (mut open, mut found) = (vec![top.clone()], Vec::new());
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    found.push(path.strip_prefix(&top).expect("below").to_string_lossy().replace('\\', "/"));
                }
            }
        }
        found.sort();
        found
    }

    fn array_at(&self, name: &str) -> Tensor {
        read_array(&self.folder.path().join(name)).expect("a written array")
    }
}

impl Ran {
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// One line that begins with `error:` and holds every one of `words`.
    #[track_caller]
    fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {}", self.stderr);
        }
        for line in self.stderr.lines().filter(|line| !line.is_empty()) {
            let known = ["error: ", "hint: ", "note: "].iter().any(|start| line.starts_with(start));
            assert!(known, "a line of its own kind: {line:?}");
        }
        self
    }

    fn objects(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

/// A file of `data/`.
fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name).display().to_string()
}

fn plain() -> String {
    data("golden/plain.onnx")
}

fn rnet() -> String {
    data("models/rnet.onnx")
}

/// Input shape of the plain golden network.
fn plain_shape() -> [usize; 3] {
    let model = fluoroscope::model::Model::open(plain()).expect("a model");
    let shape = model.input();
    [shape.channels, shape.height, shape.width]
}

#[test]
fn every_command_has_help() {
    let scene = Scene::new();
    assert!(scene.run(&["--help"]).exits(0).stdout.contains("Exit codes"));
    assert!(scene.run(&["--version"]).exits(0).stdout.starts_with("fluoroscope "));
    for command in ["explain", "inspect", "devices", "compare", "bench", "demo", "completions", "man"] {
        let help = scene.run(&[command, "--help"]).exits(0).stdout;
        assert!(help.contains("Usage: fluoroscope"), "{command}: {help}");
        assert!(help.contains("Examples:") || command == "devices", "{command} has no examples");
    }
    assert!(scene.run(&[]).exits(2).stderr.contains("Usage"));
}

#[test]
fn the_synopsis_of_explain_holds() {
    let help = Scene::new().run(&["explain", "--help"]).exits(0).stdout;
    let options = "--method --target --output --format --backend --device --precision --layer --baseline --epsilon --batch-norm \
        --steps --samples --sigma --seed --batch --smooth --reduce --max-error --resolution --preprocess --colormap \
        --alpha --threads --json --quiet --verbose";
    for option in options.split_whitespace() {
        assert!(help.contains(option), "{option}");
    }
}

#[test]
fn pictures_get_overlays_and_raw_maps() {
    let scene = Scene::new();
    scene.picture("cat.png", 60, 40);
    let ran = scene.run(&["explain", &rnet(), "cat.png", "-m", "grad-cam,lrp-epsilon", "-t", "1"]).exits(0);
    let want = ["cat.1.grad-cam.npy", "cat.1.grad-cam.png", "cat.1.lrp-epsilon.npy", "cat.1.lrp-epsilon.png"];
    assert_eq!(scene.listing("heatmaps"), want);
    assert_eq!(scene.array_at("heatmaps/cat.1.grad-cam.npy").shape, [1, 24, 24]);
    assert_eq!(scene.array_at("heatmaps/cat.1.lrp-epsilon.npy").shape, [3, 24, 24]);
    assert!(ran.stdout.contains("face") && ran.stdout.contains("4 files in heatmaps"), "{}", ran.stdout);
    assert!(ran.stderr.contains("CAM methods read layer"), "{}", ran.stderr);
    let overlay = Picture::open(&scene.path("heatmaps/cat.1.grad-cam.png")).expect("a picture");
    assert!(overlay.width > 60 && overlay.height > 40);

    let bytes = std::fs::read(scene.path("heatmaps/cat.1.grad-cam.png")).expect("a PNG");
    let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a header");
    let texts = &reader.info().uncompressed_latin1_text;
    let text = |key: &str| texts.iter().find(|t| t.keyword == key).unwrap_or_else(|| panic!("no {key}")).text.clone();
    assert_eq!((text("Model"), text("Method"), text("Target")), ("rnet.onnx".into(), "grad-cam".into(), "1".into()));
    // The card of the model says the same.
    assert_eq!(text("Model-SHA256"), "6ff2424c9c574e6a1b7f44a585bc9e75b17e64e0fce8f2e78952ad0bceee49b2");
    assert!(text("Options").contains("\"epsilon\"") && !text("Layer").is_empty());
}

#[test]
fn reduction_and_resolution_shape_the_raw_map() {
    let scene = Scene::new();
    scene.picture("a.png", 50, 31);
    let cases: [(&[&str], &str, [usize; 3]); 4] = [
        (&["-m", "gradient", "--reduce", "l2"], "gradient", [1, 24, 24]),
        (&["-m", "gradient", "--resolution", "original"], "gradient", [3, 31, 50]),
        (&["-m", "grad-cam", "--resolution", "original"], "grad-cam", [1, 31, 50]),
        (&["-m", "grad-cam", "--resolution", "layer"], "grad-cam", [1, 3, 3]),
    ];
    for (options, method, want) in cases {
        let model = rnet();
        let args = [&["explain", &model, "a.png", "-t", "0", "--smooth", "1.5"], options].concat();
        scene.run(&args).exits(0);
        assert_eq!(scene.array_at(&format!("heatmaps/a.0.{method}.npy")).shape, want, "{options:?}");
    }
}

#[test]
fn equal_stems_keep_their_folders() {
    let scene = Scene::new();
    for name in ["in/a/x.png", "in/b/x.png", "in/b/x.jpg", "in/b/y.png"] {
        scene.picture(name, 24, 24);
    }
    let args = ["explain", &rnet(), "in/a", "in/b/*", "in/a/x.png", "-m", "saliency", "-t", "0", "--format", "npy"];
    scene.run(&args).exits(0);
    let want = ["a/x.0.saliency.npy", "b/x.jpg.0.saliency.npy", "b/x.png.0.saliency.npy", "y.0.saliency.npy"];
    assert_eq!(scene.listing("heatmaps"), want);
}

#[test]
fn arrays_keep_their_leading_axis() {
    let scene = Scene::new();
    let [c, h, w] = plain_shape();
    scene.array("batch.npy", &[3, c, h, w]);
    scene.array("one.npy", &[c, h, w]);
    let model = plain();
    let args = ["explain", &model, "batch.npy", "one.npy", "-m", "gradient,grad-cam", "-t", "top", "--batch", "2"];
    let ran = scene.run(&[&args[..], &["--json"]].concat()).exits(0);
    let objects = ran.objects();
    assert_eq!(objects.len(), 3 * 2 + 2);
    assert_eq!(scene.array_at("heatmaps/batch.top.gradient.npy").shape, [3, c, h, w]);
    assert_eq!(scene.array_at("heatmaps/batch.top.grad-cam.npy").shape, [3, 1, h, w]);
    let pictures: Vec<String> = scene.listing("heatmaps").into_iter().filter(|name| name.ends_with(".png")).collect();
    assert_eq!(pictures.len(), 3 * 2 + 2, "{pictures:?}");
    let one = objects.iter().find(|o| o["input"] == "one.npy" && o["method"] == "gradient").expect("one.npy");
    let target = one["target"].as_u64().expect("an index");
    let single = scene.array_at(&format!("heatmaps/one.{target}.gradient.npy"));
    assert_eq!(single.shape, [c, h, w]);
    // The first image of the batch is the same, so its map is too.
    let batch = scene.array_at("heatmaps/batch.top.gradient.npy");
    assert_eq!(batch.data[..single.data.len()], single.data[..], "a map depends on its batch");
}

#[test]
fn json_lines_tell_everything() {
    let scene = Scene::new();
    scene.picture("a.png", 24, 24);
    let model = rnet();
    let args = ["explain", &model, "a.png", "-m", "deeplift,saliency", "-t", "all", "--json"];
    let ran = scene.run(&[&args[..], &["--format", "npy,safetensors,json,png", "-o", "out"]].concat()).exits(0);
    let objects = ran.objects();
    assert_eq!(objects.len(), 4);
    let first = &objects[0];
    assert_eq!((&first["input"], &first["method"]), (&"a.png".into(), &"deeplift".into()));
    assert_eq!((&first["target"], &first["class"]), (&0.into(), &"not a face".into()));
    assert!(first["report"]["completeness_error"].as_f64().expect("an error") < 1e-3);
    assert!(first["report"]["logit"].is_f64() && first["seconds"].as_f64().expect("seconds") > 0.0);
    let outputs = first["outputs"].as_array().expect("paths");
    assert_eq!(outputs.len(), 4);
    for path in outputs {
        assert!(scene.path(path.as_str().expect("a path")).is_file(), "{path}");
    }
    let report: Value =
        serde_json::from_slice(&std::fs::read(scene.path("out/a.0.deeplift.json")).expect("a report")).expect("JSON");
    assert_eq!(report["report"], first["report"]);
    let bytes = std::fs::read(scene.path("out/a.0.deeplift.safetensors")).expect("a file");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    assert_eq!(file.tensor("map").expect("a map").shape(), [3, 24, 24]);
}

#[test]
fn wrong_usage_exits_2() {
    let scene = Scene::new();
    scene.picture("a.png", 24, 24);
    let array = scene.array("small.npy", &[3, 2, 2]).display().to_string();
    let cases: [(&[&str], &[&str]); 15] = [
        (&["-m", "gradcam"], &["unknown method", "did you mean grad-cam?"]),
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

#[test]
fn errors_come_in_order() {
    let scene = Scene::new();
    let model = rnet();
    scene.run(&["explain", &model, "none.png", "--backend", "cuda"]).exits(4).says(&["cuda", "--backend cpu"]);
    scene.run(&["explain", &model, "none.png", "--backend", "wgpu"]).exits(4).says(&["wgpu"]);
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

#[test]
fn a_limit_on_the_error_is_held() {
    let scene = Scene::new();
    scene.picture("a.png", 24, 24);
    let model = rnet();
    let explain = |options: &[&str]| {
        let fixed = ["explain", &model, "a.png", "-m", "integrated-gradients", "-q"];
        scene.run(&[&fixed, options].concat())
    };
    let ran = explain(&["--steps", "1", "--max-error", "1e-12"]).exits(1);
    let ran = ran.says(&["integrated-gradients of a.png", "completeness error", "--max-error"]);
    assert!(ran.stdout.is_empty(), "-q: {}", ran.stdout);
    assert_eq!(scene.listing("heatmaps").len(), 2, "maps are written all the same");
    let args = ["explain", &model, "a.png", "-m", "deeplift", "--max-error", "1e-3"];
    scene.run(&args).exits(0);
}

#[test]
fn f64_and_options_of_the_rules_are_taken() {
    let scene = Scene::new();
    scene.picture("a.png", 24, 24);
    scene.array("base.npy", &[3, 24, 24]);
    let model = rnet();
    for baseline in ["zero", "mean", "blur", "blur:3", "-0.5", "base.npy"] {
        let fixed = ["explain", &model, "a.png", "-m", "deeplift", "--precision", "f64", "--json", "--threads", "1"];
        let ran = scene.run(&[&fixed[..], &["--baseline", baseline, "--max-error", "1e-9"]].concat()).exits(0);
        assert_eq!(ran.objects()[0]["report"]["precision"], "f64", "{baseline}");
    }
    let fixed = ["explain", &model, "a.png", "-m", "smoothgrad,lrp-epsilon", "--samples", "3", "--sigma", "0.1"];
    let more = ["--seed", "7", "--epsilon", "1e-3", "--batch-norm", "pass", "--colormap", "coldnhot", "--alpha", "1"];
    scene.run(&[&fixed[..], &more].concat()).exits(0);
    assert!(scene.listing("heatmaps").iter().any(|name| name.ends_with(".smoothgrad.png")));
}

#[test]
fn preprocessing_comes_from_flag_card_or_default() {
    let scene = Scene::new();
    scene.picture("a.png", 40, 40);
    std::fs::copy(rnet(), scene.path("bare.onnx")).expect("a copy");
    let note = "imagenet preprocessing is used";
    let explain =
        |options: &[&str]| scene.run(&[&["explain", "bare.onnx", "a.png", "-m", "saliency"], options].concat());
    assert!(explain(&[]).exits(0).stderr.contains(note));
    let ran = explain(&["--preprocess", "signed-unit"]).exits(0);
    assert!(!ran.stderr.contains(note), "{}", ran.stderr);
    explain(&["--preprocess", &data("models/rnet.card.json")]).exits(0);
    let json = br#"{"channels": "RGB", "size": [24, 24], "resize": {"mode": "stretch"}}"#;
    scene.file("feed.json", json);
    explain(&["--preprocess", "feed.json"]).exits(0);
    scene.file("other.json", &json.map(|b| if b == b'4' { b'5' } else { b }));
    explain(&["--preprocess", "other.json"]).exits(2).says(&["3 x 25 x 25", "3 x 24 x 24"]);
    explain(&["--preprocess", "none.json"]).exits(2).says(&["none.json"]);
}

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
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_whole_files_and_exits_130() {
    let scene = Scene::new();
    let [c, h, w] = plain_shape();
    for i in 0..400 {
        scene.array(&format!("in/{i:03}.npy"), &[c, h, w]);
    }
    let child = Command::new(env!("CARGO_BIN_EXE_fluoroscope"))
        .args(["explain", &plain(), "in", "-m", "smoothgrad", "--samples", "200", "--batch", "1", "-t", "0"])
        .current_dir(scene.folder.path())
        .env("CUDA_VISIBLE_DEVICES", "-1")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    while scene.listing("heatmaps").len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    let output = child.wait_with_output().expect("an end");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("interrupted") && stderr.contains("files are written to heatmaps"), "{stderr}");
    let files = scene.listing("heatmaps");
    assert!(files.len() < 800 && files.iter().all(|name| !name.ends_with(".part")), "{} files", files.len());
    for name in files.iter().filter(|name| name.ends_with(".npy")) {
        scene.array_at(&format!("heatmaps/{name}"));
    }
}
