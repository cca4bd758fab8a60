//! Values stored in f16 where an adapter has a type for it: whole networks, against f64 on the CPU; else it is said.

use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::backend::wgpu::{WgpuOptions, probe};
use fluoroscope::graph::Precision;
use fluoroscope::model::Model;

use crate::choice::{explain, scene};
use crate::{common, maps, maps_by, opened};

/// Cosine with the map in f64 below which a half is wrong: that of a rounding at every layer is above.
const LEAST_COSINE: f64 = 0.995;

/// A golden network, or the one whose convolutions have groups.
fn golden(net: &str, precision: Precision) -> Model {
    let folder = if net == "resnext" { "tests/fixtures/onnx" } else { "data/golden" };
    Model::open_with(common::root().join(format!("{folder}/{net}.onnx")), precision).expect("a network")
}

fn cosine(a: &[u32], b: &[u32]) -> f64 {
    let number = |bits: &u32| f64::from(f32::from_bits(*bits));
    let dot = |a: &[u32], b: &[u32]| a.iter().zip(b).map(|(a, b)| number(a) * number(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// An adapter without halves stores floats in their place.
#[test]
fn maps_in_f16_are_close_and_do_not_depend_on_the_batch() {
    let backend = opened(WgpuOptions::default());
    println!("{:?}", backend.adapter());
    let mut wrong = Vec::new();
    for net in ["plain", "resnet", "densenet", "mobile", "gated", "resnext"] {
        let exact = CpuBackend::new(Precision::F64, None).expect("threads start");
        let exact = maps_by(&golden(net, Precision::F64), Box::new(exact), &crate::METHODS, 2, 2).expect("maps in f64");
        let model = golden(net, Precision::F16);
        let found = maps(&model, &backend, 2, 2).expect("maps in f16");
        assert!(maps(&model, &backend, 2, 1).expect("maps one by one") == found, "{net}");
        for (i, (found, exact)) in found.iter().zip(&exact).enumerate() {
            let cosine = cosine(found, exact);
            if cosine.is_nan() || cosine < LEAST_COSINE {
                wrong.push(format!("{net}, map {i}: cosine {cosine:.5}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn halves_are_refused_where_an_adapter_does_not_store_them() {
    let scene = scene();
    let run = |options: &[&str]| explain(scene.path(), &[], &[&["--backend", "wgpu", "-o", "none"], options].concat());
    for (number, info) in probe().expect("an adapter").iter().enumerate() {
        let of = ["--device", &number.to_string(), "--precision"];
        if info.check().is_ok() && !info.stores_f16 {
            run(&[&of[..], &["f16"]].concat()).exits(2).says(&[&info.name, "does not store f16", "--device", "hint: "]);
        }
        run(&[&of[..], &["bf16"]].concat()).exits(2).says(&["the wgpu backend does not store bf16", "--backend cuda"]);
        assert!(!scene.path().join("none").exists());
        if info.check().is_ok() && info.stores_f16 {
            let ran = run(&[&of[..], &["f16"]].concat()).exits(0);
            assert!(ran.stdout.contains("\"precision\":\"f16\""), "{}", ran.stdout);
            std::fs::remove_dir_all(scene.path().join("none")).expect("the maps");
        }
    }
}
