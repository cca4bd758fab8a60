//! What `explain` writes and prints.

use std::process::Command;

use fluoroscope::picture::Picture;
use serde_json::Value;

use super::{Scene, data, plain, plain_shape, rnet};

#[test]
fn the_synopsis_of_explain_holds() {
    let help = Scene::new().run(&["explain", "--help"]).exits(0).stdout;
    let options = "--method --target --output --format --logits --backend --device --precision --layer --baseline --epsilon --batch-norm \
        --steps --samples --sigma --seed --batch --smooth --scale --reduce --max-error --resolution --preprocess --colormap \
        --alpha --threads --json --quiet --verbose --white --skip-existing";
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

    let text = |key: &str| text_of(&scene, "heatmaps/cat.1.grad-cam.png", key);
    assert_eq!((text("Model"), text("Method"), text("Target")), ("rnet.onnx".into(), "grad-cam".into(), "1".into()));
    // The card of the model says the same.
    assert_eq!(text("Model-SHA256"), "6ff2424c9c574e6a1b7f44a585bc9e75b17e64e0fce8f2e78952ad0bceee49b2");
    assert!(text("Options").contains("\"epsilon\"") && !text("Layer").is_empty());
}

/// The text that a PNG has under `key`.
fn text_of(scene: &Scene, name: &str, key: &str) -> String {
    let bytes = std::fs::read(scene.path(name)).expect("a PNG");
    let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a header");
    let texts = &reader.info().uncompressed_latin1_text;
    texts.iter().find(|text| text.keyword == key).unwrap_or_else(|| panic!("no {key} in {name}")).text.clone()
}

#[test]
fn the_size_of_an_open_model_comes_from_flag_or_array() {
    let scene = Scene::new();
    std::fs::copy(data("models/text-direction.onnx"), scene.path("open.onnx")).expect("a copy");
    scene.picture("a.png", 96, 32);
    scene.array("b.npy", &[3, 64, 160]);
    scene.file("feed.json", br#"{"channels": "BGR", "size": [64, 128], "resize": {"mode": "stretch"}}"#);
    let note = "224 x 224 is assumed";
    let explain = |options: &[&str]| {
        let fixed = ["explain", "open.onnx", "-m", "saliency", "-t", "0", "--format", "npy"];
        scene.run(&[&fixed, options].concat()).exits(0).stderr
    };
    let said = explain(&["a.png", "--preprocess", "feed.json"]);
    assert!(!said.contains(note) && said.contains("note: the final Softmax is left out"), "{said}");
    assert_eq!(scene.array_at("heatmaps/a.0.saliency.npy").shape, [3, 64, 128]);
    assert!(!explain(&["b.npy"]).contains(note));
    assert_eq!(scene.array_at("heatmaps/b.0.saliency.npy").shape, [3, 64, 160]);
    assert!(explain(&["a.png", "--preprocess", "unit"]).contains(note));
    assert_eq!(scene.array_at("heatmaps/a.0.saliency.npy").shape, [3, 224, 224]);
}

#[test]
fn another_output_can_be_explained() {
    let scene = Scene::new();
    scene.picture("a.png", 24, 24);
    let model = rnet();
    let explain = |options: &[&str]| {
        let ran = scene.run(&[&["explain", &model, "a.png", "-m", "gradient", "--json"], options].concat()).exits(0);
        ran.objects()[0]["report"].clone()
    };
    assert_eq!(explain(&[]), explain(&["--logits", "probability"]));
    let inspected = scene.run(&["inspect", &model, "--logits", "stage.conv1", "--json"]).exits(0).stdout;
    let object: Value = serde_json::from_str(&inspected).expect("JSON");
    // A channel is a class.
    assert_eq!(object["outputs"], 28);
    for command in [&["explain", &model, "a.png"][..], &["inspect", &model]] {
        let args = [command, &["--logits", "probable"]].concat();
        scene.run(&args).exits(2).says(&["--logits", "probable", "the outputs are probability"]);
    }
}

#[test]
fn a_sheet_has_all_methods_of_a_target() {
    let scene = Scene::new();
    scene.picture("a.png", 50, 31);
    let model = rnet();
    let args = ["explain", &model, "a.png", "-t", "0,1", "-m", "gradient,grad-cam", "--format", "sheet,npy", "--json"];
    let ran = scene.run(&args).exits(0);
    let mut sheets = Vec::new();
    for line in ran.stdout.lines() {
        let object: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&object["options"]["smooth"], &object["model"]), (&"auto".into(), &"rnet.onnx".into()));
        assert_eq!(object["model_sha256"].as_str().map(str::len), Some(64));
        let target = object["target"].as_u64().expect("a class");
        let sheet = format!("heatmaps/a.{target}.sheet.png");
        assert_eq!(object["outputs"][0], sheet.as_str());
        sheets.push(sheet);
    }
    assert_eq!(sheets.len(), 4);
    assert_eq!(std::fs::read_dir(scene.path("heatmaps")).expect("a folder").count(), 2 + 4, "a sheet for each target");
    // The picture and two maps, in columns of 320 pixels with 20 about them.
    let sizes = [&sheets[0], &sheets[3]].map(|name| image::image_dimensions(scene.path(name)).expect("a picture"));
    assert_eq!(sizes.map(|(width, _)| width), [3 * 340 + 20; 2]);
    let sheet = std::fs::read(scene.path(&sheets[0])).expect("a sheet");
    let says = |words: &str| sheet.windows(words.len()).any(|bytes| bytes == words.as_bytes());
    assert!(says("gradient,grad-cam") && says("Layer"), "what it takes to make the maps again");
    let again = scene.run(&[&args[..], &["--skip-existing"]].concat()).exits(0);
    assert!(again.stdout.is_empty(), "{}", again.stdout);
    std::fs::remove_file(scene.path(&sheets[3])).expect("a sheet");
    assert_eq!(scene.run(&[&args[..], &["--skip-existing"]].concat()).exits(0).stdout.lines().count(), 4);
}

/// One strong pixel would leave the rest pale, and another map's pictures could not be compared.
#[test]
fn end_colours_have_the_value_that_is_asked_for() {
    let scene = Scene::new();
    scene.picture("a.png", 50, 31);
    let model = rnet();
    let drawn = |scale: &str, into: &str| {
        let fixed = ["explain", &model, "a.png", "-t", "0", "-m", "gradient,grad-cam", "-o", into, "--json"];
        let ran = scene.run(&[&fixed[..], &["--scale", scale]].concat()).exits(0);
        assert_eq!(ran.objects()[0]["options"]["scale"], scale);
        ["gradient", "grad-cam"].map(|method| {
            let picture = image::open(scene.path(&format!("{into}/a.0.{method}.png"))).expect("a picture").to_rgb8();
            (picture, scene.array_at(&format!("{into}/a.0.{method}.npy")))
        })
    };
    let (peak, percent, value) = (drawn("peak", "peak"), drawn("70%", "percent"), drawn("1e6", "value"));
    let [fine, cam] = drawn("auto", "auto");
    assert!(cam == peak[1] && fine.0 != peak[0].0 && fine == drawn("90%", "same")[0]);
    for ((peak, percent), value) in peak.iter().zip(&percent).zip(&value) {
        assert!(peak.1 == percent.1 && peak.1 == value.1, "arrays are what was computed");
    }
    // Below the caption, beside the bar: to 1e6 no heat is left, of which the others have some, and more.
    let pixels = |picture: &image::RgbImage| -> Vec<u8> {
        let inside = picture.enumerate_pixels().filter(|(x, y, _)| *x < 200 && (60..150).contains(y));
        inside.flat_map(|(_, _, pixel)| pixel.0).collect()
    };
    let [peak, percent, none] = [&peak[0].0, &percent[0].0, &value[0].0].map(pixels);
    let heat = |drawn: &[u8]| drawn.iter().zip(&none).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
    assert!(heat(&percent) > heat(&peak) && heat(&peak) > 0, "{} {}", heat(&percent), heat(&peak));
}

/// A fine map is drawn for the eye, an array is what was computed.
#[test]
fn pictures_are_smoothed_and_arrays_are_not() {
    let scene = Scene::new();
    scene.picture("a.png", 50, 31);
    let model = rnet();
    let drawn = |options: &[&str], into: &str| {
        let args = [&["explain", &model, "a.png", "-t", "0", "-m", "gradient,grad-cam", "-o", into], options].concat();
        scene.run(&args).exits(0);
        ["gradient", "grad-cam"].map(|method| {
            let picture = image::open(scene.path(&format!("{into}/a.0.{method}.png"))).expect("a picture").to_rgb8();
            (picture, scene.array_at(&format!("{into}/a.0.{method}.npy")))
        })
    };
    let ([fine, cam], [raw_fine, raw_cam]) = (drawn(&[], "auto"), drawn(&["--smooth", "0"], "raw"));
    assert!(fine.0 != raw_fine.0 && fine.1 == raw_fine.1 && cam == raw_cam);
    // 3 of 224, of 24.
    assert!(fine == drawn(&["--smooth", "0.32142857"], "same")[0]);
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
fn a_folder_says_what_of_it_is_passed_over() {
    let scene = Scene::new();
    scene.picture("films/a.png", 24, 24);
    scene.picture("films/deep/b.png", 24, 24);
    scene.file("films/old.bmp", b"x");
    scene.file("films/IM001", &[&[0; 128][..], b"DICM"].concat());
    let model = rnet();
    let explain = |options: &[&str]| {
        let fixed = ["explain", &model, "-m", "saliency", "-t", "0", "--format", "npy"];
        scene.run(&[&fixed, options].concat())
    };
    let note = "note: films/: passed over 1 DICOM, 1 BMP and 1 folder (name 'films/**/*' for what is in folders)";
    explain(&["films/"]).exits(0).says(&[note]);
    assert_eq!(scene.listing("heatmaps"), ["a.0.saliency.npy"]);
    assert!(explain(&["films", "-q"]).exits(0).stderr.is_empty());
    explain(&["films/**/*"]).exits(0).says(&["films/**/*: passed over 1 DICOM and 1 BMP"]);
    assert_eq!(scene.listing("heatmaps"), ["a.0.saliency.npy", "b.0.saliency.npy"]);
    for name in ["films/IM001", "films/IM*"] {
        explain(&[name]).exits(1).says(&[name, "convert DICOM to 16-bit PNG first"]);
    }
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
    let summary = ran.stderr.lines().find(|line| line.contains("4 images, 8 maps in ")).expect("a summary");
    assert!(summary.contains(" images/s)"), "{summary}");
    assert_eq!(scene.array_at("heatmaps/batch.top.gradient.npy").shape, [3, c, h, w]);
    assert_eq!(scene.array_at("heatmaps/batch.top.grad-cam.npy").shape, [3, 1, h, w]);
    let pictures: Vec<String> = scene.listing("heatmaps").into_iter().filter(|name| name.ends_with(".png")).collect();
    assert_eq!(pictures.len(), 3 * 2 + 2, "{pictures:?}");
    assert_eq!(text_of(&scene, "heatmaps/batch-2.top.gradient.png", "Image"), "2");
    assert_eq!(text_of(&scene, "heatmaps/batch-2.top.gradient.png", "Input"), "batch.npy");
    let ran = scene.run(&[&args[..], &["--verbose"]].concat()).exits(0);
    // Each file is named once, whichever of its images it was written with.
    assert_eq!(ran.stderr.lines().filter(|line| line.contains("wrote ")).count(), 4 + pictures.len(), "{}", ran.stderr);
    let table = ran.stdout;
    for row in ["batch.npy[0] ", "batch.npy[2] ", "one.npy "] {
        assert!(table.lines().any(|line| line.starts_with(row)), "no {row:?} in {table}");
    }
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
fn several_targets_and_foreign_names_are_taken() {
    let scene = Scene::new();
    scene.picture("a.png", 24, 24);
    let [c, h, w] = plain_shape();
    scene.array("b.npy", &[2, c, h, w]);
    let files = |model: &str, input: &str, target: &str, method: &str, folder: &str| {
        let args = ["explain", model, input, "-t", target, "-m", method, "--format", "npy", "-o", folder];
        scene.run(&args).exits(0);
        scene.listing(folder)
    };
    let names = files(&rnet(), "a.png", "face,0,1", "GradCAM,ig,gradient-x-input", "list");
    let want: Vec<String> = ["0", "1"]
        .iter()
        .flat_map(|class| {
            ["grad-cam", "input-x-gradient", "integrated-gradients"].map(|m| format!("a.{class}.{m}.npy"))
        })
        .collect();
    assert_eq!(names, want);
    assert_eq!(files(&rnet(), "a.png", "all", "grad-cam,integrated-gradients,input-x-gradient", "all"), want);
    for name in &want {
        assert_eq!(scene.array_at(&format!("list/{name}")), scene.array_at(&format!("all/{name}")), "{name}");
    }
    assert_eq!(files(&plain(), "b.npy", "2,0", "gradient", "batch"), ["b.0.gradient.npy", "b.2.gradient.npy"]);
}

#[test]
fn help_is_grouped() {
    let help = Scene::new().run(&["explain", "--help"]).exits(0).stdout;
    let headings = ["What is explained:", "Rules:", "Sampling:", "Drawing and writing:", "Running:"];
    let at =
        headings.map(|heading| help.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}: {help}")));
    assert!(at.is_sorted(), "{help}");
    let rest = help.split("\nOptions:\n").nth(1).expect("a group").split("\n\n").next().expect("lines");
    let ours = rest.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let without: Vec<&str> = ours.filter(|line| !line.starts_with("-h, ") && !line.starts_with("-V, ")).collect();
    assert!(without.is_empty(), "options without a group: {without:?}");
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
fn no_bar_is_drawn_into_a_pipe() {
    let scene = Scene::new();
    scene.picture("a.png", 24, 24);
    let start = std::time::Instant::now();
    let args = ["explain", &rnet(), "a.png", "-m", "integrated-gradients", "-t", "0", "--threads", "1"];
    // Work of over a second, which a terminal would show.
    let mut steps = 500;
    while start.elapsed().as_secs_f64() < 1.5 {
        let ran = scene.run(&[&args[..], &["--steps", &steps.to_string()]].concat()).exits(0);
        for output in [&ran.stdout, &ran.stderr] {
            assert!(!output.contains(['\r', '\x1b', '█', '░']), "{output:?}");
        }
        steps *= 4;
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_whole_files_and_exits_130() {
    for (batch, threads) in [("1", "1"), ("3", "2")] {
        let scene = Scene::new();
        let [c, h, w] = plain_shape();
        for i in 0..400 {
            scene.array(&format!("in/{i:03}.npy"), &[c, h, w]);
        }
        let child = scene
            .command(&["explain", &plain(), "in", "-m", "smoothgrad", "--samples", "200", "-t", "0"])
            .args(["--batch", batch, "--threads", threads])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the binary starts");
        while scene.listing("heatmaps").len() < 2 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        // The shell's own: a small installation has no program of that name.
        let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().expect("a shell");
        assert!(sent.success());
        let output = child.wait_with_output().expect("an end");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{stderr}");
        let files = scene.listing("heatmaps");
        let said = format!("interrupted: {} files are written to heatmaps", files.len());
        assert!(stderr.contains(&said), "{said}: {stderr}");
        assert!(files.len() < 800 && files.iter().all(|name| !name.ends_with(".part")), "{} files", files.len());
        for name in files.iter().filter(|name| name.ends_with(".npy")) {
            scene.array_at(&format!("heatmaps/{name}"));
        }
    }
}
