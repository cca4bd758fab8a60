//! Races are found where they are, and nowhere else: kernels that lack an order, and their correct twins.

mod common;
#[path = "common/outcome.rs"]
mod outcome;

use common::{BODY, alloc_u32, kernel_text, launch};
use outcome::{HEAD, NEIGHBOUR, fault_of, good, outcome_of, race};
use ptx_sim::{Access, FaultKind, Memory, Module, Options, OtherThread, Space, run};

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
fn rows_of_a_matrix_are_stored_by_lanes() {
    // All rows in one place, or only that of lane 9 in that of lane 2, which is of another matrix.
    let all = "mov.u32 %b, tile;";
    let two = "mul.lo.u32 %b, %t, 16; setp.eq.u32 %p, %t, 9; @%p mov.u32 %b, 32; mov.u32 %s, tile; add.u32 %b, %s, %b;";
    let store = |place: &str, value: &str, trans: &str| {
        format!(
            "{place} and.b32 %i, %t, 3; mov.u32 %a, {value};\nstmatrix.sync.aligned.m8n8.x4{trans}.shared.b16 [%b], {{%a, %a, %i, %i}};"
        )
    };
    for trans in ["", ".trans"] {
        good(32, &store(two, "0x70007", trans));
        let fault = fault_of(32, &store(two, "%t", trans));
        let conflict = matches!(fault.kind, FaultKind::ConflictingStores { space: Space::Shared, .. });
        assert!(conflict && (fault.line, fault.lane) == (2, Some(9)), "{fault}");
        assert!(matches!(fault_of(32, &store(all, "0x70007", trans)).kind, FaultKind::ConflictingStores { .. }));
    }
    good(32, &store(all, "%i", ""));
    // Each of two lanes that stored in one place has done so.
    for lane in [2, 9] {
        let read = format!("setp.eq.u32 %p, %t, {lane};\n@%p ld.shared.u32 %a, [tile+32];");
        let after = |sync: &str| format!("{}\n{sync} {read}", store(two, "0x70007", ""));
        good(32, &after("bar.warp.sync 0xffffffff;"));
        race(&fault_of(32, &after("")), 4, Space::Shared, Access::Write, Access::Read);
    }
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
    // So does one whose lanes are of two groups.
    let halves = "selp.b32 %i, 0xffff, 0xffff0000, %p; bar.warp.sync %i;";
    good(32, &exchange(halves, "ne.u32 %q, %t, 15; setp.ne.and.u32 %q, %t, 31, %q"));
    race(&fault_of(32, &exchange(halves, "eq.u32 %q, %t, 15")), 4, Space::Shared, Access::Write, Access::Read);
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
fn lanes_that_exited_are_at_no_barrier() {
    // Lane 3 of the first warp does something and exits, and a thread of the first or the second warp comes to its word.
    let after = |first: &str, sync: &str, thread: u32, then: &str| {
        format!(
            "st.shared.u32 [%s], %t; bar.sync 0; setp.eq.u32 %p, %t, 3; @%p {first} @%p ret;\n{sync} setp.eq.u32 %q, %t, {thread};\n\
             @%q {then}"
        )
    };
    let (read, write) = ("ld.shared.u32 %a, [tile+12];", "st.shared.u32 [tile+12], 7;");
    let adds = "red.shared.add.u32 [tile+12], 1;";
    for (sync, thread) in [("", 9), ("bar.warp.sync 0xffffffff;", 9), ("bar.sync 0;", 9), ("bar.sync 0;", 40)] {
        for (first, then, accesses) in [
            (write, read, (Access::Write, Access::Read)),
            (write, write, (Access::Write, Access::Write)),
            (read, write, (Access::Read, Access::Write)),
            (adds, read, (Access::Atomic, Access::Read)),
        ] {
            let fault = fault_of(64, &after(first, sync, thread, then));
            race(&fault, 3, Space::Shared, accesses.0, accesses.1);
            let FaultKind::Race { other, .. } = fault.kind else { unreachable!() };
            assert_eq!(other, OtherThread::Lane { warp: 0, lane: 3 });
        }
        good(64, &after(read, sync, thread, read));
        good(64, &after(adds, sync, thread, adds));
        good(64, &after("add.u32 %a, %t, 1;", sync, thread, read));
    }
    // What it did before a barrier of its own is in order, as is what the rest of its warp did.
    for own in ["bar.sync 0;", "bar.warp.sync 0xffffffff;"] {
        good(64, &after(&format!("{write} {own}"), "bar.sync 0;", 40, write));
    }
    good(64, &after(write, "st.shared.u32 [%s], 1; bar.sync 0;", 40, "ld.shared.u32 %a, [tile+8];"));
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
fn what_a_barrier_ordered_stays_ordered() {
    // All lanes access a word; after a barrier one of them does again, and after that as no other may at the same time.
    for (space, at) in [(Space::Shared, "tile"), (Space::Global, "%x")] {
        let body = |lines: &str| {
            let head = format!("setp.eq.u32 %p, %t, 0; @%p st.{space}.u32 [{at}], 0; bar.sync 0;");
            format!("{head}\n{}", lines.replace("SPACE", &space.to_string()).replace("AT", at))
        };
        let (reads, writes) = ("@%p ld.SPACE.u32 %a, [AT];", "@%p st.SPACE.u32 [AT], 0;");
        let (adds, all_add) = ("@%p red.SPACE.add.u32 [AT], 1;", "red.SPACE.add.u32 [AT], 1;");
        for sync in ["bar.sync 0;", "bar.warp.sync 0xffffffff;"] {
            good(32, &body(&format!("{all_add} {sync} {adds} {reads} {writes}")));
            // What it did since counts for the others.
            let late = body(&format!("{all_add} {sync} {adds}\nsetp.eq.u32 %q, %t, 9;\n@%q ld.SPACE.u32 %a, [AT];"));
            race(&fault_of(32, &late), 4, space, Access::Atomic, Access::Read);
        }
        let all_read = "ld.SPACE.u32 %a, [AT]; bar.warp.sync 0xffffffff; bar.sync 0;";
        good(64, &body(&format!("{all_read} {reads} {writes}")));
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
