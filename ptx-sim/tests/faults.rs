//! Each check fires where it must, and nowhere else: kernels with a bug, and their correct twins.

mod common;
#[path = "common/outcome.rs"]
mod outcome;

use common::{BODY, alloc_u32, kernel_text, launch, read_u32};
use outcome::{HEAD, fault_of, good, outcome_of, race};
use ptx_sim::{Access, FaultKind, Memory, Module, Options, Space, run};

#[test]
fn accesses_stay_in_their_allocation() {
    let fault = fault_of(64, "ld.global.u32 %a, [%at];\nld.global.u32 %a, [%at+900];");
    let want = FaultKind::OutOfBounds { space: Space::Global, access: Access::Read, offset: 1024, bytes: 4, len: 1024 };
    assert_eq!((fault.kind, fault.line, fault.warp, fault.lane), (want, 2, 0, Some(31)));

    let fault = fault_of(32, "st.global.u32 [%at+-4], %t;");
    assert!(matches!(fault.kind, FaultKind::NoAllocation { .. } | FaultKind::OutOfBounds { .. }), "{fault}");
    let fault = fault_of(32, "ld.global.u32 %a, [%at+2];");
    assert!(matches!(fault.kind, FaultKind::Misaligned { bytes: 4, .. }), "{fault}");
    let fault = fault_of(32, "ld.global.v4.u32 {%a, %a, %b, %b}, [%at];");
    assert_eq!((fault.line, fault.lane), (1, Some(1)), "{fault}");
    let fault = fault_of(32, "st.shared.u32 [%s+4090], %t;");
    assert!(matches!(fault.kind, FaultKind::Misaligned { space: Space::Shared, .. }), "{fault}");
    let fault = fault_of(32, "st.shared.u32 [%s+4092], %t;");
    assert!(
        matches!(fault.kind, FaultKind::OutOfBounds { space: Space::Shared, .. }) && fault.lane == Some(1),
        "{fault}"
    );
    good(32, "ld.global.u32 %a, [%at+896]; st.shared.u32 [%s+3968], %a;");
}

#[test]
fn what_is_read_was_written() {
    let fault = fault_of(32, "ld.shared.u32 %a, [%s];");
    assert!(matches!(fault.kind, FaultKind::Uninitialised { space: Space::Shared, .. }), "{fault}");
    good(32, "st.shared.u32 [%s], %t; ld.shared.u32 %a, [%s];");

    let text = kernel_text(&["x"], &format!("{HEAD}ld.global.u32 %a, [%at];"));
    let module = Module::parse(&text).unwrap();
    let mut memory = Memory::new();
    let x = memory.alloc(128);
    memory.fill(x, 0, 100).unwrap();
    let fault = run(module.kernel("k").unwrap(), &launch(1, 32, &[x]), &mut memory, &Options::default()).unwrap_err();
    assert_eq!((fault.line, fault.lane), (BODY + 1, Some(25)), "{fault}");
}

#[test]
fn read_only_memory_is_not_written() {
    for (instruction, access) in [
        ("st.global.u32 [%at], %a;", Access::Write),
        ("st.u32 [%at], %a;", Access::Write),
        ("atom.global.add.u32 %a, [%at], 0;", Access::Atomic),
        ("atom.global.cas.b32 %a, [%at], 1, 2;", Access::Atomic),
        ("atom.exch.b32 %a, [%at], %a;", Access::Atomic),
        ("red.global.max.s32 [%at], 0;", Access::Atomic),
        ("red.or.b32 [%at], 0;", Access::Atomic),
    ] {
        let text = kernel_text(&["x"], &format!("{HEAD}ld.global.u32 %a, [%at];\n{instruction}\n"));
        let module = Module::parse(&text).unwrap();
        let mut memory = Memory::new();
        let x = alloc_u32(&mut memory, &[7; 32]);
        memory.set_read_only(x, true).unwrap();
        let kernel = module.kernel("k").unwrap();
        for checks in [true, false] {
            let options = Options { checks, ..Options::default() };
            let fault = run(kernel, &launch(1, 32, &[x]), &mut memory, &options).expect_err(instruction);
            assert_eq!(
                (fault.kind, fault.line),
                (FaultKind::ReadOnly { access, address: x }, BODY + 2),
                "{instruction}"
            );
        }
        assert_eq!(read_u32(&memory, x, 32), [7; 32], "{instruction}");
        memory.set_read_only(x, false).unwrap();
        run(kernel, &launch(1, 32, &[x]), &mut memory, &Options::default()).expect(instruction);
    }
}

#[test]
fn non_coherent_reads_are_of_constants() {
    let fault = fault_of(32, "ld.global.nc.u32 %a, [%at];\nst.global.u32 [%at], %a;");
    assert!(matches!(fault.kind, FaultKind::NonCoherent { .. }) && fault.line == 2, "{fault}");
    let fault = fault_of(32, "st.global.u32 [%at], %t;\nld.global.nc.u32 %a, [%at];");
    assert!(matches!(fault.kind, FaultKind::NonCoherent { .. }) && fault.line == 2, "{fault}");
    good(32, "ld.global.nc.u32 %a, [%at]; st.global.u32 [%at+512], %a;");
}

#[test]
fn copies_are_waited_for() {
    let copy = |wait: &str, read: &str| {
        format!(
            "and.b32 %i, %t, 31; mul.lo.u32 %i, %i, 16; mov.u32 %b, tile; add.u32 %b, %b, %i; cvt.u64.u32 %y, %i; add.u64 %y, %x, %y;\n\
             cp.async.ca.shared.global [%b], [%y], 16;\ncp.async.commit_group;\n{wait}\nld.shared.u32 %a, [{read}];"
        )
    };
    good(32, &copy("cp.async.wait_group 0;", "%b"));
    good(32, &copy("cp.async.wait_all; bar.sync 0;", "%s"));
    for wait in ["", "cp.async.wait_group 1;"] {
        let fault = fault_of(32, &copy(wait, "%b"));
        assert!(
            matches!(fault.kind, FaultKind::AsyncPending { access: Access::Read, .. }) && fault.line == 5,
            "{fault}"
        );
    }
    // What a thread waited for, others see after a barrier only.
    let fault = fault_of(32, &copy("cp.async.wait_all;", "%s"));
    race(&fault, 5, Space::Shared, Access::Write, Access::Read);
    let fault = fault_of(32, "cp.async.ca.shared.global [%s], [%at], 4, 8;");
    assert_eq!(fault.kind, FaultKind::CopySize { src_size: 8, bytes: 4 });
    let fault = fault_of(32, "cp.async.ca.shared.global [%s], [%at+2], 4, 0;");
    assert!(matches!(fault.kind, FaultKind::Misaligned { space: Space::Global, .. }), "{fault}");
    let fault = fault_of(32, "cp.async.cg.shared.global [%s], [%at], 16;");
    assert!(matches!(fault.kind, FaultKind::Misaligned { .. }) && fault.lane == Some(1), "{fault}");
}

#[test]
fn what_copies_fill_is_not_touched_until_they_are_waited_for() {
    let copy = "cp.async.ca.shared.global [%s], [%at], 4;\n";
    let accesses = [
        ("st.shared.u32 [%s], %t;", Access::Write),
        ("red.shared.add.u32 [%s], 1;", Access::Atomic),
        ("ld.shared.u32 %a, [%s];", Access::Read),
        (copy, Access::AsyncCopy),
    ];
    for (access, found) in accesses {
        let fault = fault_of(32, &format!("st.shared.u32 [%s], 0; bar.sync 0; {copy}{access}"));
        assert!(matches!(fault.kind, FaultKind::AsyncPending { access, .. } if access == found), "{fault}");
        assert_eq!((fault.line, fault.lane), (2, Some(0)), "{fault}");
        good(32, &format!("{copy}cp.async.wait_all; {access}"));
    }
    let fault = fault_of(32, "cp.async.ca.shared.global [tile], [%at], 4;");
    assert!(matches!(fault.kind, FaultKind::AsyncPending { access: Access::AsyncCopy, .. }), "{fault}");
    assert_eq!(fault.lane, Some(1));
    // What others did must come before, as before any write.
    let after = |sync: &str| format!("st.shared.u32 [%s], 0; bar.sync 0; ld.shared.u32 %a, [tile];\n{sync}\n{copy}");
    race(&fault_of(32, &after("")), 3, Space::Shared, Access::Read, Access::AsyncCopy);
    good(32, &after("bar.warp.sync 0xffffffff;"));
}

#[test]
fn what_copies_read_is_not_written_until_they_are_waited_for() {
    let head = "setp.lt.u32 %p, %t, 32; @%p cp.async.ca.shared.global [%s], [%at], 4;\n";
    let (own, other) = ("@%p st.global.u32 [%at], %t;", "@!%p st.global.u32 [%at+-128], %t;");
    let in_flight = |access: Access, line: u32, lines: &str| {
        let fault = fault_of(64, &format!("{head}{lines}"));
        assert!(matches!(fault.kind, FaultKind::AsyncSource { access: found, .. } if found == access), "{fault}");
        assert_eq!(fault.line, line, "{fault}");
    };
    in_flight(Access::Write, 2, own);
    in_flight(Access::Write, 3, &format!("cp.async.commit_group; cp.async.wait_group 1;\n{own}"));
    in_flight(Access::Write, 3, &format!("bar.sync 0;\n{other}\nbar.sync 0; cp.async.wait_all;"));
    in_flight(Access::Atomic, 2, &own.replace("st.global", "red.global.add"));
    for lines in [
        format!("cp.async.wait_all; {own}"),
        format!("cp.async.wait_all; bar.sync 0; {other}"),
        "@%p st.global.u32 [%at+128], %t;".to_owned(),
    ] {
        good(64, &format!("{head}{lines}"));
    }
    // The barrier comes after the start of the copies only.
    let late = format!("{head}bar.sync 0;\ncp.async.wait_all;\n{other}");
    race(&fault_of(64, &late), 4, Space::Global, Access::Read, Access::Write);
    // Bytes that are not read may be written.
    let part = "cp.async.ca.shared.global [%s], [%at], 4, 3;\nmov.u32 %a, 1; st.global.u8";
    good(32, &format!("{part} [%at+3], %a;"));
    let fault = fault_of(32, &format!("{part} [%at+2], %a;"));
    assert!(matches!(fault.kind, FaultKind::AsyncSource { .. }) && fault.line == 2, "{fault}");
}

#[test]
fn barriers_are_for_whole_warps() {
    let fault = fault_of(64, "setp.lt.u32 %p, %t, 40;\n@%p bar.sync 0;");
    assert!(matches!(fault.kind, FaultKind::BarrierDivergence { active: 0xff, needed: 0xffff_ffff }), "{fault}");
    assert_eq!((fault.line, fault.warp), (2, 1));
    let fault = fault_of(32, "setp.lt.u32 %p, %t, 8;\n@%p bra L;\nbar.sync 0; bra E;\nL:\nbar.sync 0;\nE: ret;");
    assert!(matches!(fault.kind, FaultKind::BarrierDivergence { .. }), "{fault}");
    // Lanes that have exited do not count; those that come later are waited for.
    good(64, "setp.lt.u32 %p, %t, 40; @%p ret; bar.sync 0;");
    good(64, "setp.lt.u32 %p, %t, 40; @%p bra L; add.u32 %a, %t, 1; L: bar.sync 0;");
    good(
        32,
        "mov.u32 %i, 0; bra TOP; LATE: add.u32 %i, %i, 1; bra MEET; TOP: setp.lt.u32 %p, %t, 9; @%p bra FAR;\nMEET: bar.sync 0; ret; FAR: bra LATE;",
    );
    let fault = fault_of(32, "bar.sync %t;");
    assert!(matches!(fault.kind, FaultKind::NotUniform { .. }), "{fault}");
    let fault = fault_of(32, "bar.sync 16;");
    assert_eq!(fault.kind, FaultKind::BarrierId { id: 16 });
}

#[test]
fn exchanges_want_their_lanes() {
    let fault = fault_of(32, "setp.lt.u32 %p, %t, 8;\n@%p shfl.sync.bfly.b32 %a, %t, 1, 31, 0xffffffff;");
    assert!(
        matches!(fault.kind, FaultKind::InactiveLanes { instruction: "shfl.sync", .. }) && fault.line == 2,
        "{fault}"
    );
    good(32, "setp.lt.u32 %p, %t, 8; @%p shfl.sync.bfly.b32 %a, %t, 1, 31, 0xff;");
    let fault = fault_of(32, "setp.lt.u32 %p, %t, 8;\n@%p shfl.sync.idx.b32 %a, %t, 8, 31, 0xff;");
    assert!(matches!(fault.kind, FaultKind::InactiveSource { source_lane: 8, .. }), "{fault}");
    let fault = fault_of(32, "vote.sync.ballot.b32 %a, %p, 0xfffffffe;");
    assert!(matches!(fault.kind, FaultKind::NotAMember { .. }) && fault.lane == Some(0), "{fault}");
    let mma = "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%a, %b, %s, %i}, {%a, %b, %s, %i}, {%a, %b}, {%a, %b, %s, %i};";
    let fault = fault_of(16, &format!("mov.b32 %a, 0;\n{mma}"));
    assert!(
        matches!(fault.kind, FaultKind::InactiveLanes { instruction: "mma.sync", .. }) && fault.line == 2,
        "{fault}"
    );
    let fault = fault_of(32, &format!("setp.eq.u32 %p, %t, 3;\n@!%p {mma}"));
    assert_eq!(fault.kind, FaultKind::InactiveLanes { instruction: "mma.sync", active: 0xffff_fff7, needed: !0 });
}

#[test]
fn groups_of_lanes_have_their_membermasks() {
    for (instruction, operands) in [
        ("bar.warp.sync", ""),
        ("shfl.sync", ".idx.b32 %a, %t, %t, 31,"),
        ("vote.sync", ".ballot.b32 %a, %p,"),
        ("match.sync", ".any.sync.b32 %a, %t,"),
    ] {
        let exchange = instruction.replace("match.sync", "match") + operands + " %b;";
        let of = |even: &str| {
            format!(
                "and.b32 %i, %t, 1; setp.ne.u32 %q, %i, 0; selp.b32 %b, 0xaaaaaaaa, {even}, %q; setp.eq.u32 %p, %t, 4;"
            )
        };
        let even = of("0x55555555");
        good(32, &format!("{even} {exchange}"));
        good(32, &format!("mov.u32 %b, 1; shl.b32 %b, %b, %t; {exchange}"));
        // The even lanes name one of the odd, which come at once or later.
        for way in ["", "@%q bra ODD; bra MEET; ODD: bra MEET; MEET:"] {
            let fault = fault_of(32, &format!("{} {way}\n{exchange}", of("0xd5555555")));
            let want = FaultKind::OtherMembers { instruction, members: 0xd555_5555, member: 31, others: 0xaaaa_aaaa };
            assert_eq!((fault.kind, fault.line, fault.lane), (want, 2, Some(0)));
        }
        // Those that are all together go on; the others wait for one that exits, or does not come.
        good(32, &format!("{even} @%p bra END; {exchange} END: ret;"));
        let fault = fault_of(32, &format!("{even} @%p bra END;\n{exchange}\nEND: bar.sync 0;"));
        let active = 0xaaaa_aaba;
        assert_eq!((fault.kind, fault.line), (FaultKind::BarrierDivergence { active, needed: !0 }, 3));
        let fault = fault_of(32, &format!("{even}\n@!%p {exchange}"));
        let (active, needed) = (0x5555_5545, 0x5555_5555);
        assert_eq!((fault.kind, fault.line), (FaultKind::InactiveLanes { instruction, active, needed }, 2));
    }
}

#[test]
fn a_kernel_ends() {
    let fault = fault_of(32, "L:\nbra L;");
    assert_eq!((fault.kind, fault.line), (FaultKind::Budget { limit: 100_000 }, 2));
    let fault = fault_of(64, "setp.eq.u32 %p, %t, 40;\n@%p trap;");
    assert_eq!((fault.kind, fault.line, fault.warp), (FaultKind::Trap, 2, 1));
}

#[test]
fn results_that_depend_on_the_schedule_are_found() {
    // Which warp takes the ticket first is not fixed.
    let fault = outcome_of(
        256,
        1,
        "atom.global.add.u32 %a, [%x+1020], 1; and.b32 %i, %t, 31; setp.ne.u32 %p, %i, 0; \
        @%p ret; shr.u32 %i, %t, 5; mul.wide.u32 %at, %i, 4; add.u64 %at, %x, %at; st.global.u32 [%at], %a;",
    );
    assert!(matches!(fault.clone().unwrap_err().kind, FaultKind::ScheduleDependent { .. }), "{fault:?}");
}
