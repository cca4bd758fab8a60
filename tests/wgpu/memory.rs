//! Memory that runs out: the batch is halved, and the maps stay as they are.

use std::sync::Arc;

use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::backend::wgpu::{Limits, WgpuBackend, WgpuOptions};
use fluoroscope::backend::{Backend, BackendError};
use fluoroscope::explain::{ExplainError, ExplainOptions, Explainer, Target};
use fluoroscope::graph::Precision;
use fluoroscope::model::Model;
use fluoroscope::program::Element;

use crate::nets::{self, Net};
use crate::{bits, golden, images, maps, maps_by, opened, prefetched};

#[test]
fn in_whatever_memory_the_maps_are_the_same_or_it_is_said_that_there_is_too_little() {
    let model = golden("resnet");
    let whole = maps(&model, &opened(WgpuOptions::default()), 6, 6).expect("maps in all memory");
    let (mut fitted, mut refused) = (0, 0);
    for power in 14..26 {
        let memory = Some(1 << power);
        let limits = Limits { memory, ..Limits::default() };
        match maps(&model, &opened(WgpuOptions { limits, ..WgpuOptions::default() }), 6, 6) {
            Ok(found) => {
                assert!(found == whole, "{memory:?} bytes");
                fitted += 1;
            }
            Err(ExplainError::Backend(error @ BackendError::OutOfMemory { backend: "wgpu", .. })) => {
                assert_eq!(fitted, 0, "less memory sufficed: {error}");
                assert!(error.to_string().contains("use a smaller --batch, or --backend cpu"), "{error}");
                refused += 1;
            }
            Err(error) => panic!("{memory:?} bytes: {error}"),
        }
    }
    assert!(fitted > 1 && refused > 1, "{fitted} fitted, {refused} were refused");
}

/// llvmpipe loads from textures, which take as much memory again. What there is no smaller batch of is computed without them.
#[test]
fn a_single_image_has_textures_as_long_as_there_is_room() {
    let model = golden("plain");
    let program = prefetched::gradient(&model);
    let image: Vec<f64> = (0..program.input.len()).map(|i| (i % 7) as f64 - 3.0).collect();
    let (mut sizes, mut maps) = (Vec::new(), Vec::new());
    let mut memory = 4 << 20;
    loop {
        let limits = Limits { memory: Some(memory), ..Limits::default() };
        let backend = opened(WgpuOptions { limits, ..WgpuOptions::default() });
        let mut session = match backend.load(Arc::clone(&program)) {
            Ok(session) => session,
            Err(BackendError::OutOfMemory { .. }) => break,
            Err(error) => panic!("{memory} bytes: {error}"),
        };
        sizes.push(session.slot_bytes());
        maps.push(prefetched::run(session.as_mut(), &program, &image, false));
        memory -= memory / 8;
    }
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    sizes.dedup();
    let is_llvmpipe = opened(WgpuOptions::default()).adapter().driver.contains("llvmpipe");
    assert_eq!(sizes.len(), if is_llvmpipe { 2 } else { 1 }, "{sizes:?}");
    assert!(maps.iter().all(|found| *found == maps[0]));
}

/// Largest difference of maps, given as bits, relative to the peak of the second.
fn difference(found: &[u32], wanted: &[u32]) -> f32 {
    let [found, wanted] = [found, wanted].map(|bits| bits.iter().map(|v| f32::from_bits(*v)).collect::<Vec<f32>>());
    let largest = |values: &mut dyn Iterator<Item = f32>| {
        values.fold(0f32, |peak, v| if v.abs() > peak || v.is_nan() { v.abs() } else { peak })
    };
    largest(&mut found.iter().zip(&wanted).map(|(a, b)| a - b)) / largest(&mut wanted.iter().copied())
}

/// Filters in parts sum in another order; a tensor that no kernel takes even for one image is named.
#[test]
fn tensors_are_as_large_as_a_kernel_takes() {
    let model = golden("vgg");
    let whole = maps(&model, &opened(WgpuOptions::default()), 4, 4).expect("maps of whole filters");
    let (mut fitted, mut refused) = (0, 0);
    for power in 9..20 {
        let limits = Limits { tensor: Some(1 << power), ..Limits::default() };
        match maps(&model, &opened(WgpuOptions { limits, ..WgpuOptions::default() }), 4, 4) {
            Ok(found) => {
                for (found, whole) in found.iter().zip(&whole) {
                    let apart = difference(found, whole);
                    assert!(apart <= 1e-4, "{limits:?}: {apart:e} of the peak");
                }
                fitted += 1;
            }
            Err(ExplainError::Backend(error @ BackendError::TooLarge { backend: "wgpu", .. })) => {
                assert_eq!(fitted, 0, "smaller tensors fitted: {error}");
                assert!(error.to_string().contains("use a smaller --batch, or --backend cpu"), "{error}");
                refused += 1;
            }
            Err(error) => panic!("{limits:?}: {error}"),
        }
    }
    assert!(fitted > 1 && refused > 0, "{fitted} fitted, {refused} were refused");
}

/// A kernel takes the largest tensor of two images, not of four.
#[test]
fn a_batch_whose_tensors_no_kernel_takes_is_halved() {
    let model = golden("resnet");
    let program = prefetched::gradient(&model);
    let floats = program.buffers.iter().filter(|buffer| buffer.element == Element::Float);
    let largest = floats.map(|buffer| 4 * program.count(buffer.per) * buffer.item_len()).max().expect("tensors");
    let limits = Limits { tensor: Some(2 * largest as u64), ..Limits::default() };
    let backend = || opened(WgpuOptions { limits, ..WgpuOptions::default() });
    let options = ExplainOptions { batch: Some(4), ..ExplainOptions::default() };
    let mut explainer = Explainer::new(&model, Box::new(backend()), options).expect("an explainer");
    let methods = ["gradient".parse().expect("a method")];
    let found = explainer.explain(&images(&model, 4), &methods, &Target::Top(1)).expect("maps of halves");
    assert_eq!(explainer.halved(), Some(2));
    let alone = maps_by(&model, Box::new(backend()), &["gradient"], 4, 1).expect("maps one by one");
    assert!(bits(found) == alone);
}

/// Two dense layers with a rectifier between them, on a map.
fn dense_of(map: [usize; 3], outputs: usize) -> Model {
    let mut net = Net::new(5, map, Precision::F32);
    let x = net.dense(net.input(), outputs);
    let x = net.relu(x);
    let x = net.dense(x, 4);
    nets::model(net.finish(x))
}

/// Whether gradients of a batch are as on the CPU, if there are any.
fn agrees_with_the_cpu(model: &Model, backend: &Arc<WgpuBackend>, count: usize) -> Result<(), ExplainError> {
    let gradient = |backend: Box<dyn Backend>| maps_by(model, backend, &["gradient"], count, count);
    let found = gradient(Box::new(Arc::clone(backend)))?;
    let cpu = CpuBackend::new(Precision::F32, None).expect("threads start");
    let apart = difference(&found[0], &gradient(Box::new(cpu)).expect("a map")[0]);
    assert!(apart <= 1e-4, "{apart:e} of the peak");
    Ok(())
}

/// The filters of a dense layer like VGG-16's first are more than the 128 MiB that an adapter has to bind: they lie in parts, over
/// which its forward step splits the results, and its backward step sums.
#[test]
fn filters_of_more_than_a_binding_lie_in_parts() {
    const BINDING: usize = 128 << 20;
    let (map, outputs) = ([512, 7, 7], 1400);
    assert!(4 * map.iter().product::<usize>() * outputs > BINDING);
    let model = dense_of(map, outputs);
    let limits = Limits { tensor: Some(BINDING as u64), ..Limits::default() };
    let backend = opened(WgpuOptions { limits, ..WgpuOptions::default() });
    agrees_with_the_cpu(&model, &backend, 1).expect("a map");
}

/// Up to eight items go by a kernel of dense layers on a processor, more by tiles, and of the former there are blocks of four.
#[test]
fn a_dense_layer_has_the_same_bits_in_every_batch() {
    let backend = opened(WgpuOptions::default());
    for map in [[16, 3, 3], [300, 1, 1]] {
        let model = dense_of(map, 44);
        let gradients = |batch: usize, backend: Box<dyn Backend>| {
            maps_by(&model, backend, &["gradient", "lrp-zplus"], 18, batch).expect("maps")
        };
        let [one, five, nine, all] = [1, 5, 9, 18].map(|batch| gradients(batch, Box::new(Arc::clone(&backend))));
        assert!(one == five && one == nine && one == all, "{map:?}");
        let cpu = gradients(18, Box::new(CpuBackend::new(Precision::F32, None).expect("threads start")));
        let apart = one.iter().zip(&cpu).map(|(found, wanted)| difference(found, wanted)).fold(0.0, f32::max);
        assert!(apart <= 1e-4, "{map:?}: {apart:e} of the peak");
    }
}

/// Mesa's llvmpipe ends all loops of a thread after 65,535 iterations, and says nothing.
#[test]
fn loops_come_to_their_end_or_it_is_said_that_they_would_not() {
    let backend = opened(WgpuOptions::default());
    let is_llvmpipe = backend.adapter().driver.contains("llvmpipe");
    // The last would be for subgroups in tiles and for a tile, but a dense layer's kernel has 32 products a turn.
    for (map, outputs, count, is_too_long) in [
        ([3, 60, 60], 64, 1, false),
        ([3, 64, 64], 64, 1, is_llvmpipe),
        ([96, 64, 64], 20, 1, false),
        ([96, 64, 64], 20, 9, false),
    ] {
        match agrees_with_the_cpu(&dense_of(map, outputs), &backend, count) {
            Ok(()) => assert!(!is_too_long, "{map:?}"),
            Err(error) => {
                assert!(is_too_long, "{map:?}: {error}");
                let said = error.to_string();
                assert!(said.contains("its loops take up to") && said.contains("use --backend cpu"), "{said}");
            }
        }
    }
}

/// DeepLIFT by way of a max-pool takes ten where there are so many.
#[test]
fn eight_buffers_of_a_kernel_suffice() {
    for net in ["pools", "overlap", "vgg"] {
        let model = golden(net);
        let whole = maps(&model, &opened(WgpuOptions::default()), 2, 2).expect("maps by whole steps");
        let limits = Limits { buffers: Some(8), ..Limits::default() };
        let found = maps(&model, &opened(WgpuOptions { limits, ..WgpuOptions::default() }), 2, 2);
        assert!(found.expect("maps by steps in parts") == whole, "{net}");
    }
}
