//! What the parser takes and refuses, what lints find, what reports count.

mod common;

use common::{BODY, alloc_u32, kernel_text, launch, read_u32, run_text};
use ptx_sim::{Fault, FaultKind, LaunchError, Lint, LintKind, Memory, Module, Options, lint, run};

#[test]
fn unknown_text_is_an_error_with_its_line() {
    let cases = [
        ("add.rn.f64 %a, %a, %a;", "unknown instruction `add.rn.f64`"),
        ("add.rn.f33 %a, %a, %a;", "unknown instruction `add.rn.f33`"),
        ("frobnicate.b32 %a, %a;", "unknown instruction `frobnicate.b32`"),
        ("add.wrong.s32 %a, %a, %a;", "`add.wrong.s32`: unknown modifier `.wrong`"),
        ("add.s32 %a, %a;", "`add.s32` takes 3 operands, not 2"),
        ("add.s32 %a, %a, %q;", "`%q` is not declared"),
        ("add.s32 %a, %a, %x;", "`%x` does not have the 32 bits that `add.s32` needs"),
        ("add.s32 %a, %a, 0f00000000", "expected `,`, found `ld.param.u64`"),
        ("bra NOWHERE;", "there is no label `NOWHERE`"),
        ("ld.param.u32 %a, [x+8];", "4 bytes at 8 are outside the 8 of `x`"),
        ("ld.param.u32 %a, [y];", "there is no parameter `y`"),
        ("@%a ret;", "`%a` is not a predicate"),
        (".reg .b32 %a;", "`%a` is declared twice"),
        (".reg .b24 %c;", "unknown type `.b24`"),
        (".texref t;", "unknown directive `.texref`"),
        ("{ .reg .b32 %inner; } mov.u32 %inner, 0;", "`%inner` is not a declared register"),
        ("ld.global.v2.u32 %a, [%x];", "`ld.global.v2.u32` takes 2 registers, not 1"),
        ("atom.global.add.b32 %a, [%x], 1;", "unknown instruction `atom.global.add.b32`"),
        ("mov.u32 %a, 12ab;", "`12ab` is not a number"),
        ("mov.u32 %a, #;", "unexpected character `#`"),
        ("mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 %a, %a, %a, %a;", "unknown instruction"),
    ];
    let mut wrong = Vec::new();
    for (statement, want) in cases {
        let text = kernel_text(&["x"], &format!(".reg .b32 %a; .reg .b64 %x;\n{statement}\nld.param.u64 %x, [x];"));
        match Module::parse(&text) {
            Ok(_) => wrong.push(format!("{statement}: accepted")),
            Err(error) => {
                let line_is_near = (BODY + 1..=BODY + 2).contains(&error.line);
                if !error.message.contains(want) || !line_is_near {
                    wrong.push(format!("{statement}: {error}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for text in ["", ".version 7", ".version 7.0 .target", "/* ", ".version 7.0 .entry k(.param .u32 a) {", "\"", "}"] {
        assert!(Module::parse(text).is_err(), "{text}");
    }
}

#[test]
fn truncated_text_is_an_error() {
    let text = kernel_text(&["x"], "{ .reg .b32 %r<9>; L: @!%p bra L; mad.lo.s32 %r1, %r2, -3, 0x4; } ret;");
    for end in 0..text.len() {
        let _ = Module::parse(&text[..end]);
    }
}

#[test]
fn modules_describe_themselves() {
    let text = ".version 7.1\n.target sm_80, debug\n.address_size 64\n.visible .entry k(.param .u32 n,\n.param .u64 .ptr .global .align 16 x,\n\
        .param .align 4 .b8 params[64]) .maxntid 16, 8, 1 {\n.shared .align 16 .b8 s[100]; .shared .f32 t[3][2]; ret; }";
    let module = Module::parse(text).unwrap();
    let kernel = module.kernel("k").unwrap();
    assert_eq!((module.version(), module.target(), module.kernels().count()), ((7, 1), "sm_80", 1));
    let params: Vec<_> =
        kernel.params().iter().map(|p| (p.name.as_str(), p.offset, p.size, p.pointer, p.line)).collect();
    assert_eq!(params, [("n", 0, 4, false, 4), ("x", 8, 8, true, 5), ("params", 16, 64, false, 6)]);
    assert_eq!((kernel.param_bytes(), kernel.max_threads(), kernel.static_shared_bytes()), (80, Some(128), 124));
    assert_eq!(kernel.instruction_lines(), [7]);
}

#[test]
fn lints_name_their_lines() {
    let text = ".version 6.3\n.target sm_75\n.address_size 64\n.visible .entry k(\n.param .u64 x)\n{\n.reg .f32 %f; .reg .b64 %x;\n\
        .local .b32 depot[4];\nld.param.u64 %x, [x];\nld.f32 %f, [%x];\nadd.f32 %f, %f, %f;\nadd.rn.f32 %f, %f, %f;\n\
        fma.rn.f32 %f, %f, %f, %f;\nst.local.f32 [depot], %f;\nret;\n}";
    let found: Vec<_> =
        lint(&Module::parse(text).unwrap()).into_iter().map(|Lint { line, kind, .. }| (line, kind)).collect();
    let want = [
        (4, LintKind::MaxThreads),
        (5, LintKind::PointerParam),
        (8, LintKind::Local),
        (10, LintKind::Generic),
        (11, LintKind::Rounding),
        (14, LintKind::Local),
    ];
    assert_eq!(found, want);
    assert_eq!(lint(&Module::parse(&kernel_text(&["x"], "ret;")).unwrap()), []);
}

#[test]
fn names_belong_to_their_braces() {
    let body = ".reg .b64 %x; .reg .b32 %a, %b; ld.param.u64 %x, [x]; mov.u32 %a, 1;\n\
        { .reg .b32 %a; .reg .pred %p; mov.u32 %a, 5; L: setp.gt.u32 %p, %a, 7; @%p bra OUT; add.u32 %a, %a, 1; bra L; OUT: mov.u32 %b, %a; }\n\
        { .reg .pred %p; L: setp.gt.u32 %p, %b, 9; @%p bra OUT; add.u32 %b, %b, 1; bra L; OUT: add.u32 %b, %b, %a; }\n\
        st.global.u32 [%x], %b; ret;";
    let mut memory = Memory::new();
    let x = memory.alloc(4);
    run_text(&kernel_text(&["x"], body), &launch(1, 1, &[x]), &mut memory, &Options::default()).unwrap();
    assert_eq!(read_u32(&memory, x, 1), [11]);
}

#[test]
fn indexed_branches_take_each_lane_to_its_target() {
    let body = ".reg .b64 %x; .reg .b32 %t, %i, %v; ld.param.u64 %x, [x]; mov.u32 %t, %tid.x; mad.wide.u32 %x, %t, 4, %x; rem.u32 %i, %t, 3;\n\
        targets: .branchtargets A, B, C;\nbrx.idx %i, targets;\nA: mov.u32 %v, 10; bra.uni E;\nB: mov.u32 %v, 20; bra.uni E;\nC: mov.u32 %v, 30;\n\
        E: bar.sync 0; st.global.u32 [%x], %v; ret;";
    let mut memory = Memory::new();
    let x = memory.alloc(128);
    let report = run_text(&kernel_text(&["x"], body), &launch(1, 32, &[x]), &mut memory, &Options::default()).unwrap();
    assert_eq!(read_u32(&memory, x, 32), (0..32).map(|i| 10 + i % 3 * 10).collect::<Vec<_>>());
    assert_eq!(report.lines[&(BODY + 6)].executed, 3, "the lanes are together again");
}

#[test]
fn dynamic_and_local_and_generic_memory() {
    let text = ".version 7.0\n.target sm_75\n.address_size 64\n.extern .shared .align 16 .b8 dynamic[];\n.visible .entry k(.param .u64 x) {\n\
        .shared .b32 fixed; .local .align 8 .b8 own[16]; .reg .b64 %x, %g, %l; .reg .b32 %t, %s, %a, %b;\n\
        ld.param.u64 %x, [x]; mov.u32 %t, %tid.x; mad.wide.u32 %x, %t, 4, %x;\n\
        mov.u32 %s, dynamic; mad.lo.u32 %s, %t, 4, %s; st.shared.u32 [%s], %t;\n\
        cvt.u64.u32 %g, %s; cvta.shared.u64 %g, %g; ld.u32 %a, [%g];\n\
        mov.b64 %l, own; st.local.u32 [%l+8], %a; ld.local.u32 %b, [own+8]; add.u32 %b, %b, %a; st.u32 [%x], %b; ret; }";
    let mut memory = Memory::new();
    let x = memory.alloc(128);
    let with_shared = |bytes| ptx_sim::Launch { shared_bytes: bytes, ..launch(1, 32, &[x]) };
    run_text(text, &with_shared(128), &mut memory, &Options::default()).unwrap();
    assert_eq!(read_u32(&memory, x, 32), (0..32).map(|i| 2 * i).collect::<Vec<_>>());
    let fault = run_text(text, &with_shared(124), &mut memory, &Options::default()).unwrap_err();
    assert!(matches!(fault.kind, FaultKind::OutOfBounds { len: 140, .. }) && fault.lane == Some(31), "{fault}");
}

#[test]
fn launches_fit_the_kernel() {
    let module = Module::parse(&kernel_text(&["x"], "ret;")).unwrap();
    let kernel = module.kernel("k").unwrap();
    let refused = |change: fn(&mut ptx_sim::Launch)| {
        let mut launch = launch(1, 32, &[0]);
        change(&mut launch);
        let Err(Fault { kind: FaultKind::Launch(error), .. }) =
            run(kernel, &launch, &mut Memory::new(), &Options::default())
        else {
            panic!("accepted")
        };
        error
    };
    assert!(matches!(refused(|launch| launch.grid[1] = 0), LaunchError::Shape { .. }));
    assert!(matches!(refused(|launch| launch.block = [1024, 2, 1]), LaunchError::Shape { .. }));
    assert!(matches!(refused(|launch| launch.grid[0] = u32::MAX), LaunchError::Shape { .. }));
    assert_eq!(refused(|launch| launch.params.clear()), LaunchError::Params { want: 8, got: 0 });
    assert!(matches!(refused(|launch| launch.shared_bytes = 1 << 20), LaunchError::Shared { .. }));
}

#[test]
fn reports_count_lines_sectors_and_waves() {
    let body = ".reg .b64 %x, %at; .reg .b32 %t, %a, %s; .reg .pred %p; .shared .align 16 .b8 tile[4096];\n\
        ld.param.u64 %x, [x];\nmov.u32 %t, %tid.x;\nmad.wide.u32 %at, %t, 4, %x;\nld.global.u32 %a, [%at];\n\
        mad.wide.u32 %at, %t, 32, %x;\nld.global.u32 %a, [%at];\n\
        shl.b32 %s, %t, 3;\nst.shared.u32 [%s], %a;\nst.shared.u32 [tile+2048], 1;\nsetp.gt.u32 %p, %t, 99;\n@!%p bra END;\n\
        trap;\nEND: ret;";
    let text = kernel_text(&["x"], body);
    let mut memory = Memory::new();
    let x = alloc_u32(&mut memory, &[0; 512]);
    let mut report = run_text(&text, &launch(1, 32, &[x]), &mut memory, &Options::default()).unwrap();
    let line = |at: u32| report.lines[&(BODY + at)];
    assert_eq!((line(4).requests, line(4).sectors, line(4).ideal_sectors), (1, 4, 4));
    assert_eq!((line(6).requests, line(6).sectors, line(6).ideal_sectors), (1, 32, 4));
    assert_eq!((line(8).shared_accesses, line(8).shared_waves, line(8).ideal_shared_waves), (1, 2, 1));
    assert_eq!((line(9).shared_accesses, line(9).shared_waves), (1, 1));
    assert_eq!(report.unexecuted().collect::<Vec<_>>(), [BODY + 12]);
    assert_eq!(report.warp_instructions, 12);
    let twin = report.clone();
    report.merge(&twin);
    assert_eq!((report.lines[&(BODY + 6)].sectors, report.thread_instructions), (64, 2 * 12 * 32));
}
