//! The demo's claim: heat lies on the findings that were drawn into the films.

use std::path::Path;

use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::explain::{ExplainOptions, Explainer, Target};
use fluoroscope::graph::Precision;
use fluoroscope::measure::localisation;
use fluoroscope::method::MethodChoice;
use fluoroscope::model::Model;
use fluoroscope::picture::{Picture, Reduce, reduce};
use fluoroscope::tensor::Tensor;

/// Every film of the demo with each of its findings.
const FINDINGS: [(&str, &str); 9] = [
    ("test-1", "nodule"),
    ("test-2", "nodule"),
    ("test-2", "device"),
    ("test-3", "device"),
    ("test-4", "nodule"),
    ("test-4", "marker"),
    ("test-5", "nodule"),
    ("test-5", "device"),
    ("test-5", "marker"),
];

/// Here biases take nearly all relevance, so that little is left to be spread over the image.
const LEFT_TO_BIASES: (&str, &str, &str) = ("lrp-epsilon", "test-1", "nodule");

#[test]
fn grad_cam_and_lrp_epsilon_find_the_drawn_findings() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let model = Model::open(data.join("chest/chest-densenet.onnx")).expect("the demo's model");
    let backend = CpuBackend::new(Precision::F32, None).expect("a backend");
    let mut explainer = Explainer::new(&model, Box::new(backend), ExplainOptions::default()).expect("an explainer");
    let preprocess = model.preprocess().expect("a card").expect("a preprocess section");
    let methods: Vec<MethodChoice> = ["grad-cam", "lrp-epsilon"].map(|m| m.parse().expect("a method")).to_vec();
    let mut missed = Vec::new();
    for (film, class) in FINDINGS {
        let open = |name: String| Picture::open(&data.join("films").join(name)).expect("a film");
        let (picture, mask) = (open(format!("{film}.png")), open(format!("{film}.{class}.png")));
        let (values, placement) = preprocess.apply(&picture).expect("an input");
        let input = Tensor::new(&[1, 224, 224], values);
        let target = Target::Name(class.to_owned());
        for heatmap in explainer.explain(&input, &methods, &target).expect("maps").remove(0) {
            let plane = reduce(&heatmap.map, Reduce::Sum).expect("a plane");
            let found = localisation(&plane, &mask, &placement).expect("a measure");
            let ratio = found.heat_ratio.expect("positive heat");
            let method = heatmap.method.method.name;
            if (method, film, class) == LEFT_TO_BIASES {
                let (logit, biases) = (heatmap.report.logit, heatmap.report.to_biases.expect("an audit"));
                assert!((biases / logit - 1.0).abs() < 0.2, "biases take {biases} of {logit}");
            } else if ratio <= 2.0 {
                missed.push(format!("{method} of {film}, {class}: heat ratio {ratio:.2}"));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
