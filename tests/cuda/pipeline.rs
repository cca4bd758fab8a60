//! `explain` over many files: what is read, computed and written at the same time comes out in order and whole.

use std::collections::{BTreeMap, BTreeSet};

use fluoroscope::picture::write_npy;
use fluoroscope::tensor::Tensor;
use serde_json::Value;

use super::Scene;
use super::ran::Ran;

/// Height and width of the network's input.
const SIZE: usize = 24;

fn model() -> String {
    super::common::root().join("data/models/rnet.onnx").display().to_string()
}

impl Scene {
    fn picture(&self, name: &str, side: u32) {
        let at = |x, y| image::Rgb([(x * 9 % 251) as u8, (y * 7 % 241) as u8, (x * side + y * 3) as u8]);
        let path = self.folder.path().join("in").join(name);
        image::RgbImage::from_fn(side, side + 3, at).save(path).expect("a picture");
    }

    /// An array of so many images; the one at `bad` has a value that is not a number.
    fn array(&self, name: &str, images: usize, bad: Option<usize>) {
        let len = 3 * SIZE * SIZE;
        let mut data: Vec<f32> = (0..images * len).map(|i| (i as f32 * 0.37).sin()).collect();
        bad.into_iter().for_each(|at| data[at * len + 7] = f32::NAN);
        let path = self.folder.path().join("in").join(name);
        write_npy(&path, &Tensor::new(&[images, 3, SIZE, SIZE], data)).expect("an array");
    }

    /// Pictures of many sizes, arrays of several images, and between them what cannot be read.
    fn mixture(&self) {
        std::fs::create_dir(self.folder.path().join("in")).expect("a folder");
        for i in [0, 1, 3, 4, 6, 9, 10, 12, 13, 14] {
            self.picture(&format!("{i:02}.png"), 20 + 7 * i);
        }
        self.array("02.npy", 5, None);
        self.array("08.npy", 2, None);
        self.array("11.npy", 4, Some(2));
        let whole = std::fs::read(self.folder.path().join("in/14.png")).expect("a picture");
        std::fs::write(self.folder.path().join("in/05.png"), &whole[..whole.len() / 2]).expect("half a picture");
        std::fs::write(self.folder.path().join("in/07.jpg"), b"not a picture").expect("a file");
    }

    /// What kernels do wrong is found elsewhere: here they are not checked.
    fn explain_all(&self, settings: &[(&str, &str)], into: &str, options: &[&str]) -> Ran {
        let model = model();
        let arguments = ["explain", &model, "in", "-m", "saliency,lrp-epsilon", "--json", "-o", into];
        self.run(&[settings, &[("PTX_SIM_CHECKS", "0")]].concat(), &[&arguments[..], options].concat())
    }
}

impl Scene {
    /// All files; the driver reports of a run that draws no pictures.
    fn whole(&self, options: &[&str]) -> BTreeMap<String, Vec<u8>> {
        let raw = [options, &["--format", "npy"]].concat();
        self.explain_all(&[("PTX_SIM_REPORT", "report")], "raw", &raw).exits(1);
        self.explain_all(&[], "whole", options).exits(1);
        self.files("whole")
    }
}

/// The lines of a run about maps, without what differs between runs: times and the folder.
fn objects(ran: &Ran) -> Vec<Value> {
    let object = |line: &str| {
        let mut object: Value = serde_json::from_str(line).expect("JSON");
        for key in ["seconds", "outputs"] {
            object.as_object_mut().expect("an object").remove(key);
        }
        object
    };
    ran.stdout.lines().map(object).filter(|object| object.get("error").is_none()).collect()
}

fn errors(ran: &Ran) -> Vec<&str> {
    ran.stderr.lines().filter(|line| line.starts_with("error: ")).collect()
}

/// A file's source: `02` of `02-3.1.saliency.png`.
fn source(name: &str) -> &str {
    name.split(['.', '-']).next().unwrap_or(name)
}

#[test]
fn everything_comes_out_once_and_in_order() {
    let scene = Scene::new();
    scene.mixture();
    for backend in ["cuda", "wgpu", "cpu"] {
        let alone = ["--backend", backend, "--batch", "1", "--threads", "1"];
        let ran = scene.explain_all(&[], &format!("{backend}-alone"), &alone).exits(1);
        let (want, files) = (objects(&ran), scene.files(&format!("{backend}-alone")));
        let images: Vec<&str> = want.iter().map(|object| object["input"].as_str().expect("a path")).collect();
        assert!(images.is_sorted(), "{images:?}");
        // Ten pictures and seven images of arrays, two methods; arrays have one raw file for all images.
        assert_eq!((want.len(), files.len()), (34, 34 + 24), "{backend}");
        let wrong = errors(&ran);
        let parts = ["05.png", "07.jpg", "11.npy"];
        assert!(wrong.len() == 3 && wrong.iter().zip(parts).all(|(line, part)| line.contains(part)), "{wrong:?}");
        assert!(ran.stderr.contains("note: 17 images, 34 maps in "), "{}", ran.stderr);
        for (batch, threads) in [("1", "4"), ("3", "2"), ("8", "3")] {
            let late = [("PTX_SIM_ORDER", "late"), ("PTX_SIM_REPORT", "report")];
            let into = format!("{backend}-{batch}");
            let options = ["--backend", backend, "--batch", batch, "--threads", threads];
            let ran = scene.explain_all(&late, &into, &options).exits(1);
            assert_eq!(objects(&ran), want, "{into}");
            assert_eq!(errors(&ran), wrong, "{into}");
            assert!(scene.files(&into) == files, "{into}");
        }
    }
    let report = scene.report("report");
    let busy = report["busy_streams"].as_u64().expect("a count");
    assert!((2..=2 + 3).contains(&busy), "two sessions are in flight, and one a thread that draws: {busy} streams");
    assert_eq!(report["live_bytes"], 0);
}

#[test]
fn samples_of_one_image_are_in_flight_too() {
    let scene = Scene::new();
    scene.images("in.npy", "plain", 2);
    let methods = ["-m", "integrated-gradients,smoothgrad-deeplift", "--steps", "9", "--samples", "7", "-t", "0"];
    let cuda = [&methods[..], &["--backend", "cuda"]].concat();
    scene.explain(&[], "plain", "one", &[&cuda[..], &["--batch", "1"]].concat()).exits(0);
    let late = [("PTX_SIM_ORDER", "late"), ("PTX_SIM_REPORT", "report")];
    scene.explain(&late, "plain", "two", &[&cuda[..], &["--batch", "2"]].concat()).exits(0);
    assert!(scene.files("one").len() == 2 && scene.files("one") == scene.files("two"));
    assert_eq!(scene.report("report")["busy_streams"], 2);
}

/// Sources with all their files, each as it is in the whole run.
fn whole_sources(whole: &BTreeMap<String, Vec<u8>>, files: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
    let found: BTreeSet<&str> = files.keys().map(|name| source(name)).collect();
    for (name, bytes) in whole.iter().filter(|(name, _)| found.contains(source(name))) {
        assert!(files.get(name) == Some(bytes), "{name} is not what it should be");
    }
    assert!(files.keys().all(|name| whole.contains_key(name)), "{:?}", files.keys());
    found.into_iter().map(str::to_owned).collect()
}

#[test]
fn a_fault_in_the_middle_leaves_what_was_complete() {
    let scene = Scene::new();
    scene.mixture();
    let options = ["--backend", "cuda", "--batch", "3"];
    let whole = scene.whole(&options);
    // So many are needed for the maps, and those for pictures come in between: the fault strikes before all maps are there.
    let launches = scene.report("report")["launches"].as_u64().expect("a count");
    let mut counts = BTreeSet::new();
    for (i, order) in ["late", "eager"].into_iter().cycle().take(6).enumerate() {
        let nth = launches * (2 * i as u64 + 1) / 12;
        let settings = [("PTX_SIM_FAIL_LAUNCH", &*nth.to_string()), ("PTX_SIM_ORDER", order)];
        let into = format!("fault-{nth}");
        let ran = scene.explain_all(&settings, &into, &options).exits(4);
        assert!(ran.stderr.contains("error: the cuda device stopped: ") && ran.stderr.contains("hint: run again"));
        let sources = whole_sources(&whole, &scene.files(&into));
        let said: BTreeSet<String> = objects(&ran)
            .iter()
            .map(|object| source(object["input"].as_str().expect("a path").trim_start_matches("in/")).to_owned())
            .collect();
        assert_eq!(said, sources, "launch {nth} of {launches}: what is said is written, and what is written is said");
        counts.insert(sources.len());
    }
    assert!(counts.len() > 2, "the faults strike at different places: {counts:?}");
}

#[test]
fn memory_for_one_session_does() {
    let scene = Scene::new();
    scene.mixture();
    let options = ["--backend", "cuda", "--batch", "4"];
    let whole = scene.whole(&options);
    // What the maps need; pictures give way.
    let peak = scene.report("report")["peak_bytes"].as_u64().expect("bytes");
    let (mut alone, mut halved) = (0, 0);
    for percent in [30, 45, 60, 90] {
        let into = format!("percent-{percent}");
        let settings = [("PTX_SIM_MEMORY", &*(peak * percent / 100).to_string()), ("PTX_SIM_ORDER", "late")];
        let ran = scene.explain_all(&settings, &into, &options);
        match (ran.code, ran.stderr.contains("does not hold 4 images")) {
            (1, false) => alone += 1,
            (1, true) => halved += 1,
            (code, _) => {
                assert!(code == 4 && ran.stderr.contains("use a smaller --batch"), "{}", ran.stderr);
                whole_sources(&whole, &scene.files(&into));
                continue;
            }
        }
        assert!(scene.files(&into) == whole, "{into}");
    }
    assert!(alone > 0 && halved > 0, "{alone} budgets hold one session, {halved} half of it");
}
