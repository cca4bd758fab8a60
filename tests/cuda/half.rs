//! Values stored in f16 and bf16: whole networks, against f64 on the CPU.

use fluoroscope::picture::read_array;
use serde_json::Value;

use super::{Scene, golden, methods};

/// Cosine with the map in f64 below which a half is wrong: that of a rounding at every layer is above.
const LEAST_COSINE: [(&str, f64); 2] = [("f16", 0.995), ("bf16", 0.95)];

/// What LRP's sum may miss beside what its books say, relative to the logit: rounding of every message.
const CONSERVED: [(&str, f64); 2] = [("f16", 0.02), ("bf16", 0.1)];

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
}

#[test]
fn maps_in_halves_are_close_and_never_nan() {
    let mut wrong = Vec::new();
    for net in ["plain", "resnet", "densenet", "mobile", "gated"] {
        let scene = Scene::new();
        scene.images("in.npy", net, 2);
        let methods = methods(net).join(",");
        let options = ["-m", &methods, "--steps", "4", "--samples", "2", "--batch", "2", "--json"];
        let exact = ["--backend", "cpu", "--precision", "f64"];
        scene.explain(&[], net, "exact", &[&options[..], &exact].concat()).exits(0);
        for ((half, least), (_, most)) in LEAST_COSINE.into_iter().zip(CONSERVED) {
            let options = [&options[..], &["--precision", half]].concat();
            let ran = scene.explain(&[], net, half, &options).exits(0).says(&[]);
            for line in ran.stdout.lines() {
                let record: Value = serde_json::from_str(line).expect("JSON");
                let (method, report) = (record["method"].as_str().expect("a name"), &record["report"]);
                assert_eq!((&report["backend"], &report["precision"]), (&"cuda".into(), &half.into()));
                assert_eq!(report["non_finite"], 0, "{net} {half} {method}");
                if let Some(error) = report["conservation_error"].as_f64().filter(|error| *error > most) {
                    wrong.push(format!("{net} {half} {method}: conservation error {error:.4}"));
                }
            }
            for name in scene.files("exact").into_keys() {
                let path = |folder: &str| scene.folder.path().join(folder).join(&name);
                let [got, want] = [half, "exact"].map(|folder| read_array(&path(folder)).expect("a map").data);
                let cosine = cosine(&got, &want);
                if cosine.is_nan() || cosine < least {
                    wrong.push(format!("{net} {half} {name}: cosine {cosine:.5}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every step is as near to f64 as a half can hold it; the maps tell how far that takes a network.
#[test]
fn halves_are_checked_and_timed() {
    let scene = Scene::new();
    for net in ["plain", "gated"] {
        let far = ["f32", "f16", "bf16"].map(|precision| {
            let model = golden(net);
            let arguments = ["bench", &model, "-m", "gradient,lrp-epsilon,deeplift", "--repeats", "1", "--json"];
            let ran = scene.run(&[], &[&arguments[..], &["--backend", "cuda", "--precision", precision]].concat());
            let object = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
            let runs: Vec<Value> = ran.exits(0).stdout.lines().map(object).collect();
            assert_eq!(runs.len(), 3);
            let errors = runs.into_iter().map(|run| {
                assert_eq!(run["precision"], precision);
                let steps = run["steps"].as_array().expect("steps");
                assert!(steps.iter().all(|step| step["passed"] == true));
                run["agreement"]["relative_l2"].as_f64().expect("a distance")
            });
            errors.collect::<Vec<_>>()
        });
        for ((f32, f16), bf16) in far[0].iter().zip(&far[1]).zip(&far[2]) {
            assert!(*f32 < 1e-4 && 1e-4 < *f16 && f16 < bf16 && *bf16 < 0.5, "{net}: {far:?}");
        }
    }
}

#[test]
fn halves_do_not_depend_on_the_batch() {
    let scene = Scene::new();
    scene.images("in.npy", "resnet", 3);
    let options = ["-m", "gradient,lrp-epsilon,epsilon-plus-flat,deeplift", "--precision", "bf16"];
    for batch in ["1", "3"] {
        scene.explain(&[], "resnet", batch, &[&options[..], &["--batch", batch]].concat()).exits(0);
    }
    assert_eq!(scene.files("1").len(), 4);
    assert!(scene.files("1") == scene.files("3"));
}

#[test]
fn halves_are_refused_where_nothing_stores_them() {
    let scene = Scene::new();
    scene.images("in.npy", "plain", 1);
    let refused = scene.explain(&[], "plain", "maps", &["--backend", "cpu", "--precision", "f16"]).exits(2);
    refused.says(&["the cpu backend does not store f16", "--backend cuda"]);
    let absent = [("CUDA_VISIBLE_DEVICES", "")];
    let refused = scene.explain(&absent, "plain", "maps", &["--precision", "bf16"]).exits(4);
    refused.says(&["bf16 is stored by cuda alone", "finds no device", "hint: leave out --precision"]);
    let refused = scene.explain(&absent, "plain", "maps", &["--precision", "f16"]).exits(4);
    refused.says(&[
        "f16 is stored by cuda, or by",
        "finds no device",
        "finds an adapter",
        "hint: leave out --precision",
    ]);
    assert!(scene.files("maps").is_empty());
}
