//! Memory that runs out: the batch is halved, and the maps stay as they are.

use fluoroscope::backend::BackendError;
use fluoroscope::backend::wgpu::WgpuOptions;
use fluoroscope::explain::ExplainError;

use crate::{golden, maps, opened};

#[test]
fn in_whatever_memory_the_maps_are_the_same_or_it_is_said_that_there_is_too_little() {
    let model = golden("resnet");
    let whole = maps(&model, &opened(WgpuOptions::default()), 6, 6).expect("maps in all memory");
    let (mut fitted, mut refused) = (0, 0);
    for power in 14..26 {
        let memory = Some(1 << power);
        match maps(&model, &opened(WgpuOptions { memory, ..WgpuOptions::default() }), 6, 6) {
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
