//! Each check fires where it must, and nowhere else: kernels with a bug, and their correct twins.

use ptx_sim::{Access, Fault, FaultKind, Space};

use crate::text::{DONE, FENCE, Form, READY, THREADS, outcome};

const FORM: Form = Form { columns: 16, pitch: 64, from: 0, gap: 0 };

/// Runs lines after that which loads x.
fn run(lines: &[&str]) -> Result<(), Fault> {
    let body = [&[FORM.load().as_str()], lines].concat().join("\n");
    outcome(FORM, THREADS, &body, &vec![0; FORM.words()])
        .map(|_| ())
        .map_err(|fault| Fault { line: fault.line.saturating_sub(1), ..fault })
}

#[track_caller]
fn good(lines: &[&str]) {
    if let Err(fault) = run(lines) {
        panic!("{fault}\n{lines:#?}");
    }
}

/// The fault of lines, and the one that it comes from, from 1.
fn fault(lines: &[&str]) -> (FaultKind, u32) {
    let fault = run(lines).expect_err(&lines.join("\n"));
    (fault.kind, fault.line)
}

fn product() -> String {
    FORM.multiply("%p")
}

#[test]
fn all_lanes_of_all_four_warps_take_part() {
    let some = "setp.lt.u32 %q, %t, 16;";
    let parts = ["wgmma.fence", "wgmma.mma_async", "wgmma.commit_group", "wgmma.wait_group"];
    for part in parts {
        let product = product();
        let all = [
            "wgmma.fence.sync.aligned;",
            &product,
            "wgmma.commit_group.sync.aligned;",
            "wgmma.wait_group.sync.aligned 0;",
        ];
        let all = all.map(|text| if text.starts_with(part) { format!("@%q {text}") } else { text.to_owned() });
        let (kind, line) = fault(&[some, READY, &all[0], &all[1], &all[2], &all[3]]);
        let lanes = matches!(kind, FaultKind::InactiveLanes { instruction, .. } if instruction == part);
        let at = parts.iter().position(|name| *name == part).unwrap() as u32;
        assert!(lanes && line == 3 + at, "{kind} {line}");
    }
    let refused = outcome(FORM, 64, "\nwgmma.fence.sync.aligned;", &[0]).unwrap_err();
    assert_eq!((refused.kind, refused.line), (FaultKind::Warpgroup { instruction: "wgmma.fence", warps: 2 }, 2));
}

#[test]
fn warps_of_a_warpgroup_do_the_same() {
    let first = "setp.lt.u32 %q, %t, 32; @%q bra then;";
    for more in ["wgmma.commit_group.sync.aligned;", "wgmma.fence.sync.aligned;"] {
        let (kind, _) = fault(&[first, "wgmma.fence.sync.aligned; bra end;\nthen:", more, more, "end:"]);
        assert!(matches!(kind, FaultKind::WarpgroupDivergence { done: 1, first: 0, of_first: 2 }), "{kind}");
    }
    let other = "setp.lt.u32 %q, %t, 32; @%q add.u64 %b, %b, 2;";
    let (kind, _) =
        fault(&[READY, other, &FORM.multiply("%p").replace("n16", "n8").replace(&FORM.sums(), "%d0, %d1, %d2, %d3")]);
    assert!(matches!(kind, FaultKind::WarpgroupDivergence { done: 2, of_first: 2, .. }), "{kind}");
}

#[test]
fn operands_of_all_are_the_same_in_each_lane() {
    let (kind, line) = fault(&[READY, "setp.lt.u32 %q, %t, 16; @%q add.u64 %b, %b, 2;", &product()]);
    assert_eq!((kind, line), (FaultKind::NotUniform { instruction: "wgmma.mma_async", operand: "descriptor" }, 3));
    let (kind, line) = fault(&["setp.lt.u32 %q, %t, 16;", READY, &FORM.multiply("%q")]);
    assert_eq!((kind, line), (FaultKind::NotUniform { instruction: "wgmma.mma_async", operand: "scale-d" }, 3));
}

#[test]
fn descriptors_have_a_meaning() {
    let columns = 1u64 << 32;
    // No swizzle; 128 bytes where the stride is that of 64; columns beyond their row; eight that are not aligned; bits of none.
    for add in [2 << 62, 3 << 62, 4, 3, columns, 1 << 14, 1 << 31, 1 << 46, 1 << 49, 1 << 53] {
        let (kind, line) = fault(&[&format!("add.u64 %b, %b, {add:#x};"), READY, &product()]);
        assert!(matches!(kind, FaultKind::Descriptor { .. }) && line == 3, "{add:#x}: {kind} {line}");
    }
    good(&["add.u64 %b, %b, 2;", READY, &product(), DONE]);
    let (kind, line) = fault(&[&format!("add.u64 %b, %b, {:#x};", 4096 * columns), READY, &product()]);
    let space = Space::Shared;
    assert!(matches!(kind, FaultKind::OutOfBounds { space: s, .. } if s == space) && line == 3, "{kind} {line}");
}

#[test]
fn registers_in_flight_are_not_touched() {
    let (product, commit) = (product(), "wgmma.commit_group.sync.aligned;");
    let wait = |keep| format!("wgmma.wait_group.sync.aligned {keep};");
    let flying = |access| FaultKind::RegisterInFlight { access, line: 2 + crate::common::BODY + 1 };
    for (text, access) in [
        ("st.global.f32 [%y], %d0;", Access::Read),
        ("mov.f32 %d0, 0f00000000;", Access::Write),
        ("add.u32 %v, %a3, 1;", Access::Read),
        ("ld.global.u32 %a0, [%x];", Access::Write),
    ] {
        for before in [[commit, ""], [commit, &wait(1)], ["", &wait(0)], [commit, "bar.sync 0;"]] {
            assert_eq!(fault(&[READY, &product, before[0], before[1], text]), (flying(access), 5), "{text} {before:?}");
        }
        good(&[READY, &product, commit, &wait(0), text]);
        good(&[READY, &product, commit, commit, &wait(1), text]);
    }
    // Products of one shape add to the same sums; several may have the same factors.
    good(&[READY, &product, &product, commit, &product, DONE, &FORM.store()]);
    let narrow = narrow("%d0, %d1, %d2, %d3", "%a0, %a1, %a2, %a3");
    for fence in ["", FENCE] {
        assert_eq!(fault(&[READY, &product, fence, &narrow]), (flying(Access::Write), 4));
    }
    good(&[READY, &product, DONE, FENCE, &narrow]);
    let chained = product
        .replace("%a0, %a1", "%d0, %d1")
        .replace(&format!("{{{}}}", FORM.sums()), "{%e0, %e1, %e2, %e3, %e4, %e5, %e6, %e7}");
    assert_eq!(fault(&[".reg .f32 %e<8>;", READY, &product, &chained]).1, 4);
}

#[test]
fn what_is_accessed_is_fenced_from_products() {
    let product = product();
    let unfenced = |operand| FaultKind::RegisterUnfenced { operand };
    assert_eq!(fault(&["fence.proxy.async; bar.sync 0;", &product]), (unfenced("d"), 2));
    for (text, operand) in [
        ("mov.f32 %d7, 0f00000000;", "d"),
        ("ld.global.u32 %a3, [%x];", "a"),
        ("st.global.f32 [%y], %d7;", "d"),
        ("add.u32 %v, %a3, 1;", "a"),
    ] {
        assert_eq!(fault(&[READY, text, &product]), (unfenced(operand), 3), "{text}");
        assert_eq!(fault(&[READY, &product, DONE, text, &product]), (unfenced(operand), 5), "{text}");
        good(&[READY, &product, DONE, text, FENCE, &product]);
        // Fences before it do not help.
        assert_eq!(fault(&[READY, &product, FENCE, DONE, FENCE, text, &product]), (unfenced(operand), 7), "{text}");
    }
    good(&[READY, "mov.u32 %v, 1; add.u32 %v, %v, %t;", &product, DONE, &product]);
    // An access by some lanes is one of their warp.
    assert_eq!(fault(&[READY, "setp.eq.u32 %q, %t, 5; @%q st.global.f32 [%y], %d7;", &product]), (unfenced("d"), 3));
}

/// A product of eight columns with other registers.
fn narrow(d: &str, a: &str) -> String {
    let narrow = product().replace("n16", "n8");
    narrow.replace(&FORM.sums(), d).replace("%a0, %a1, %a2, %a3", a)
}

#[test]
fn products_of_other_shapes_and_roles_are_fenced_from_each_other() {
    let (sums, factors) = ("%d0, %d1, %d2, %d3", "%a0, %a1, %a2, %a3");
    let shorter = narrow(sums, factors);
    for (first, second, operand) in [
        (&product(), &shorter, "d"),
        (&shorter, &product(), "d"),
        (&shorter, &narrow("%d4, %d5, %d6, %d7", sums), "a"),
        (&narrow(sums, "%d4, %d5, %d6, %d7"), &narrow("%d4, %d5, %d6, %d7", factors), "d"),
    ] {
        let both = |fence: &str| run(&[READY, first, DONE, fence, second]);
        let fault = both("").expect_err(second);
        assert_eq!((fault.kind, fault.line), (FaultKind::RegisterUnfenced { operand }, 5), "{first} {second}");
        both(FENCE).unwrap();
    }
    // Sums of one shape are in order, and factors need none.
    good(&[READY, &product(), DONE, &product(), &product()]);
    good(&[READY, &shorter, &narrow("%d4, %d5, %d6, %d7", factors)]);
}

/// A word that another warp's product reads, stored or copied.
const STORE: &str = "st.shared.u32 [%s], %t;";
const COPY: &str = "cp.async.ca.shared.global [%s], [%x], 4;";
const LAND: &str = "cp.async.wait_all;";

#[test]
fn what_products_read_is_written_and_ordered() {
    let product = product();
    let (kind, line) = fault(&[".shared .align 1024 .b8 other[1024]; add.u64 %b, %b, 64;", READY, &product]);
    assert!(matches!(kind, FaultKind::Uninitialised { space: Space::Shared, .. }) && line == 3, "{kind} {line}");
    let (kind, _) = fault(&["fence.proxy.async; wgmma.fence.sync.aligned;", &product]);
    assert!(matches!(kind, FaultKind::Race { space: Space::Shared, .. }), "{kind}");
    let (kind, line) = fault(&["bar.sync 0;", COPY, READY, &product]);
    assert!(matches!(kind, FaultKind::AsyncPending { access: Access::Read, .. }) && line == 4, "{kind} {line}");
}

#[test]
fn writers_fence_before_a_barrier() {
    let product = product();
    let unseen = |lines: &[&str], at: u32| {
        let (kind, line) = fault(lines);
        assert!(matches!(kind, FaultKind::ProxyUnfenced { .. }) && line == at, "{kind} {line}\n{lines:#?}");
    };
    let (fence, barrier, start) = ("fence.proxy.async.shared::cta;", "bar.sync 0;", "wgmma.fence.sync.aligned;");
    good(&[fence, barrier, start, &product]);
    unseen(&[barrier, start, &product], 3);
    unseen(&[barrier, fence, start, &product], 4);
    unseen(&["fence.acq_rel.cta;", barrier, start, &product], 4);
    unseen(&[fence, STORE, barrier, start, &product], 5);
    unseen(&["setp.lt.u32 %q, %t, 100; @%q fence.proxy.async;", barrier, start, &product], 4);
    // A later fence takes nothing from the first, and comes too late for a later store.
    good(&[fence, barrier, fence, start, &product]);
    unseen(&[fence, barrier, STORE, barrier, fence, start, &product], 7);
    good(&[fence, barrier, STORE, fence, barrier, start, &product]);
    // Copies are written when they are waited for.
    good(&[barrier, COPY, LAND, READY, &product]);
    unseen(&[barrier, COPY, fence, LAND, barrier, start, &product], 7);
    unseen(&[barrier, "atom.shared.add.u32 %v, [%s], 1;", barrier, start, &product], 5);
    good(&[barrier, "atom.shared.add.u32 %v, [%s], 1;", fence, barrier, start, &product]);
}

#[test]
fn what_products_in_flight_read_is_not_written() {
    let (product, barrier) = (product(), "bar.sync 0;");
    let started = |lines: &[&str]| fault(&[&[READY, &product, "wgmma.commit_group.sync.aligned;"], lines].concat());
    let wait = "wgmma.wait_group.sync.aligned 0;";
    for (text, access) in
        [(STORE, Access::Write), (COPY, Access::AsyncCopy), ("atom.shared.add.u32 %v, [%s], 1;", Access::Atomic)]
    {
        for barriers in ["", barrier] {
            let (kind, line) = started(&[barriers, text, LAND, wait]);
            let early = matches!(kind, FaultKind::ProductSource { access: found, .. } if found == access);
            assert!(early && line == 5, "{text} {barriers}: {kind} {line}");
        }
        let (kind, line) = started(&[barrier, "wgmma.wait_group.sync.aligned 1;", text, LAND]);
        assert!(matches!(kind, FaultKind::ProductSource { .. }) && line == 6, "{kind} {line}");
        let (kind, line) = started(&[barrier, wait, text, LAND]);
        let raced = matches!(kind, FaultKind::Race { earlier: Access::Read, .. } | FaultKind::ProductSource { .. });
        assert!(raced && line == 6, "{text}: {kind} {line}");
        good(&[READY, &product, DONE, barrier, text, LAND]);
    }
}

#[test]
fn kernels_may_end_with_products_in_flight() {
    good(&[READY, &product()]);
}
