//! The wgpu backend on an adapter of this machine: which one is chosen, memory that runs out, a device that is lost, kernels
//! kept on disk. `tests/kernels` and `tests/golden.rs` have the numbers.

mod choice;
#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "no test here needs the CUDA driver")]
mod common;
mod counts;
mod half;
mod loss;
mod memory;
#[path = "../proof/nets.rs"]
#[allow(dead_code, reason = "one small network is built here")]
mod nets;
mod painter;
#[path = "../common/pictures.rs"]
mod pictures;
mod prefetch;
#[path = "../common/prefetch.rs"]
mod prefetched;
#[path = "../cli/ran.rs"]
mod ran;

use std::path::Path;
use std::sync::Arc;

use fluoroscope::backend::Backend;
use fluoroscope::backend::wgpu::{WgpuBackend, WgpuOptions};
use fluoroscope::explain::{ExplainError, ExplainOptions, Explainer, Heatmap, Target};
use fluoroscope::method::MethodChoice;
use fluoroscope::model::Model;
use fluoroscope::tensor::Tensor;
use sha2::{Digest, Sha256};

/// With gates, bits, rules and references between them.
const METHODS: [&str; 3] = ["saliency", "lrp-zplus", "deeplift"];

fn golden(net: &str) -> Model {
    Model::open(common::root().join(format!("data/golden/{net}.onnx"))).expect("a golden network")
}

/// Images for a network, with values in -1..1.
fn images(model: &Model, count: usize) -> Tensor {
    let shape = model.input();
    let value = |i: usize| ((i * 37 % 1009) as f32 * 0.37).sin();
    let data = (0..count * shape.len()).map(value).collect();
    Tensor::new(&[count, shape.channels, shape.height, shape.width], data)
}

/// The maps of images in batches of `batch`, each as the bits of its elements.
fn maps(model: &Model, backend: &Arc<WgpuBackend>, count: usize, batch: usize) -> Result<Vec<Vec<u32>>, ExplainError> {
    maps_by(model, Box::new(Arc::clone(backend)), &METHODS, count, batch)
}

fn maps_by(
    model: &Model,
    backend: Box<dyn Backend>,
    methods: &[&str],
    count: usize,
    batch: usize,
) -> Result<Vec<Vec<u32>>, ExplainError> {
    let options = ExplainOptions { batch: Some(batch), ..ExplainOptions::default() };
    let mut explainer = Explainer::new(model, backend, options)?;
    let methods: Vec<MethodChoice> = methods.iter().map(|name| name.parse().expect("a method")).collect();
    let lists = explainer.explain(&images(model, count), &methods, &Target::Top(1))?;
    Ok(bits(lists))
}

/// The elements of every map.
fn bits(lists: Vec<Vec<Heatmap>>) -> Vec<Vec<u32>> {
    lists.into_iter().flatten().map(|heatmap| heatmap.map.data.iter().map(|v| v.to_bits()).collect()).collect()
}

fn opened(options: WgpuOptions) -> Arc<WgpuBackend> {
    let adapter = common::adapter();
    Arc::new(WgpuBackend::new(WgpuOptions { adapter, ..options }).expect("an adapter"))
}

/// Where the file of a cache begins, after its digest, and where it then names the API that made it.
const DIGEST: usize = 32;
const API: usize = DIGEST + 16;

/// The file as a cache of another API would write it.
fn made_foreign(file: &Path) {
    let mut bytes = std::fs::read(file).expect("a file");
    bytes[API] ^= 0xFF;
    let digest = Sha256::digest(&bytes[DIGEST..]);
    bytes[..DIGEST].copy_from_slice(&digest);
    std::fs::write(file, bytes).expect("written");
}

#[test]
fn kernels_are_kept_on_disk_where_the_driver_has_a_cache() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kept = folder.path().join("kernels");
    let model = golden("plain");
    let run = || {
        let backend = opened(WgpuOptions { folder: Some(kept.clone()), ..WgpuOptions::default() });
        (maps(&model, &backend, 1, 1).expect("maps"), backend.takes_up_kernels())
    };
    let (first, takes_up) = run();
    assert!(!takes_up, "nothing is there");
    let files = || std::fs::read_dir(&kept).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    let has_cache = opened(WgpuOptions::default()).adapter().api == "Vulkan";
    assert_eq!(files().count() > 0, has_cache, "the API has a cache");
    assert!(run() == (first.clone(), has_cache), "with what the first run left");

    let not_whole = |file: &Path| std::fs::write(file, b"not what a driver wrote").expect("written");
    // Only a driver that is given what the file holds refuses it.
    for (case, spoil) in [("not whole", &not_whole as &dyn Fn(&Path)), ("of another API", &made_foreign)] {
        files().for_each(|file| spoil(&file));
        assert!(run() == (first.clone(), false), "with files that are {case}");
        assert!(run() == (first.clone(), has_cache), "files that were {case} are written anew");
    }
}
