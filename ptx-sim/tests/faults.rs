//! Each check fires where it must, and nowhere else: kernels with a bug, and their correct twins.

mod common;

use common::{BODY, alloc_u32, kernel_text, launch};
use ptx_sim::{Access, Fault, FaultKind, Memory, Module, Options, OtherThread, Space, run, run_seeds};

/// Declarations of one line, `%x` the buffer and `%at` the thread's word in it.
const HEAD: &str = ".reg .b64 %x, %at, %y; .reg .b32 %t, %a, %b, %s, %i; .reg .pred %p, %q; \
    .shared .align 16 .b8 tile[4096]; \
    ld.param.u64 %x, [x]; mov.u32 %t, %tid.x; mul.wide.u32 %at, %t, 4; add.u64 %at, %x, %at; \
    mov.u32 %s, tile; mad.lo.u32 %s, %t, 4, %s;\n";

/// Runs a body after [`HEAD`] on one initialised buffer of 256 words; lines count from 1 in the body.
fn outcome_of(threads: u32, blocks: u32, body: &str) -> Result<(), Fault> {
    let text = kernel_text(&["x"], &format!("{HEAD}{body}"));
    let module = Module::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut memory = Memory::new();
    let x = alloc_u32(&mut memory, &[7; 256]);
    let kernel = module.kernel("k").unwrap();
    let options = Options { max_instructions: 100_000, ..Options::default() };
    let result = run_seeds(kernel, &launch(blocks, threads, &[x]), &mut memory, &options, [0, 1, 2]);
    result.map(|_| ()).map_err(|fault| Fault { line: fault.line.saturating_sub(BODY), ..fault })
}

fn fault_of(threads: u32, body: &str) -> Fault {
    outcome_of(threads, 1, body).expect_err(body)
}

#[track_caller]
fn good(threads: u32, body: &str) {
    if let Err(fault) = outcome_of(threads, 1, body) {
        panic!("{fault}\n{body}");
    }
}

#[track_caller]
fn race(fault: &Fault, line: u32, space: Space, earlier: Access, later: Access) {
    let FaultKind::Race { space: s, earlier: e, later: l, .. } = &fault.kind else { panic!("{fault}") };
    assert_eq!((fault.line, *s, *e, *l), (line, space, earlier, later), "{fault}");
}

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
    let text = kernel_text(&["x"], &format!("{HEAD}ld.global.u32 %a, [%at];\nst.global.u32 [%at], %a;\n"));
    let module = Module::parse(&text).unwrap();
    let mut memory = Memory::new();
    let x = alloc_u32(&mut memory, &[0; 32]);
    memory.set_read_only(x, true).unwrap();
    let kernel = module.kernel("k").unwrap();
    let fault = run(kernel, &launch(1, 32, &[x]), &mut memory, &Options::default()).unwrap_err();
    assert_eq!((fault.kind, fault.line), (FaultKind::ReadOnly { access: Access::Write, address: x }, BODY + 2));
    memory.set_read_only(x, false).unwrap();
    run(kernel, &launch(1, 32, &[x]), &mut memory, &Options::default()).unwrap();
}

/// Each thread reads its neighbour's word; the last reads the first.
const NEIGHBOUR: &str = "add.u32 %i, %t, 1; rem.u32 %i, %i, %ntid.x; mov.u32 %b, tile; mad.lo.u32 %b, %i, 4, %b;";

#[test]
fn shared_memory_is_ordered_by_barriers() {
    let fault = fault_of(64, &format!("{NEIGHBOUR}\nst.shared.u32 [%s], %t;\nld.shared.u32 %a, [%b];"));
    assert!(matches!(fault.kind, FaultKind::Race { .. } | FaultKind::Uninitialised { .. }), "{fault}");
    assert_eq!(fault.line, 3);
    good(
        64,
        &format!("{NEIGHBOUR} st.shared.u32 [%s], %t; bar.sync 0; ld.shared.u32 %a, [%b]; st.global.u32 [%at], %a;"),
    );

    // Reads against the next round's writes.
    let rounds = |barrier: &str| {
        format!(
            "{NEIGHBOUR} st.shared.u32 [%s], %t; bar.sync 0;\nld.shared.u32 %a, [%b];\n{barrier}\nst.shared.u32 [%s], %a;"
        )
    };
    race(&fault_of(64, &rounds("")), 4, Space::Shared, Access::Read, Access::Write);
    good(64, &rounds("bar.sync 0;"));
    // Within a warp a warp barrier is enough, between warps it is not.
    good(32, &rounds("bar.warp.sync 0xffffffff;"));
    // Warp 0 has stored when warp 1 reads.
    race(&fault_of(64, &rounds("bar.warp.sync 0xffffffff;")), 2, Space::Shared, Access::Write, Access::Read);
}

#[test]
fn reads_are_remembered_until_all_warps_have_met() {
    // Warp 0 reads what another has written; then that one writes again.
    let after = |threads: u32, reader: &str, writer: &str| {
        format!(
            "st.shared.u32 [%s], %t; bar.sync 0; setp.lt.u32 %p, %t, 32; @%p bra READ;\n{writer}\nst.shared.u32 [%s], %t; ret;\n\
             READ:\nld.shared.u32 %a, [%s+{}];\n{reader}\nret;",
            4 * (threads - 32)
        )
    };
    let found = |threads: u32, reader: &str, writer: &str| {
        race(&fault_of(threads, &after(threads, reader, writer)), 3, Space::Shared, Access::Read, Access::Write);
    };
    found(64, "", "");
    // More reads than are put down at a time.
    let many =
        "mov.u32 %i, 0; AGAIN: ld.shared.u32 %b, [%s]; add.u32 %i, %i, 1; setp.lt.u32 %q, %i, 5000; @%q bra AGAIN;";
    found(64, many, "");
    // A warp that has exited does not come to the barrier, nor does one that the barrier is not for.
    found(64, "", "bar.sync 0;");
    found(96, "", "bar.sync 1, 64;");
    good(64, &after(64, "bar.sync 0;", "bar.sync 0;"));
    // An atomic operation writes, too.
    let atomic = after(64, "", "").replace("st.shared.u32 [%s], %t; ret;", "red.shared.add.u32 [%s], 1; ret;");
    race(&fault_of(64, &atomic), 3, Space::Shared, Access::Read, Access::Atomic);
    // Lanes of a warp need no more than its own barrier, which orders nothing of other warps.
    let exchange = |reader: &str| {
        format!(
            "{NEIGHBOUR} st.shared.u32 [%s], %t; bar.sync 0; setp.lt.u32 %p, %t, 32; @!%p bra OTHER;\n\
             ld.shared.u32 %a, [{reader}]; bar.warp.sync 0xffffffff;\nsetp.lt.u32 %q, %t, 31;\n\
             @%q st.shared.u32 [%b], %a;\nret;\nOTHER:\nst.shared.u32 [%s], %t; ret;"
        )
    };
    good(64, &exchange("%s"));
    race(&fault_of(64, &exchange("%s+128")), 7, Space::Shared, Access::Read, Access::Write);
    good(96, &after(96, "bar.sync 0;", "bar.sync 0;"));
}

#[test]
fn accesses_of_different_sizes_meet() {
    let quads = "and.b32 %i, %t, 31; mul.lo.u32 %i, %i, 16; cvt.u64.u32 %y, %i; add.u64 %at, %x, %y;\n\
         ld.global.v4.u32 {%a, %a, %a, %a}, [%at];\nmov.u32 %b, 1;\n";
    good(32, &format!("{quads}st.global.u32 [%at+8], %b; st.global.u8 [%at+3], %b; ld.global.u16 %a, [%at+2];"));
    for store in ["st.global.u32 [%at+24], %b;", "st.global.u8 [%at+31], %b;"] {
        let one = format!("{quads}setp.eq.u32 %p, %t, 7;\n@%p {store}");
        race(&fault_of(32, &one), 5, Space::Global, Access::Read, Access::Write);
    }
}

#[test]
fn what_all_blocks_read_none_writes() {
    // 4096 bytes, a page of the shadow, of which each of 256 threads reads 16.
    let reads = "and.b32 %i, %t, 255; mul.lo.u32 %i, %i, 16; cvt.u64.u32 %y, %i; add.u64 %at, %x, %y;\n\
         ld.global.v4.u32 {%a, %a, %a, %a}, [%at];\nmov.u32 %b, %ctaid.x; setp.eq.u32 %p, %b, 3;\n";
    for (store, found) in
        [("", false), ("@%p st.global.u32 [%at+4], %b;", true), ("@%p st.global.u8 [%at+9], %b;", true)]
    {
        let text = kernel_text(&["x"], &format!("{HEAD}{reads}{store}"));
        let module = Module::parse(&text).unwrap();
        let mut memory = Memory::new();
        let x = alloc_u32(&mut memory, &[7; 1024]);
        let kernel = module.kernel("k").unwrap();
        let result = run(kernel, &launch(4, 256, &[x]), &mut memory, &Options::default());
        match result {
            Ok(_) => assert!(!found, "{store}"),
            Err(fault) => race(&fault, BODY + 4, Space::Global, Access::Read, Access::Write),
        }
    }
}

#[test]
fn lanes_of_a_warp_are_threads() {
    let exchange = |sync: &str| format!("{NEIGHBOUR} st.shared.u32 [%s], %t;\n{sync}\nld.shared.u32 %a, [%b];");
    let fault = fault_of(32, &exchange(""));
    race(&fault, 3, Space::Shared, Access::Write, Access::Read);
    let FaultKind::Race { other, .. } = fault.kind else { unreachable!() };
    assert_eq!((other, fault.lane), (OtherThread::Lane { warp: 0, lane: 1 }, Some(0)));
    good(32, &exchange("bar.warp.sync 0xffffffff;"));
    good(32, &exchange("bar.sync 0;"));
    // Many lanes may store one value to a word, but not two.
    good(32, "st.shared.u32 [tile], 5;");
    let fault = fault_of(32, "st.shared.u32 [tile], %t;");
    assert!(matches!(fault.kind, FaultKind::ConflictingStores { space: Space::Shared, .. }), "{fault}");
}

#[test]
fn a_warp_barrier_orders_its_members() {
    // Each lane but those at `last` reads its neighbour's word.
    let exchange = |sync: &str, last: &str| {
        format!(
            "{NEIGHBOUR} st.shared.u32 [%s], %t; setp.lt.u32 %p, %t, 16;\n{sync}\nsetp.{last};\n@%q ld.shared.u32 %a, [%b];"
        )
    };
    let (lower, both) = ("@%p bar.warp.sync 0xffff;", "@%p bar.warp.sync 0xffff; @!%p bar.warp.sync 0xffff0000;");
    good(32, &exchange(lower, "lt.u32 %q, %t, 15"));
    race(&fault_of(32, &exchange(lower, "lt.u32 %q, %t, 16")), 4, Space::Shared, Access::Write, Access::Read);
    race(&fault_of(32, &exchange(lower, "gt.u32 %q, %t, 15")), 4, Space::Shared, Access::Write, Access::Read);
    good(32, &exchange(both, "ne.u32 %q, %t, 15; setp.ne.and.u32 %q, %t, 31, %q"));
    // What its members learned they pass on.
    good(
        32,
        &exchange(
            &format!("{both} and.b32 %i, %t, 15; setp.eq.u32 %q, %i, 15; @%q bar.warp.sync 0x80008000;"),
            "eq.u32 %q, %t, 15",
        ),
    );
    // Lanes that have exited are no members.
    good(
        32,
        &format!("setp.lt.u32 %p, %t, 16; @!%p ret; {}", exchange("bar.warp.sync 0xffffffff;", "lt.u32 %q, %t, 15")),
    );
    // An exchange of registers orders no memory.
    for exchange_only in ["shfl.sync.bfly.b32 %a, %t, 1, 31, 0xffffffff;", "vote.sync.ballot.b32 %a, %p, 0xffffffff;"] {
        race(
            &fault_of(32, &exchange(exchange_only, "lt.u32 %q, %t, 9")),
            4,
            Space::Shared,
            Access::Write,
            Access::Read,
        );
    }
}

#[test]
fn each_lane_that_stored_is_remembered() {
    for (space, at) in [(Space::Shared, "tile"), (Space::Global, "%x")] {
        let later = |sync: &str, lane: u32, access: &str| {
            format!("st.{space}.u32 [{at}], 5; {sync}\nsetp.eq.u32 %p, %t, {lane};\n@%p {access}")
        };
        let (read, write) = (format!("ld.{space}.u32 %a, [{at}];"), format!("st.{space}.u32 [{at}], 5;"));
        for lane in [0, 9] {
            race(&fault_of(32, &later("", lane, &read)), 3, space, Access::Write, Access::Read);
            race(&fault_of(32, &later("", lane, &write)), 3, space, Access::Write, Access::Write);
            good(32, &later("bar.warp.sync 0xffffffff;", lane, &read));
            let some = format!("setp.lt.u32 %q, %t, 10; @%q bar.warp.sync {:#x};", (1 << 10) - 1);
            race(&fault_of(32, &later(&some, lane, &read)), 3, space, Access::Write, Access::Read);
            good(10, &later(&some, lane, &read));
        }
        good(32, &later("bar.sync 0;", 9, &write));
    }
}

#[test]
fn atomics_are_remembered_beside_each_other() {
    for (space, at) in [(Space::Shared, "tile"), (Space::Global, "%x")] {
        // `%p` holds in a thread of the first warp, `%q` in one of the second.
        let body = |lines: &[&str]| {
            let head = "setp.eq.u32 %p, %t, 0; setp.eq.u32 %q, %t, 32;";
            format!("{head} @%p st.{space}.u64 [{at}], 0; bar.sync 0;\n{}", lines.join("\n"))
        };
        let [p, q] = ["%p", "%q"].map(|thread| format!("@{thread} red.{space}.add.u32 [{at}], 1;"));
        let [p_reads, q_reads] = ["%p", "%q"].map(|thread| format!("@{thread} ld.{space}.u32 %a, [{at}];"));
        let q_wide = format!("@%q red.{space}.add.u64 [{at}], 1;");
        good(64, &body(&[&p, &q, &p, &q]));
        race(&fault_of(64, &body(&[&p, &q, &q_reads])), 4, space, Access::Atomic, Access::Read);
        race(&fault_of(64, &body(&[&p_reads, &p, &q])), 4, space, Access::Read, Access::Atomic);
        // Of different sizes they are not atomic to each other.
        race(&fault_of(64, &body(&[&p, &q_wide])), 3, space, Access::Atomic, Access::Atomic);
        good(64, &body(&[&p, "bar.sync 0;", &q_wide, "bar.sync 0;", &p, &q]));
    }
}

#[test]
fn atomics_reach_their_scope() {
    let two = |first: &str, second: &str| {
        format!(
            "mov.u32 %b, %ctaid.x; setp.eq.u32 %p, %b, 0;\n@%p red.{first}.global.add.u32 [%x], 1;\n\
             @!%p red.{second}.global.add.u32 [%x], 1;"
        )
    };
    let scopes = ["relaxed.gpu", "sys", "relaxed.cta", "cluster"];
    for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
        let text = two(scopes[i], scopes[j]);
        good(64, &text);
        match outcome_of(32, 2, &text) {
            Ok(()) => assert!(i < 2 && j < 2, "{text}"),
            Err(fault) => {
                assert!(i >= 2 || j >= 2, "{text}: {fault}");
                let FaultKind::Race { earlier, later, other, .. } = fault.kind else { panic!("{fault}") };
                assert_eq!((earlier, later, other), (Access::Atomic, Access::Atomic, OtherThread::Block));
            }
        }
    }
}

#[test]
fn numbered_barriers_order_their_warps_only() {
    let text = |count: u32| {
        format!(
            "setp.ge.u32 %p, %t, 64; @%p bra REST;\nst.shared.u32 [%s], %t;\nbar.sync 1, 64;\nxor.b32 %i, %t, 32; \
             mov.u32 %b, tile; mad.lo.u32 %b, %i, 4, %b;\nld.shared.u32 %a, [%b];\nret;\nREST:\nbar.sync 2, {count}; ret;"
        )
    };
    good(128, &text(64));
    let fault = fault_of(128, &text(128));
    assert!(matches!(fault.kind, FaultKind::Deadlock { waiting: 2 }) && fault.line == 8, "{fault}");
    let fault = fault_of(128, &text(48));
    assert_eq!((fault.kind, fault.line), (FaultKind::BarrierCount { count: 48 }, 8));
    // A warp that arrives does not learn what the others wrote.
    let produce = |second: &str| {
        format!(
            "setp.lt.u32 %p, %t, 32;\n@%p bra FIRST;\nst.shared.u32 [%s+-128], %t;\nbar.arrive 1, 64;\n{second}\nret;\n\
             FIRST:\nbar.sync 1, 64;\nld.shared.u32 %a, [%s];\nst.shared.u32 [%s+512], %a; ret;"
        )
    };
    good(64, &produce(""));
    let fault = fault_of(64, &produce("ld.shared.u32 %a, [%s+384];"));
    assert!(
        matches!(fault.kind, FaultKind::Uninitialised { .. } | FaultKind::Race { .. }) && fault.line == 5,
        "{fault}"
    );
}

#[test]
fn each_reader_is_ordered_for_itself() {
    // Warp 1 writes the word that warps 0 and 2 read, one after the other.
    let two_readers = |waits: &str| {
        format!(
            "setp.eq.u32 %p, %t, 0; @%p st.shared.u32 [tile], 7; bar.sync 0; setp.lt.u32 %p, %t, 32; setp.ge.u32 %q, %t, 64;\n\
             @%p bra FIRST; @%q bra LAST; {waits}\nst.shared.u32 [tile], 8;\nret;\n\
             FIRST: ld.shared.u32 %a, [tile]; bar.arrive 1, 64; ret;\nLAST: ld.shared.u32 %a, [tile]; bar.arrive 2, 64; ret;"
        )
    };
    good(96, &two_readers("bar.sync 1, 64; bar.sync 2, 64;"));
    race(&fault_of(96, &two_readers("bar.sync 2, 64;")), 3, Space::Shared, Access::Read, Access::Write);
    // What a warp does after it has arrived is not ordered.
    let late = "setp.lt.u32 %p, %t, 32; @%p bra FIRST;\nbar.sync 1, 64;\nld.shared.u32 %a, [%s+-128];\nret;\n\
         FIRST:\nst.shared.u32 [%s], 1; bar.arrive 1, 64; st.shared.u32 [%s], 2; ret;";
    race(&fault_of(64, late), 3, Space::Shared, Access::Write, Access::Read);
}

#[test]
fn threads_of_a_launch_share_no_global_words() {
    let shifted = "add.u64 %y, %at, 4;\nsetp.eq.u32 %p, %t, 63; @%p bra END;\nld.global.u32 %a, [%y];\nst.global.u32 [%at], %a;\nEND:\nret;";
    race(&fault_of(64, shifted), 4, Space::Global, Access::Read, Access::Write);
    let blocks = |body: &str| outcome_of(32, 2, body);
    let fault = blocks("st.global.u32 [%at], %t;").unwrap_err();
    race(&fault, 1, Space::Global, Access::Write, Access::Write);
    assert!(matches!(fault.kind, FaultKind::Race { other: OtherThread::Block, .. }));
    let fault =
        blocks("ld.global.u32 %a, [%at];\nmov.u32 %b, %ctaid.x; setp.eq.u32 %p, %b, 1;\n@%p st.global.u32 [%at], %t;");
    race(&fault.unwrap_err(), 3, Space::Global, Access::Read, Access::Write);
    // Both blocks read it, then the later one writes.
    let many = "ld.global.u32 %a, [%x];\nbar.sync 0;\nmov.u32 %b, %ctaid.x; setp.eq.u32 %p, %b, 1; setp.eq.and.u32 %p, %t, 0, %p;\n@%p st.global.u32 [%x], %t;";
    race(&blocks(many).unwrap_err(), 4, Space::Global, Access::Read, Access::Write);
    blocks("ld.global.u32 %a, [%at]; red.global.add.u32 [%x+512], 1;").unwrap();
    // A barrier orders the threads of a block.
    good(64, "st.global.u32 [%at], %t; bar.sync 0; ld.global.u32 %a, [%x+252]; bar.sync 0; st.global.u32 [%at], %a;");
    // An atomic is no race with another, but with a plain read.
    let fault = blocks("red.global.add.u32 [%x], 1;\nld.global.u32 %a, [%x];").unwrap_err();
    race(&fault, 2, Space::Global, Access::Atomic, Access::Read);
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
