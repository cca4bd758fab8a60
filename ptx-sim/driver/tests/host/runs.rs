//! What works: memory, launches, streams, events, pinned memory.

use cudarc::driver::{CudaContext, PushKernelArg, sys};

use crate::child::in_child;
use crate::kernels::{ADD, RACE, SCALE};
use crate::{config, function, scale};

#[test]
fn vector_add() {
    in_child("runs::vector_add", &[], || {
        let context = CudaContext::new(0).unwrap();
        assert_eq!(context.compute_capability().unwrap(), (8, 0));
        assert_eq!(context.name().unwrap(), "ptx-sim sm_80 (0)");
        assert_eq!(CudaContext::device_count().unwrap(), 1);
        let before = context.mem_get_info().unwrap();
        {
            let stream = context.default_stream();
            let a: Vec<f32> = (0..1024).map(|i| i as f32).collect();
            let b: Vec<f32> = (0..1024).map(|i| (i * i) as f32).collect();
            let (da, db) = (stream.clone_htod(&a).unwrap(), stream.clone_htod(&b).unwrap());
            let mut sum = stream.alloc_zeros::<f32>(1024).unwrap();
            assert_eq!(before.0 - context.mem_get_info().unwrap().0, 3 * 4096);
            let add = function(&context, ADD, "add");
            // SAFETY: the arguments are those that the kernel declares.
            unsafe { stream.launch_builder(&add).arg(&da).arg(&db).arg(&mut sum).launch(config(4, 256)) }.unwrap();
            let got = stream.clone_dtoh(&sum).unwrap();
            assert!(got.iter().enumerate().all(|(i, x)| *x == a[i] + b[i]));
        }
        assert_eq!(context.mem_get_info().unwrap(), before);
        context.check_err().unwrap();
    });
}

#[test]
fn copies_and_fills() {
    in_child("runs::copies_and_fills", &[], || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let data: Vec<u32> = (0..100).collect();
        let source = stream.clone_htod(&data).unwrap();
        let mut copy = stream.clone_dtod(&source).unwrap();
        assert_eq!(stream.clone_dtoh(&copy).unwrap(), data);
        stream.memset_zeros(&mut copy.slice_mut(10..20)).unwrap();
        let got = stream.clone_dtoh(&copy.slice(5..25)).unwrap();
        let want: Vec<u32> = (5..25).map(|i| if (10..20).contains(&i) { 0 } else { i }).collect();
        assert_eq!(got, want);
        let empty = stream.null::<f32>().unwrap();
        assert_eq!(stream.clone_dtoh(&empty).unwrap(), []);
        drop(empty);
        // SAFETY: the addresses are those of the slices, and both have as many bytes as are written.
        unsafe {
            use cudarc::driver::DevicePtr;
            let (address, _guard) = copy.device_ptr(&stream);
            assert_eq!(sys::cuMemsetD32_v2(address, 7, 100), sys::CUresult::CUDA_SUCCESS);
            let mut bytes = [0u32; 100];
            assert_eq!(sys::cuMemcpyDtoH_v2(bytes.as_mut_ptr().cast(), address, 400), sys::CUresult::CUDA_SUCCESS);
            assert_eq!(bytes, [7; 100]);
        }
    });
}

/// Two streams hand a buffer to and fro, with events between: right in whatever order work runs.
fn handing_over() {
    let context = CudaContext::new(0).unwrap();
    let (first, second) = (context.new_stream().unwrap(), context.new_stream().unwrap());
    let function = function(&context, SCALE, "scale");
    let mut x = first.clone_htod(&[1.0f32; 300]).unwrap();
    for _ in 0..5 {
        scale(&first, &function, &mut x, 2.0, 0.0).unwrap();
        second.join(&first).unwrap();
        scale(&second, &function, &mut x, 1.0, 1.0).unwrap();
        first.join(&second).unwrap();
    }
    let want = (0..5).fold(1.0f32, |x, _| x * 2.0 + 1.0);
    assert_eq!(first.clone_dtoh(&x).unwrap(), [want; 300]);
    context.synchronize().unwrap();
    context.check_err().unwrap();
}

#[test]
fn streams_and_events() {
    in_child("runs::streams_and_events", &[], || {
        handing_over();
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream_with_priority(-1).unwrap();
        let start = stream.record_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT)).unwrap();
        let function = function(&context, SCALE, "scale");
        let mut x = stream.clone_htod(&vec![1.0f32; 10_000]).unwrap();
        scale(&stream, &function, &mut x, 2.0, 0.0).unwrap();
        let end = stream.record_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT)).unwrap();
        let millis = start.elapsed_ms(&end).unwrap();
        assert!(millis > 0.0 && end.is_complete(), "{millis}");
        let untimed = stream.record_event(None).unwrap();
        assert_eq!(start.elapsed_ms(&untimed).unwrap_err().0, sys::CUresult::CUDA_ERROR_INVALID_HANDLE);
    });
}

#[test]
fn streams_in_the_latest_order() {
    in_child("runs::streams_in_the_latest_order", &[("PTX_SIM_ORDER", "late")], || {
        handing_over();
        let context = CudaContext::new(0).unwrap();
        // SAFETY: the streams are ordered by the events of the test itself, or are meant not to be.
        unsafe { context.disable_event_tracking() };
        let (first, second) = (context.new_stream().unwrap(), context.new_stream().unwrap());
        let function = function(&context, SCALE, "scale");
        let mut x = first.clone_htod(&[1.0f32; 8]).unwrap();
        first.synchronize().unwrap();
        scale(&first, &function, &mut x, 2.0, 0.0).unwrap();
        // Nothing orders the streams, and the order shows it.
        assert_eq!(second.clone_dtoh(&x).unwrap(), [1.0; 8]);
        let done = first.record_event(None).unwrap();
        assert_eq!((done.is_complete(), done.is_complete(), done.is_complete()), (false, false, true));
        assert_eq!(second.clone_dtoh(&x).unwrap(), [2.0; 8]);
    });
}

#[test]
fn pinned_memory() {
    let body = || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        // SAFETY: the words are plain numbers; what they hold before they are written is not used.
        let (mut up, mut down) = unsafe {
            (context.alloc_pinned::<u32>(1000).unwrap(), context.alloc_pinned_with_flags::<u32>(1000, 0).unwrap())
        };
        assert!(down.as_slice().unwrap().iter().all(|x| *x == u32::MAX));
        for (i, x) in up.as_mut_slice().unwrap().iter_mut().enumerate() {
            *x = i as u32 * 3;
        }
        let device = stream.clone_htod(&up).unwrap();
        stream.memcpy_dtoh(&device, &mut down).unwrap();
        stream.synchronize().unwrap();
        assert_eq!(down.as_slice().unwrap(), up.as_slice().unwrap());
        context.check_err().unwrap();
    };
    if in_child("runs::pinned_memory", &[], body).is_some() {
        in_child("runs::pinned_memory", &[("PTX_SIM_ORDER", "late")], body);
    }
}

/// Threads with streams of their own share a context.
#[test]
fn several_threads() {
    in_child("runs::several_threads", &[], || {
        let context = CudaContext::new(0).unwrap();
        let before = context.mem_get_info().unwrap();
        let function = function(&context, SCALE, "scale");
        let streams: Vec<_> = (0..4).map(|_| context.new_stream().unwrap()).collect();
        std::thread::scope(|scope| {
            for (i, stream) in streams.iter().enumerate() {
                let function = &function;
                scope.spawn(move || {
                    let mut x = stream.clone_htod(&[i as f32; 200]).unwrap();
                    for _ in 0..10 {
                        scale(stream, function, &mut x, 1.0, 2.0).unwrap();
                    }
                    assert_eq!(stream.clone_dtoh(&x).unwrap(), [i as f32 + 20.0; 200]);
                });
            }
        });
        assert_eq!(context.mem_get_info().unwrap(), before);
        context.check_err().unwrap();
    });
}

/// A context that ends takes all with it; the next one starts with all of the memory.
#[test]
fn a_context_ends_and_begins_anew() {
    in_child("runs::a_context_ends_and_begins_anew", &[], || {
        let mut last = None;
        for _ in 0..3 {
            let context = CudaContext::new(0).unwrap();
            let free = context.mem_get_info().unwrap().0;
            assert_eq!(*last.get_or_insert(free), free);
            // Leaked, without a hold on the context.
            let mut address = 0;
            // SAFETY: the address is written to a number.
            unsafe { sys::cuMemAlloc_v2(&mut address, 1000) }.result().unwrap();
            assert_eq!(context.mem_get_info().unwrap().0, free - 1000);
        }
    });
}

#[test]
fn functions_tell_their_limits() {
    in_child("runs::functions_tell_their_limits", &[], || {
        use sys::CUfunction_attribute::*;
        let context = CudaContext::new(0).unwrap();
        let race = function(&context, RACE, "race");
        assert_eq!(race.get_attribute(CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK).unwrap(), 64);
        assert_eq!(race.get_attribute(CU_FUNC_ATTRIBUTE_PTX_VERSION).unwrap(), 63);
        assert_eq!(race.occupancy_max_active_blocks_per_multiprocessor(64, 0, None).unwrap(), 32);
        assert_eq!(race.occupancy_max_active_blocks_per_multiprocessor(64, 40 << 10, None).unwrap(), 4);
        race.set_attribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 163 << 10).unwrap();
        let error = race.set_attribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 164 << 10).unwrap_err();
        assert_eq!(error.0, sys::CUresult::CUDA_ERROR_INVALID_VALUE);
        let shared = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
        assert_eq!(context.attribute(shared).unwrap(), 163 << 10);
    });
}

#[test]
fn parameters_in_a_buffer() {
    in_child("runs::parameters_in_a_buffer", &[], || {
        use cudarc::driver::DevicePtr;
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let x = stream.clone_htod(&[1.0f32, 2.0]).unwrap();
        let (address, guard) = x.device_ptr(&stream);
        let bytes =
            [&address.to_le_bytes()[..], &3f32.to_le_bytes(), &1f32.to_le_bytes(), &2u32.to_le_bytes()].concat();
        let launch = |bytes: &[u8], size: usize| {
            let mut extra = [
                std::ptr::without_provenance_mut(1),
                bytes.as_ptr() as *mut std::ffi::c_void,
                std::ptr::without_provenance_mut(2),
                &raw const size as *mut _,
                std::ptr::null_mut(),
            ];
            let (stream, params) = (std::ptr::null_mut(), std::ptr::null_mut());
            // SAFETY: the module lives until the process ends, and the options are laid out as CUDA documents them.
            unsafe {
                let (mut module, mut function) = (std::ptr::null_mut(), std::ptr::null_mut());
                let text = std::ffi::CString::new(SCALE).unwrap();
                sys::cuModuleLoadData(&mut module, text.as_ptr().cast()).result().unwrap();
                sys::cuModuleGetFunction(&mut function, module, c"scale".as_ptr()).result().unwrap();
                sys::cuLaunchKernel(function, 1, 1, 1, 2, 1, 1, 0, stream, params, extra.as_mut_ptr())
            }
        };
        assert_eq!(launch(&bytes, 20), sys::CUresult::CUDA_SUCCESS);
        assert_eq!(launch(&bytes, 16), sys::CUresult::CUDA_ERROR_INVALID_VALUE);
        drop(guard);
        assert_eq!(stream.clone_dtoh(&x).unwrap(), [4.0, 7.0]);
    });
}
