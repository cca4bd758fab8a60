//! Runs that go on where another stopped, and what is said of inputs that failed.

use super::{Scene, rnet};

/// Three pictures and an array of two images, in the order in which a folder lists them.
fn scene() -> Scene {
    let scene = Scene::new();
    for (name, width) in [("in/a.png", 40), ("in/b.png", 50), ("in/d.png", 60)] {
        scene.picture(name, width, 30);
    }
    scene.array("in/c.npy", &[2, 3, 24, 24]);
    scene
}

#[test]
fn what_is_there_is_passed_over_and_the_rest_is_as_in_a_whole_run() {
    for (target, classes) in [("1", 1), ("top", 1), ("top:2", 2), ("all", 2)] {
        let scene = scene();
        let model = rnet();
        let explain = |more: &[&str]| {
            let fixed = ["explain", &model, "in", "-m", "smoothgrad,gradient", "-t", target];
            let options = ["--samples", "2", "--batch", "2", "--skip-existing"];
            scene.run(&[&fixed[..], &options, more].concat()).exits(0)
        };
        let read = |name: &String| std::fs::read(scene.path(&format!("heatmaps/{name}"))).expect("a file");
        explain(&[]).says(&["note: 0 of 4 inputs are passed over"]);
        let names = scene.listing("heatmaps");
        // The pictures have a .png and a .npy of each map, the array two .png and a .npy.
        assert_eq!(names.len(), (3 * 2 + 3) * 2 * classes, "{target}: {names:?}");
        let before: Vec<Vec<u8>> = names.iter().map(read).collect();
        for (lost, done) in [("b.", 3), ("c-1.", 3), ("c.", 3), ("a.", 3), ("d.", 3), ("x.", 4)] {
            let of_source = names.iter().filter(|name| name.starts_with(lost));
            let gone: Vec<&String> = of_source.take(1).collect();
            gone.iter()
                .for_each(|name| std::fs::remove_file(scene.path(&format!("heatmaps/{name}"))).expect("removed"));
            let ran = explain(&[]).says(&[&format!("note: {done} of 4 inputs are passed over")]);
            assert!(ran.stdout.contains("images, "), "{}", ran.stdout);
            let after: Vec<Vec<u8>> = names.iter().map(read).collect();
            assert!(scene.listing("heatmaps") == names && after == before, "{target}: without {gone:?}");
        }
        // Files are known by their names alone.
        scene.file(&format!("heatmaps/{}", names[0]), b"kept");
        explain(&["-q"]);
        assert_eq!(read(&names[0]), b"kept");
        // Those of another method are not.
        let ran = scene.run(&["explain", &model, "in", "-m", "saliency", "-t", target, "--skip-existing"]).exits(0);
        ran.says(&["note: 0 of 4 inputs are passed over"]);
    }
}

#[test]
fn equal_stems_are_told_apart_when_a_run_goes_on() {
    let scene = Scene::new();
    for name in ["in/a/x.png", "in/b/x.png", "in/b/x.jpg"] {
        scene.picture(name, 24, 24);
    }
    let model = rnet();
    let args = ["explain", &model, "in/**/*", "-m", "gradient", "-t", "0", "--format", "npy", "--skip-existing"];
    scene.run(&args).exits(0);
    let names = ["a/x.0.gradient.npy", "b/x.jpg.0.gradient.npy", "b/x.png.0.gradient.npy"];
    assert_eq!(scene.listing("heatmaps"), names);
    std::fs::remove_file(scene.path("heatmaps/b/x.png.0.gradient.npy")).expect("removed");
    scene.run(&args).exits(0).says(&["note: 2 of 3 inputs are passed over"]);
    assert_eq!(scene.listing("heatmaps"), names);
}

#[test]
fn inputs_that_failed_have_objects() {
    let scene = scene();
    scene.file("in/bad.png", b"no picture");
    scene.array("in/wrong.npy", &[1, 24, 24]);
    let args = ["explain", &rnet(), "in", "none*.png", "-m", "gradient", "-t", "0", "--format", "npy", "--json"];
    let ran = scene.run(&args).exits(1);
    let objects = ran.objects();
    let failed: Vec<_> = objects.iter().filter(|object| object.get("error").is_some()).collect();
    let inputs: Vec<_> = failed.iter().map(|object| object["input"].as_str().expect("a name")).collect();
    assert_eq!(inputs, ["none*.png", "in/bad.png", "in/wrong.npy"]);
    let error = failed[1]["error"].as_str().expect("text");
    assert!(error.starts_with("in/bad.png: not a PNG") && error.ends_with("is the file whole?"), "{error}");
    assert_eq!((objects.len(), ran.stderr.matches("error: ").count()), (5 + 3, 3), "{}", ran.stderr);
}
