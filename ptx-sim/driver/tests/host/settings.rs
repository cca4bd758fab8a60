//! The knobs, and libraries that are no driver or an old one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cudarc::driver::{CudaContext, PushKernelArg, sys};
use cudarc::nvrtc::Ptx;
use ptx_sim_driver::Variant;

use crate::child::{Child, Folder, in_child};
use crate::kernels::SCALE;
use crate::{code, config, function, last_fault, scale};

#[test]
fn memory_runs_out() {
    let name = "settings::memory_runs_out";
    in_child(name, &[("PTX_SIM_MEMORY", "1000")], || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        assert_eq!(context.mem_get_info().unwrap(), (1000, 1000));
        let held = stream.alloc_zeros::<u8>(600).unwrap();
        let error = stream.alloc_zeros::<u8>(401).map(drop).unwrap_err();
        assert_eq!(code(&error), sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        drop(stream.alloc_zeros::<u8>(400).unwrap());
        drop(held);
        drop(stream.alloc_zeros::<u8>(1000).unwrap());
        assert_eq!(context.mem_get_info().unwrap(), (1000, 1000));
        context.check_err().unwrap();
    });
}

#[test]
fn a_chosen_allocation_fails() {
    in_child(
        "settings::a_chosen_allocation_fails",
        &[("PTX_SIM_FAIL_ALLOC", "2"), ("PTX_SIM_FAIL_PINNED", "1+")],
        || {
            let context = CudaContext::new(0).unwrap();
            let stream = context.default_stream();
            let results = [1, 2, 3].map(|_| stream.alloc_zeros::<u8>(1).is_ok());
            assert_eq!(results, [true, false, true]);
            // SAFETY: the memory is never used.
            let error = unsafe { context.alloc_pinned::<u8>(1) }.map(drop).unwrap_err();
            assert_eq!(code(&error), sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        },
    );
}

#[test]
fn a_chosen_launch_fails_for_good() {
    in_child("settings::a_chosen_launch_fails_for_good", &[("PTX_SIM_FAIL_LAUNCH", "3:214")], || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let function = function(&context, SCALE, "scale");
        let mut x = stream.clone_htod(&[1.0f32]).unwrap();
        let results = [1, 2, 3, 4].map(|_| scale(&stream, &function, &mut x, 1.0, 0.0).map_err(|error| code(&error)));
        let failed = Err(sys::CUresult::CUDA_ERROR_ECC_UNCORRECTABLE);
        assert_eq!(results, [Ok(()), Ok(()), failed, failed]);
        assert_eq!(context.synchronize().map_err(|error| code(&error)), failed);
        assert!(last_fault().contains("launch 3 fails"), "{}", last_fault());
    });
}

#[test]
fn launches_that_do_not_run_leave_memory_as_it_is() {
    in_child("settings::launches_that_do_not_run_leave_memory_as_it_is", &[("PTX_SIM_RUN", "0")], || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let function = function(&context, SCALE, "scale");
        let mut x = stream.clone_htod(&[1.0f32]).unwrap();
        scale(&stream, &function, &mut x, 2.0, 3.0).unwrap();
        assert_eq!(stream.clone_dtoh(&x).unwrap(), [1.0]);
        // What is wrong with a launch is still found.
        let count = 1u32;
        let mut launch = stream.launch_builder(&function);
        launch.arg(&mut x).arg(&2.0f32).arg(&3.0f32).arg(&count);
        // SAFETY: the arguments are those that the kernel declares.
        let refused = unsafe { launch.launch(config(1, 2048)) }.map(drop).unwrap_err();
        assert_eq!(code(&refused), sys::CUresult::CUDA_ERROR_INVALID_VALUE);
    });
}

#[test]
fn work_with_a_pace_takes_its_time() {
    in_child("settings::work_with_a_pace_takes_its_time", &[("PTX_SIM_PACE", "20000,0.1")], || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let function = function(&context, SCALE, "scale");
        let mut x = stream.alloc_zeros::<f32>(1 << 20).unwrap();
        stream.synchronize().unwrap();
        let timed = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
        let (began, start) = (Instant::now(), stream.record_event(timed).unwrap());
        scale(&stream, &function, &mut x, 2.0, 3.0).unwrap();
        let middle = stream.record_event(timed).unwrap();
        // Four megabytes at a tenth of a gigabyte a second.
        // SAFETY: nothing reads the memory.
        let mut host = unsafe { context.alloc_pinned::<f32>(1 << 20) }.unwrap();
        stream.memcpy_dtoh(&x, &mut host).unwrap();
        let end = stream.record_event(timed).unwrap();
        // SAFETY: both events live.
        let early = unsafe { cudarc::driver::result::event::elapsed(middle.cu_event(), end.cu_event()) };
        assert!(!end.is_complete());
        assert_eq!(early.map_err(|error| code(&error)), Err(sys::CUresult::CUDA_ERROR_NOT_READY));
        end.synchronize().unwrap();
        assert!(end.is_complete() && began.elapsed() >= Duration::from_millis(61));
        assert!(start.elapsed_ms(&middle).unwrap() >= 20.0);
        assert!(middle.elapsed_ms(&end).unwrap() >= 41.0);
        assert_eq!(host.as_slice().unwrap()[..3], [0.0; 3]);
    });
}

#[test]
fn no_device() {
    in_child("settings::no_device", &[("PTX_SIM_DEVICES", "0")], || {
        // SAFETY: it only looks for the library.
        assert!(unsafe { sys::is_culib_present() });
        for _ in 0..2 {
            let error = CudaContext::new(0).map(drop).unwrap_err();
            assert_eq!(code(&error), sys::CUresult::CUDA_ERROR_NO_DEVICE);
            assert_eq!(
                format!("{error:?}"),
                "DriverError(CUDA_ERROR_NO_DEVICE, \"no CUDA-capable device is detected\")"
            );
        }
    });
}

#[test]
fn hidden_and_chosen_devices() {
    let knobs = [("PTX_SIM_DEVICES", "4"), ("CUDA_VISIBLE_DEVICES", "3,1"), ("PTX_SIM_CAPABILITY", "7.5")];
    in_child("settings::hidden_and_chosen_devices", &knobs, || {
        assert_eq!(CudaContext::device_count().unwrap(), 2);
        let contexts = [0, 1].map(|ordinal| CudaContext::new(ordinal).unwrap());
        assert_eq!(contexts.each_ref().map(|c| c.name().unwrap()), ["ptx-sim sm_75 (3)", "ptx-sim sm_75 (1)"]);
        assert_ne!(contexts[0].uuid().unwrap().bytes, contexts[1].uuid().unwrap().bytes);
        assert_eq!(code(&CudaContext::new(2).map(drop).unwrap_err()), sys::CUresult::CUDA_ERROR_INVALID_DEVICE);
        let free = |i: usize| contexts[i].mem_get_info().unwrap().0;
        let before = [free(0), free(1)];
        let held = contexts[1].default_stream().alloc_zeros::<u8>(100).unwrap();
        assert_eq!([free(0), free(1)], [before[0], before[1] - 100]);
        drop(held);
    });
}

/// Whether a device of a capability loads a text for an architecture.
fn loads(context: &Arc<CudaContext>, target: &str) -> bool {
    let text = SCALE.replace("6.3", "8.0").replace("sm_75", target);
    match context.load_module(Ptx::from_src(text)) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(code(&error), sys::CUresult::CUDA_ERROR_INVALID_PTX);
            false
        }
    }
}

#[test]
fn a_device_of_9_0_loads_what_is_only_for_it() {
    in_child("settings::a_device_of_9_0_loads_what_is_only_for_it", &[("PTX_SIM_CAPABILITY", "9.0")], || {
        let context = CudaContext::new(0).unwrap();
        assert_eq!(context.compute_capability().unwrap(), (9, 0));
        assert_eq!(
            ["sm_80", "sm_90", "sm_90a", "sm_100a"].map(|target| loads(&context, target)),
            [true, true, true, false]
        );
    });
}

#[test]
fn a_device_of_10_0_does_not_load_what_is_only_for_9_0() {
    let name = "settings::a_device_of_10_0_does_not_load_what_is_only_for_9_0";
    in_child(name, &[("PTX_SIM_CAPABILITY", "10.0")], || {
        let context = CudaContext::new(0).unwrap();
        assert_eq!(["sm_90", "sm_90a", "sm_100a"].map(|target| loads(&context, target)), [true, false, true]);
    });
}

#[test]
fn an_old_driver() {
    in_child("settings::an_old_driver", &[("PTX_SIM_DRIVER_VERSION", "10020")], || {
        let mut version = 0;
        // SAFETY: the version is written to a number.
        unsafe { sys::cuDriverGetVersion(&mut version) }.result().unwrap();
        assert_eq!(version, 10020);
        let context = CudaContext::new(0).unwrap();
        let newer = Ptx::from_src(SCALE.replace("6.3", "7.0"));
        let error = context.load_module(newer).map(drop).unwrap_err();
        assert_eq!(code(&error), sys::CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
        context.load_module(Ptx::from_src(SCALE)).map(drop).unwrap();
    });
}

#[test]
fn a_missing_function() {
    let name = "settings::a_missing_function";
    Child { name, variant: Variant::Without("cuGraphLaunch"), knobs: &[] }.run(|| {
        // SAFETY: it only looks for the library and its functions.
        unsafe {
            assert!(sys::is_culib_present());
            let has = |name: &str| sys::culib().get::<*const ()>(name.as_bytes()).is_ok();
            assert!(!has("cuGraphLaunch") && has("cuGraphUpload") && has("cuInit"));
        }
        CudaContext::new(0).unwrap();
    });
}

#[test]
fn no_library() {
    for variant in [Variant::Empty, Variant::Garbage] {
        Child { name: "settings::no_library", variant, knobs: &[] }.run(|| {
            // SAFETY: it only looks for the library.
            assert!(!unsafe { sys::is_culib_present() });
        });
    }
}

#[test]
fn a_bad_knob_is_named() {
    let printed = in_child("settings::a_bad_knob_is_named", &[("PTX_SIM_MEMORY", "lots")], || {
        let error = CudaContext::new(0).map(drop).unwrap_err();
        assert_eq!(code(&error), sys::CUresult::CUDA_ERROR_INVALID_VALUE);
    });
    assert!(printed.is_none_or(|text| text.contains("PTX_SIM_MEMORY=`lots`: expected bytes")));
}

#[test]
fn three_schedules_agree() {
    in_child("settings::three_schedules_agree", &[("PTX_SIM_SEED", "0,1,2")], || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let function = function(&context, SCALE, "scale");
        let mut x = stream.clone_htod(&[3.0f32; 1000]).unwrap();
        scale(&stream, &function, &mut x, 2.0, 1.0).unwrap();
        assert_eq!(stream.clone_dtoh(&x).unwrap(), [7.0; 1000]);
    });
}

/// In the late order work waits, and the report says on how many streams at a time.
#[test]
fn busy_streams_are_counted() {
    let name = "settings::busy_streams_are_counted";
    for (order, want) in [("eager", 1), ("late", 3)] {
        let folder = Folder::new(order);
        let report = folder.0.join("report");
        let knobs = [("PTX_SIM_REPORT", report.to_str().unwrap()), ("PTX_SIM_ORDER", order)];
        let printed = in_child(name, &knobs, || {
            let context = CudaContext::new(0).unwrap();
            let streams = [1, 2, 3].map(|_| context.new_stream().unwrap());
            let zeros = streams.each_ref().map(|stream| stream.alloc_zeros::<f32>(10).unwrap());
            streams.iter().for_each(|stream| stream.synchronize().unwrap());
            drop(zeros);
        });
        if printed.is_some() {
            let report = std::fs::read_to_string(report).unwrap();
            assert!(report.contains(&format!("\"busy_streams\":{want},")), "{order}: {report}");
        }
    }
}

/// The report has what ran, also where the process ends with its context alive; the log has what was refused.
#[test]
fn reports_and_logs_are_files() {
    let name = "settings::reports_and_logs_are_files";
    let folder = Folder::new("files");
    let (report, log) = (folder.0.join("report"), folder.0.join("log"));
    let knobs = [("PTX_SIM_REPORT", report.to_str().unwrap()), ("PTX_SIM_LOG", log.to_str().unwrap())];
    let printed = in_child(name, &knobs, || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let function = function(&context, SCALE, "scale");
        let mut x = stream.clone_htod(&[3.0f32; 100]).unwrap();
        for _ in 0..2 {
            scale(&stream, &function, &mut x, 2.0, 1.0).unwrap();
        }
        assert!(context.load_module(Ptx::from_src("garbage")).is_err());
        std::mem::forget((context, stream, function, x));
    });
    let Some(printed) = printed else { return };
    assert!(!printed.contains("ptx-sim:"), "{printed}");
    assert!(std::fs::read_to_string(log).unwrap().starts_with("ptx-sim: ptxas application ptx input, line 1; error"));
    let report = std::fs::read_to_string(report).unwrap();
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines.len(), 2, "{report}");
    assert!(lines[0].starts_with("{\"kind\":\"kernel\",\"kernel\":\"scale\",\"text\":\""), "{report}");
    assert!(lines[0].contains("\"launches\":2,") && lines[0].contains("\"unexecuted_lines\":[27]"), "{report}");
    assert!(
        lines[1].starts_with("{\"kind\":\"device\",\"device\":0,") && lines[1].contains("\"peak_bytes\":400,"),
        "{report}"
    );
    let counts =
        "\"live_bytes\":400,\"launches\":2,\"modules\":1,\"captures\":0,\"instantiations\":0,\"graph_launches\":0}";
    assert!(lines[1].ends_with(counts), "{report}");
}
