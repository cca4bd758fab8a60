//! Whole kernels against plain Rust: what NVRTC printed (see `compiled/README.md`), and a GEMM by hand with bugs put in.

mod common;
#[path = "common/gemm.rs"]
mod gemm;

use common::{alloc_f32, alloc_u32, noise, read_f32, read_u32};
use ptx_sim::{Fault, FaultKind, Launch, Memory, Module, Options, Report, run, run_seeds};

const PROGRAMS: &str = include_str!("compiled/programs.ptx");

/// Buffers, then 32-bit numbers, laid out as the kernel declares them.
fn params(buffers: &[u64], numbers: &[u32]) -> Vec<u8> {
    let buffers = buffers.iter().flat_map(|buffer| buffer.to_le_bytes());
    buffers.chain(numbers.iter().flat_map(|number| number.to_le_bytes())).collect()
}

/// Runs with three schedules.
fn run_kernel(text: &str, name: &str, launch: &Launch, memory: &mut Memory) -> Report {
    let module = Module::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let kernel = module.kernel(name).expect("the kernel");
    run_seeds(kernel, launch, memory, &Options::default(), [0, 5, 6]).unwrap_or_else(|fault| panic!("{fault}"))
}

#[test]
fn conv3x3() {
    for (channels, height, width, filters) in [(1, 1, 1, 1), (3, 7, 9, 2), (2, 17, 8, 3)] {
        let (x, w) = (noise(channels * height * width, 1), noise(filters * channels * 9, 2));
        let mut memory = Memory::new();
        let buffers =
            [alloc_f32(&mut memory, &x), alloc_f32(&mut memory, &w), memory.alloc(4 * filters * height * width)];
        memory.set_read_only(buffers[0], true).unwrap();
        let launch = Launch {
            grid: [width.div_ceil(8) as u32, height.div_ceil(8) as u32, filters as u32],
            block: [8, 8, 1],
            shared_bytes: 0,
            params: params(&buffers, &[channels as u32, height as u32, width as u32]),
        };
        run_kernel(PROGRAMS, "conv3x3", &launch, &mut memory);
        let y = read_f32(&memory, buffers[2], filters * height * width);
        for (i, y) in y.iter().enumerate() {
            let (k, oy, ox) = (i / (height * width), i / width % height, i % width);
            let mut sum = 0f32;
            for (c, r, q) in (0..channels).flat_map(|c| (0..9).map(move |tap| (c, tap / 3, tap % 3))) {
                let inside = (1..=height).contains(&(oy + r)) && (1..=width).contains(&(ox + q));
                let x = if inside { x[(c * height + oy + r - 1) * width + ox + q - 1] } else { 0.0 };
                sum = x.mul_add(w[((k * channels + c) * 3 + r) * 3 + q], sum);
            }
            assert_eq!(*y, sum, "{i} of {channels} x {height} x {width}");
        }
    }
}

#[test]
fn reduction_by_shuffles() {
    let x: Vec<f32> = (0..1000).map(|i| (i % 17) as f32).collect();
    let mut memory = Memory::new();
    let buffers = [alloc_f32(&mut memory, &x), memory.alloc(12), alloc_u32(&mut memory, &[0])];
    let launch =
        Launch { grid: [3, 1, 1], block: [256, 1, 1], shared_bytes: 0, params: params(&buffers, &[x.len() as u32]) };
    run_kernel(PROGRAMS, "reduce", &launch, &mut memory);
    for (block, sum) in read_f32(&memory, buffers[1], 3).into_iter().enumerate() {
        let want: f32 = x.iter().enumerate().filter(|(i, _)| i / 256 % 3 == block).map(|(_, x)| x).sum();
        assert_eq!(sum, want, "block {block}");
    }
    assert_eq!(read_u32(&memory, buffers[2], 1), [3]);
}

#[test]
fn histogram_by_atomics() {
    let bytes: Vec<u8> = (0..3000u32).map(|i| (i * i % 251) as u8).collect();
    let mut memory = Memory::new();
    let x = memory.alloc(bytes.len());
    memory.write(x, &bytes).unwrap();
    let bins = alloc_u32(&mut memory, &[0; 256]);
    let launch = Launch {
        grid: [4, 1, 1],
        block: [256, 1, 1],
        shared_bytes: 0,
        params: params(&[x, bins], &[bytes.len() as u32]),
    };
    run_kernel(PROGRAMS, "histogram", &launch, &mut memory);
    for (value, count) in read_u32(&memory, bins, 256).into_iter().enumerate() {
        assert_eq!(count as usize, bytes.iter().filter(|byte| usize::from(**byte) == value).count(), "{value}");
    }
}

#[test]
fn divergent_loops_meet_again() {
    let mut memory = Memory::new();
    let buffers = [memory.alloc(4 * 90), memory.alloc(4 * 90)];
    let launch = Launch { grid: [3, 1, 1], block: [32, 1, 1], shared_bytes: 0, params: params(&buffers, &[90]) };
    run_kernel(PROGRAMS, "collatz", &launch, &mut memory);
    let steps = |i: usize| {
        std::iter::successors(Some(i as u64 + 1), |v| if v % 2 == 1 { Some(3 * v + 1) } else { Some(v / 2) })
            .take_while(|v| *v != 1)
            .count() as u32
    };
    let next = |i: usize| i / 32 * 32 + (i + 1) % 32;
    let more = |i: usize| (i / 32 * 32..i / 32 * 32 + 32).filter(|i| steps(next(*i)) > steps(*i)).count() as u32;
    assert_eq!(read_u32(&memory, buffers[0], 90), (0..90).map(steps).collect::<Vec<_>>());
    assert_eq!(read_u32(&memory, buffers[1], 90), (0..90).map(more).collect::<Vec<_>>());
}

#[test]
fn sgemm() {
    let (a, b) = (noise(128 * 32, 3), noise(32 * 128, 4));
    let mut memory = Memory::new();
    let buffers = [alloc_f32(&mut memory, &a), alloc_f32(&mut memory, &b), memory.alloc(128 * 128 * 4)];
    let launch = |k: u32| Launch {
        grid: [1, 1, 1],
        block: [256, 1, 1],
        shared_bytes: 0,
        params: params(&buffers, &[128, 128, k]),
    };
    let text = include_str!("compiled/sgemm.ptx");
    // Without a K there are lines of their own.
    let mut report = run_kernel(text, "sgemm", &launch(0), &mut memory);
    assert_eq!(read_f32(&memory, buffers[2], 128 * 128), [0.0; 128 * 128]);
    report.merge(&run_kernel(text, "sgemm", &launch(32), &mut memory));
    for (i, c) in read_f32(&memory, buffers[2], 128 * 128).into_iter().enumerate() {
        let want = (0..32).fold(0f32, |sum, k| a[i / 128 * 32 + k].mul_add(b[k * 128 + i % 128], sum));
        assert_eq!(c, want, "{i}");
    }
    assert_eq!(report.coverage(), 1.0, "{:?}", report.unexecuted().collect::<Vec<_>>());
}

/// M, N and K of the GEMM under test.
const GEMM: (usize, usize, usize) = (64, 128, 48);

/// Runs the GEMM's text; gives the report and C.
fn run_gemm(text: &str, seed: u64) -> Result<(Report, Vec<f32>), Fault> {
    let (m, n, k) = GEMM;
    let mut memory = Memory::new();
    let a = alloc_f32(&mut memory, &noise(m * k, 1));
    let b = alloc_f32(&mut memory, &noise(k * n, 2));
    let c = memory.alloc(m * n * 4);
    let launch = Launch {
        grid: [(n / 64) as u32, (m / 64) as u32, 1],
        block: [128, 1, 1],
        shared_bytes: 0,
        params: params(&[a, b, c], &[n as u32, k as u32]),
    };
    let module = Module::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let options = Options { seed, max_instructions: 1 << 20, ..Options::default() };
    let report = run(module.kernel("gemm").expect("the kernel"), &launch, &mut memory, &options)?;
    Ok((report, read_f32(&memory, c, m * n)))
}

#[test]
fn gemm_with_tensor_cores() {
    let (m, n, k) = GEMM;
    let (a, b) = (noise(m * k, 1), noise(k * n, 2));
    let text = gemm::gemm_tf32();
    let (report, c) = run_gemm(&text, 0).unwrap_or_else(|fault| panic!("{fault}"));
    for (i, c) in c.iter().enumerate() {
        let products = (0..k).map(|k_at| f64::from(a[i / n * k + k_at]) * f64::from(b[k_at * n + i % n]));
        let want: f64 = products.sum();
        assert!((f64::from(*c) - want).abs() < 4e-3, "{i}: {c}, not {want}");
    }
    assert_eq!(report.coverage(), 1.0);
    for (line, counted) in &report.lines {
        let loads = text.lines().nth(*line as usize - 1).is_some_and(|line| line.contains("ld.shared"));
        assert!(!loads || counted.shared_waves == counted.ideal_shared_waves, "line {line}: {counted:?}");
    }
    assert_eq!(run_gemm(&text, 9).map(|(_, c)| c), Ok(c));
}

/// A mutation of the GEMM, what it must be found as, and a part of the line that it must be found at.
type Bug = (&'static str, &'static str, fn(&FaultKind) -> bool, &'static str);

#[test]
fn bugs_in_the_gemm_are_found_at_their_lines() {
    let race = |kind: &FaultKind| matches!(kind, FaultKind::Race { .. } | FaultKind::Uninitialised { .. });
    let pending = |kind: &FaultKind| matches!(kind, FaultKind::AsyncPending { .. });
    let bounds = |kind: &FaultKind| matches!(kind, FaultKind::OutOfBounds { .. });
    let astray = |kind: &FaultKind| matches!(kind, FaultKind::OutOfBounds { .. } | FaultKind::Race { .. });
    let bugs: &[Bug] = &[
        (
            "bar.sync 0; // filled",
            "",
            |kind| matches!(kind, FaultKind::Race { .. } | FaultKind::AsyncPending { .. }),
            "ld.shared",
        ),
        ("bar.sync 0; // read", "", |kind| matches!(kind, FaultKind::Race { .. } | FaultKind::AsyncPending { .. }), ""),
        ("cp.async.wait_group 1;", "cp.async.wait_group 2;", pending, "ld.shared"),
        ("[%b_to+2304], [%at], 16;", "[%b_to+2304], [%at+24576], 16;", bounds, "cp.async"),
        ("mad.lo.u32 %i, %n, 24, %c_at;", "mad.lo.u32 %i, %n, 25, %c_at;", astray, "st.global"),
        (
            "st.global.v2.f32 [%at+32]",
            "st.global.v2.f32 [%at+40]",
            |kind| matches!(kind, FaultKind::Race { .. }),
            "st.global",
        ),
        (
            "mad.lo.u32 %a_to, %row, 80,",
            "mad.lo.u32 %a_to, %row, 76,",
            |kind| matches!(kind, FaultKind::Misaligned { .. }),
            "cp.async",
        ),
        ("    cp.async.cg.shared.global [%a_to+2560], [%at], 16;", "", race, "ld.shared"),
        ("    bar.sync 0; // filled", "@%last bar.sync 0;", |_| true, ""),
        ("xor.b32 %i, %stage, 1;", "mov.u32 %i, %stage;", |_| true, ""),
        ("add.u32 %step, %step, 1;", "add.u32 %step, %step, 0;", |_| true, ""),
    ];
    let text = gemm::gemm_tf32();
    let mut missed = Vec::new();
    for (from, to, expected, place) in bugs {
        if !text.contains(from) {
            missed.push(format!("{from}: not in the text"));
            continue;
        }
        let mutant = text.replacen(from, to, 1);
        match run_gemm(&mutant, 0) {
            Ok(_) => missed.push(format!("{from}: not found")),
            Err(fault) => {
                let line = mutant.lines().nth(fault.line as usize - 1).unwrap_or_default();
                if !expected(&fault.kind) || !line.contains(place) {
                    missed.push(format!("{from}: {fault}: {line}"));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
