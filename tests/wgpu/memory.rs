//! Memory that runs out: the batch is halved, and the maps stay as they are.

use fluoroscope::backend::BackendError;
use fluoroscope::backend::wgpu::{Limits, WgpuOptions};
use fluoroscope::explain::ExplainError;

use crate::{golden, maps, opened};

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

/// Filters in parts sum in another order; a tensor that no kernel takes even for one image is named.
#[test]
fn tensors_are_as_large_as_a_kernel_takes() {
    let model = golden("vgg");
    let whole = maps(&model, &opened(WgpuOptions::default()), 4, 4).expect("maps of whole filters");
    let largest = |bits: &[u32]| bits.iter().map(|v| f32::from_bits(*v).abs()).fold(0.0, f32::max);
    let (mut fitted, mut refused) = (0, 0);
    for power in 9..20 {
        let limits = Limits { tensor: Some(1 << power), ..Limits::default() };
        match maps(&model, &opened(WgpuOptions { limits, ..WgpuOptions::default() }), 4, 4) {
            Ok(found) => {
                for (found, whole) in found.iter().zip(&whole) {
                    let apart = |(a, b): (&u32, &u32)| (f32::from_bits(*a) - f32::from_bits(*b)).abs();
                    let most = found.iter().zip(whole).map(apart).fold(0.0, f32::max);
                    assert!(most <= 1e-4 * largest(whole), "{limits:?}: {most:e} of {:e}", largest(whole));
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
