//! What goes wrong: kernels at fault, bad texts, bad launches. Errors are clean, and those of kernels stay.

use cudarc::driver::{CudaContext, DriverError, LaunchConfig, PushKernelArg, sys};
use cudarc::nvrtc::Ptx;

use crate::child::in_child;
use crate::kernels::{ADD, CROOKED, RACE, SCALE};
use crate::{code, config, function, last_fault, scale};

/// After a fault every call fails with its code, also in a new context.
fn stays_failed(context: &std::sync::Arc<CudaContext>, want: sys::CUresult) {
    let stream = context.default_stream();
    let calls: [Result<(), DriverError>; 6] = [
        context.synchronize(),
        stream.synchronize(),
        stream.clone_htod(&[1u8]).map(drop),
        context.load_module(Ptx::from_src(SCALE)).map(drop),
        context.new_stream().map(drop),
        CudaContext::new(0).map(drop),
    ];
    for (i, call) in calls.into_iter().enumerate() {
        assert_eq!(code(&call.unwrap_err()), want, "call {i}");
    }
}

#[test]
fn an_illegal_address_stays() {
    let printed = in_child("faults::an_illegal_address_stays", &[], || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let (a, b) = (stream.clone_htod(&[1.0f32; 64]).unwrap(), stream.clone_htod(&[1.0f32; 64]).unwrap());
        let mut sum = stream.alloc_zeros::<f32>(63).unwrap();
        let add = function(&context, ADD, "add");
        // SAFETY: the arguments are those that the kernel declares; that it stores out of bounds is the test.
        let result = unsafe { stream.launch_builder(&add).arg(&a).arg(&b).arg(&mut sum).launch(config(1, 64)) };
        assert_eq!(code(&result.map(drop).unwrap_err()), sys::CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
        let text = last_fault();
        assert!(text.contains("out of bounds (kernel add, line 25, block [0, 0, 0], warp 1, lane 31)"), "{text}");
        stays_failed(&context, sys::CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    });
    if let Some(printed) = printed {
        assert_eq!(printed.matches("ptx-sim: global write of 4 bytes at offset 252 of 252").count(), 1, "{printed}");
    }
}

/// As on a device: the launch succeeds, and what waits for it learns of the fault.
#[test]
fn a_fault_shows_where_work_is_waited_for() {
    in_child("faults::a_fault_shows_where_work_is_waited_for", &[("PTX_SIM_ORDER", "late")], || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let mut x = stream.alloc_zeros::<u32>(8).unwrap();
        let crooked = function(&context, CROOKED, "crooked");
        // SAFETY: the argument is what the kernel declares.
        unsafe { stream.launch_builder(&crooked).arg(&mut x).launch(config(1, 1)) }.map(drop).unwrap();
        assert_eq!(code(&stream.synchronize().unwrap_err()), sys::CUresult::CUDA_ERROR_MISALIGNED_ADDRESS);
        stays_failed(&context, sys::CUresult::CUDA_ERROR_MISALIGNED_ADDRESS);
    });
}

#[test]
fn a_misaligned_address_stays() {
    in_child("faults::a_misaligned_address_stays", &[], || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let mut x = stream.alloc_zeros::<u32>(8).unwrap();
        let crooked = function(&context, CROOKED, "crooked");
        // SAFETY: the argument is what the kernel declares.
        let result = unsafe { stream.launch_builder(&crooked).arg(&mut x).launch(config(1, 1)) };
        assert_eq!(code(&result.map(drop).unwrap_err()), sys::CUresult::CUDA_ERROR_MISALIGNED_ADDRESS);
        stays_failed(&context, sys::CUresult::CUDA_ERROR_MISALIGNED_ADDRESS);
    });
}

/// A race is found with the checks, and not without.
#[test]
fn a_race_is_a_failed_launch() {
    let name = "faults::a_race_is_a_failed_launch";
    let launch = || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let mut x = stream.alloc_zeros::<u32>(64).unwrap();
        let race = function(&context, RACE, "race");
        let config = LaunchConfig { shared_mem_bytes: 256, ..config(1, 64) };
        // SAFETY: the argument is what the kernel declares.
        let result = unsafe { stream.launch_builder(&race).arg(&mut x).launch(config) };
        if std::env::var("PTX_SIM_CHECKS").is_ok() {
            result.map(drop).unwrap();
        } else {
            assert_eq!(code(&result.map(drop).unwrap_err()), sys::CUresult::CUDA_ERROR_LAUNCH_FAILED);
            let text = last_fault();
            assert!(text.starts_with("race: shared read") && text.contains("line 18"), "{text}");
            stays_failed(&context, sys::CUresult::CUDA_ERROR_LAUNCH_FAILED);
        }
    };
    if in_child(name, &[], launch).is_some() {
        in_child(name, &[("PTX_SIM_CHECKS", "0")], launch);
    }
}

/// Loads a text once more for the log, as a program does that shows its user why a kernel was refused.
fn log_of(text: &str) -> (sys::CUresult, String) {
    use sys::CUjit_option::{CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    let text = std::ffi::CString::new(text).unwrap();
    let mut log = vec![b'?'; 512];
    let mut options = [CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
    let mut values = [log.as_mut_ptr().cast(), std::ptr::without_provenance_mut(log.len())];
    let mut module = std::ptr::null_mut();
    // SAFETY: the arrays are as long as is said, and the log has the bytes that its size says.
    let result = unsafe {
        sys::cuModuleLoadDataEx(&mut module, text.as_ptr().cast(), 2, options.as_mut_ptr(), values.as_mut_ptr())
    };
    let written = values[1].addr();
    assert_eq!(log[written - 1], 0);
    (result, String::from_utf8(log[..written - 1].to_vec()).unwrap())
}

#[test]
fn a_bad_text_is_told_by_line() {
    in_child("faults::a_bad_text_is_told_by_line", &[("PTX_SIM_PTX_VERSION", "7.0")], || {
        let context = CudaContext::new(0).unwrap();
        let cases = [
            (
                SCALE.replace("ret;\n    trap", "retrn;\n    trap"),
                sys::CUresult::CUDA_ERROR_INVALID_PTX,
                "line 26; error",
            ),
            (SCALE.replace("6.3", "7.1"), sys::CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "line 2; fatal"),
            (SCALE.replace("sm_75", "sm_90"), sys::CUresult::CUDA_ERROR_INVALID_PTX, ".target sm_90"),
            ("garbage".to_owned(), sys::CUresult::CUDA_ERROR_INVALID_PTX, "line 1; error"),
        ];
        for (text, want, log) in cases {
            let plain = context.load_module(Ptx::from_src(&text)).map(drop).unwrap_err();
            assert_eq!(code(&plain), want, "{log}");
            let (result, got) = log_of(&text);
            assert_eq!(result, want);
            assert!(got.contains(log), "{got}");
        }
        assert_eq!(log_of(SCALE), (sys::CUresult::CUDA_SUCCESS, String::new()));
        let module = context.load_module(Ptx::from_src(SCALE)).unwrap();
        assert_eq!(code(&module.load_function("other").map(drop).unwrap_err()), sys::CUresult::CUDA_ERROR_NOT_FOUND);
    });
}

/// What a launch does not fit is refused before anything runs, and leaves the context as it was.
#[test]
fn a_bad_launch_is_refused() {
    in_child("faults::a_bad_launch_is_refused", &[], || {
        use sys::CUresult::{CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES};
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let function = function(&context, SCALE, "scale");
        let mut x = stream.clone_htod(&[1.0f32]).unwrap();
        let with_shared = LaunchConfig { shared_mem_bytes: 50_000, ..config(1, 1) };
        let (no_allocation, f, n) = (0x123_4567u64, 1f32, 1u32);
        for (config, bad_pointer, want) in [
            (config(0, 1), false, CUDA_ERROR_INVALID_VALUE),
            (config(1, 2048), false, CUDA_ERROR_INVALID_VALUE),
            (config(1, 256), false, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES),
            (with_shared, false, CUDA_ERROR_INVALID_VALUE),
            (config(1, 1), true, CUDA_ERROR_INVALID_VALUE),
        ] {
            let mut launch = stream.launch_builder(&function);
            if bad_pointer {
                launch.arg(&no_allocation);
            } else {
                launch.arg(&mut x);
            }
            launch.arg(&f).arg(&f).arg(&n);
            // SAFETY: the arguments have the sizes that the kernel declares.
            let error = unsafe { launch.launch(config) }.map(drop).unwrap_err();
            assert_eq!(code(&error), want, "{config:?}");
        }
        assert!(last_fault().contains("parameter x is 0x1234567, where no allocation is"), "{}", last_fault());
        scale(&stream, &function, &mut x, 2.0, 0.0).unwrap();
        assert_eq!(stream.clone_dtoh(&x).unwrap(), [2.0]);
    });
}

#[test]
fn stale_handles_are_refused() {
    in_child("faults::stale_handles_are_refused", &[], || {
        let _context = CudaContext::new(0).unwrap();
        let (mut stream, mut event) = (std::ptr::null_mut(), std::ptr::null_mut());
        let mut address = 0;
        // SAFETY: handles are numbers here, and each call gets what CUDA documents, live or not.
        unsafe {
            sys::cuStreamCreate(&mut stream, 1).result().unwrap();
            sys::cuEventCreate(&mut event, 0).result().unwrap();
            sys::cuMemAlloc_v2(&mut address, 16).result().unwrap();
            sys::cuStreamDestroy_v2(stream).result().unwrap();
            sys::cuMemFree_v2(address).result().unwrap();
            let calls = [
                sys::cuStreamSynchronize(stream),
                sys::cuStreamDestroy_v2(stream),
                sys::cuEventRecord(event, stream),
                sys::cuEventQuery(stream.cast()),
                sys::cuModuleUnload(event.cast()),
            ];
            assert_eq!(calls, [sys::CUresult::CUDA_ERROR_INVALID_HANDLE; 5]);
            let calls = [sys::cuMemFree_v2(address), sys::cuMemsetD8_v2(address, 0, 1), sys::cuMemFree_v2(address + 1)];
            assert_eq!(calls, [sys::CUresult::CUDA_ERROR_INVALID_VALUE; 3]);
        }
    });
}
