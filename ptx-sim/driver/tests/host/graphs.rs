//! Capture and replay.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaStream, sys};

use crate::child::in_child;
use crate::kernels::SCALE;
use crate::{function, scale};

const MODE: sys::CUstreamCaptureMode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
const FLAGS: sys::CUgraphInstantiate_flags = sys::CUgraphInstantiate_flags(0);

fn setting() -> (Arc<CudaContext>, Arc<CudaStream>) {
    let context = CudaContext::new(0).unwrap();
    // SAFETY: each test orders its streams itself. Events of slices would tie a capture to what came before it.
    unsafe { context.disable_event_tracking() };
    let stream = context.new_stream().unwrap();
    (context, stream)
}

#[test]
fn a_graph_is_replayed_twice() {
    let body = || {
        let (context, stream) = setting();
        let before = context.mem_get_info().unwrap();
        {
            let function = function(&context, SCALE, "scale");
            let input = stream.clone_htod(&[1.0f32, 2.0, 3.0]).unwrap();
            let mut x = stream.alloc_zeros::<f32>(3).unwrap();
            stream.synchronize().unwrap();
            stream.begin_capture(MODE).unwrap();
            stream.memcpy_dtod(&input, &mut x).unwrap();
            scale(&stream, &function, &mut x, 2.0, 1.0).unwrap();
            scale(&stream, &function, &mut x, 10.0, 0.0).unwrap();
            let capturing = sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_ACTIVE;
            assert_eq!(stream.capture_status().unwrap(), capturing);
            let graph = stream.end_capture(FLAGS).unwrap().unwrap();
            graph.upload().unwrap();
            assert_eq!(stream.clone_dtoh(&x).unwrap(), [0.0; 3]);
            graph.launch().unwrap();
            assert_eq!(stream.clone_dtoh(&x).unwrap(), [30.0, 50.0, 70.0]);
            let mut input = input;
            stream.memcpy_htod(&[0.0f32, -1.0, 5.0], &mut input).unwrap();
            graph.launch().unwrap();
            assert_eq!(stream.clone_dtoh(&x).unwrap(), [10.0, -10.0, 110.0]);
        }
        context.synchronize().unwrap();
        assert_eq!(context.mem_get_info().unwrap(), before);
        context.check_err().unwrap();
    };
    if in_child("graphs::a_graph_is_replayed_twice", &[], body).is_some() {
        in_child("graphs::a_graph_is_replayed_twice", &[("PTX_SIM_ORDER", "late")], body);
    }
}

#[test]
fn a_fork_and_a_join_are_captured() {
    in_child("graphs::a_fork_and_a_join_are_captured", &[], || {
        let (context, stream) = setting();
        let side = context.new_stream().unwrap();
        let function = function(&context, SCALE, "scale");
        let mut x = stream.clone_htod(&[1.0f32]).unwrap();
        let mut y = stream.clone_htod(&[1.0f32]).unwrap();
        stream.begin_capture(MODE).unwrap();
        scale(&stream, &function, &mut x, 3.0, 0.0).unwrap();
        side.join(&stream).unwrap();
        scale(&side, &function, &mut y, 5.0, 0.0).unwrap();
        stream.join(&side).unwrap();
        scale(&stream, &function, &mut x, 1.0, 1.0).unwrap();
        let graph = stream.end_capture(FLAGS).unwrap().unwrap();
        graph.launch().unwrap();
        graph.launch().unwrap();
        assert_eq!(stream.clone_dtoh(&x).unwrap(), [13.0]);
        assert_eq!(stream.clone_dtoh(&y).unwrap(), [25.0]);
    });
}

#[test]
fn what_cannot_be_captured_is_refused() {
    use sys::CUresult::*;
    in_child("graphs::what_cannot_be_captured_is_refused", &[], || {
        let (context, stream) = setting();
        let side = context.new_stream().unwrap();
        let function = function(&context, SCALE, "scale");
        let mut x = stream.clone_htod(&[1.0f32]).unwrap();
        let outside = side.record_event(None).unwrap();
        type Spoil<'a> = Box<dyn FnMut() -> Result<(), cudarc::driver::DriverError> + 'a>;
        let spoils: [(&str, sys::CUresult, Spoil); 4] = [
            ("synchronize", CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, Box::new(|| stream.synchronize())),
            ("allocate", CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, Box::new(|| stream.alloc_zeros::<f32>(1).map(drop))),
            ("event from outside", CUDA_ERROR_STREAM_CAPTURE_ISOLATION, Box::new(|| stream.wait(&outside))),
            (
                "pinned",
                CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                // SAFETY: the memory is never used.
                Box::new(|| unsafe { context.alloc_pinned::<u8>(1) }.map(drop)),
            ),
        ];
        for (name, code, mut spoil) in spoils {
            stream.begin_capture(MODE).unwrap();
            assert_eq!(spoil().unwrap_err().0, code, "{name}");
            let error = scale(&stream, &function, &mut x, 1.0, 0.0).unwrap_err();
            assert_eq!(error.0, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "{name}");
            let error = stream.end_capture(FLAGS).map(drop).unwrap_err();
            assert_eq!(error.0, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "{name}");
        }

        stream.begin_capture(MODE).unwrap();
        side.join(&stream).unwrap();
        scale(&side, &function, &mut x, 1.0, 0.0).unwrap();
        assert_eq!(stream.end_capture(FLAGS).map(drop).unwrap_err().0, CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
        let error = context.default_stream().begin_capture(MODE).unwrap_err();
        assert_eq!(error.0, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        assert_eq!(stream.end_capture(FLAGS).map(drop).unwrap_err().0, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);

        scale(&stream, &function, &mut x, 2.0, 0.0).unwrap();
        assert_eq!(stream.clone_dtoh(&x).unwrap(), [2.0]);
    });
}

/// The default stream waits for streams of the blocking kind, hence not while one is captured.
#[test]
fn the_default_stream_spoils_a_blocking_capture() {
    in_child("graphs::the_default_stream_spoils_a_blocking_capture", &[], || {
        use sys::CUresult::{CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, CUDA_SUCCESS};
        let _context = CudaContext::new(0).unwrap();
        let (mut stream, mut event) = (std::ptr::null_mut(), std::ptr::null_mut());
        let mut graph = std::ptr::null_mut();
        // SAFETY: each call gets what CUDA documents.
        unsafe {
            sys::cuStreamCreate(&mut stream, 0).result().unwrap();
            sys::cuEventCreate(&mut event, 0).result().unwrap();
            sys::cuStreamBeginCapture_v2(stream, MODE).result().unwrap();
            assert_eq!(sys::cuEventRecord(event, std::ptr::null_mut()), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
            assert_eq!(sys::cuEventSynchronize(event), CUDA_SUCCESS);
            assert!(sys::cuStreamEndCapture(stream, &mut graph).result().is_err() && graph.is_null());
            assert_eq!(sys::cuEventRecord(event, std::ptr::null_mut()), CUDA_SUCCESS);
        }
    });
}
