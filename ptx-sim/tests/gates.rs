//! Which versions of PTX and architectures have which instructions: as ptxas 12.9 takes them.

mod common;

use common::{BODY, kernel_text};
use ptx_sim::Module;

const VERSIONS: [(u32, u32); 22] = [
    (5, 0),
    (6, 0),
    (6, 1),
    (6, 2),
    (6, 3),
    (6, 4),
    (6, 5),
    (7, 0),
    (7, 1),
    (7, 2),
    (7, 3),
    (7, 4),
    (7, 5),
    (7, 6),
    (7, 7),
    (7, 8),
    (8, 0),
    (8, 1),
    (8, 2),
    (8, 3),
    (8, 4),
    (8, 6),
];

const TARGETS: [u32; 12] = [50, 52, 53, 60, 61, 70, 72, 75, 80, 89, 90, 100];

/// Instructions with the least version and architecture that have them.
const GATES: &[(&str, (u32, u32), u32)] = &[
    ("ld.global.L2::64B.u32 %r4, [%x]", (7, 4), 75),
    ("ld.global.L2::128B.u32 %r4, [%x]", (7, 4), 75),
    ("ld.global.L2::256B.u32 %r4, [%x]", (7, 4), 80),
    ("ld.global.L1::evict_last.u32 %r4, [%x]", (7, 4), 70),
    ("ld.global.L1::no_allocate.u32 %r4, [%x]", (7, 4), 70),
    ("st.global.L1::evict_last.u32 [%x], %r1", (7, 4), 70),
    ("ld.relaxed.gpu.global.u32 %r4, [%x]", (6, 0), 70),
    ("ld.acquire.cta.global.u32 %r4, [%x]", (6, 0), 70),
    ("ld.relaxed.cluster.global.u32 %r4, [%x]", (7, 8), 90),
    ("ld.weak.global.u32 %r4, [%x]", (6, 0), 70),
    ("st.weak.global.u32 [%x], %r1", (6, 0), 70),
    ("st.relaxed.sys.global.u32 [%x], %r1", (6, 0), 70),
    ("st.release.gpu.global.u32 [%x], %r1", (6, 0), 70),
    ("ld.shared::cta.u32 %r4, [%r0]", (7, 8), 50),
    ("st.shared::cta.u32 [%r0], %r1", (7, 8), 50),
    ("cvta.shared::cta.u64 %y, %q1", (7, 8), 50),
    ("atom.gpu.global.add.u32 %r4, [%x], %r1", (5, 0), 60),
    ("atom.cta.global.add.u32 %r4, [%x], %r1", (5, 0), 60),
    ("atom.sys.global.add.u32 %r4, [%x], %r1", (5, 0), 60),
    ("atom.relaxed.gpu.global.add.u32 %r4, [%x], %r1", (6, 0), 70),
    ("atom.acq_rel.gpu.global.add.u32 %r4, [%x], %r1", (6, 0), 70),
    ("atom.acquire.gpu.global.add.u32 %r4, [%x], %r1", (6, 0), 70),
    ("atom.release.gpu.global.add.u32 %r4, [%x], %r1", (6, 0), 70),
    ("atom.cluster.global.add.u32 %r4, [%x], %r1", (7, 8), 90),
    ("atom.relaxed.cluster.global.add.u32 %r4, [%x], %r1", (7, 8), 90),
    ("atom.shared::cta.add.u32 %r4, [%r0], %r1", (7, 8), 50),
    ("red.cta.global.add.u32 [%x], %r1", (5, 0), 60),
    ("red.relaxed.gpu.global.add.u32 [%x], %r1", (6, 0), 70),
    ("red.release.gpu.global.add.u32 [%x], %r1", (6, 0), 70),
    ("red.shared::cta.add.u32 [%r0], %r1", (7, 8), 50),
    ("red.cluster.global.add.u32 [%x], %r1", (7, 8), 90),
    ("atom.global.cas.b16 %h4, [%x], %h1, %h2", (6, 3), 70),
    ("fence.acq_rel.gpu", (6, 0), 70),
    ("fence.sc.cta", (6, 0), 70),
    ("bar.cta.sync 0", (7, 8), 50),
    ("barrier.sync 0", (6, 0), 50),
    ("barrier.sync.aligned 0", (6, 0), 50),
    ("barrier.cta.sync 0", (7, 8), 50),
    ("barrier.cta.red.popc.u32 %r4, 0, %p", (7, 8), 50),
    ("bar.warp.sync 0xffffffff", (6, 0), 50),
    ("shfl.sync.bfly.b32 %r4, %r1, 1, 31, 0xffffffff", (6, 0), 50),
    ("vote.sync.ballot.b32 %r4, %p, 0xffffffff", (6, 0), 50),
    ("match.any.sync.b32 %r4, %r1, 0xffffffff", (6, 0), 70),
    ("activemask.b32 %r4", (6, 2), 50),
    ("prefetch.global.L2::evict_last [%x]", (7, 4), 80),
    ("prefetch.global.L2::evict_normal [%x]", (7, 4), 80),
    ("cvt.rn.bf16.f32 %h4, %f1", (7, 0), 80),
    ("cvt.rz.bf16.f32 %h4, %f1", (7, 0), 80),
    ("cvt.rn.relu.bf16.f32 %h4, %f1", (7, 0), 80),
    ("cvt.rn.relu.f16.f32 %h4, %f1", (7, 0), 80),
    ("cvt.rz.relu.f16.f32 %h4, %f1", (7, 0), 80),
    ("cvt.rn.satfinite.f16.f32 %h4, %f1", (8, 1), 70),
    ("cvt.rn.satfinite.bf16.f32 %h4, %f1", (8, 1), 80),
    ("cvt.rna.tf32.f32 %r4, %f1", (7, 0), 80),
    ("cvt.rn.tf32.f32 %r4, %f1", (7, 8), 90),
    ("cvt.rz.tf32.f32 %r4, %f1", (7, 8), 90),
    ("cvt.rn.relu.tf32.f32 %r4, %f1", (7, 8), 90),
    ("cvt.rna.satfinite.tf32.f32 %r4, %f1", (8, 1), 80),
    ("cvt.rn.f16x2.f32 %r4, %f1, %f2", (7, 0), 80),
    ("cvt.rz.f16x2.f32 %r4, %f1, %f2", (7, 0), 80),
    ("cvt.rn.bf16x2.f32 %r4, %f1, %f2", (7, 0), 80),
    ("cvt.rz.bf16x2.f32 %r4, %f1, %f2", (7, 0), 80),
    ("cvt.rn.relu.f16x2.f32 %r4, %f1, %f2", (7, 0), 80),
    ("cvt.rn.relu.bf16x2.f32 %r4, %f1, %f2", (7, 0), 80),
    ("cvt.rn.satfinite.f16x2.f32 %r4, %f1, %f2", (8, 1), 80),
    ("cvt.rn.satfinite.bf16x2.f32 %r4, %f1, %f2", (8, 1), 80),
    ("cvt.f32.bf16 %f4, %h1", (7, 1), 80),
    ("cvt.rn.bf16.f16 %h4, %h1", (7, 8), 90),
    ("cvt.rn.f16.bf16 %h4, %h1", (7, 8), 90),
    ("cvt.rn.bf16.s32 %h4, %r1", (7, 8), 90),
    ("cvt.rzi.s32.bf16 %r4, %h1", (7, 8), 90),
    ("cvt.rni.bf16.bf16 %h4, %h1", (7, 8), 90),
    ("add.rn.f16 %h4, %h1, %h2", (5, 0), 53),
    ("add.rn.sat.f16 %h4, %h1, %h2", (5, 0), 53),
    ("add.f16x2 %r4, %r1, %r2", (5, 0), 53),
    ("add.rn.bf16 %h4, %h1, %h2", (7, 8), 90),
    ("add.rn.bf16x2 %r4, %r1, %r2", (7, 8), 90),
    ("sub.rn.bf16 %h4, %h1, %h2", (7, 8), 90),
    ("sub.rn.bf16x2 %r4, %r1, %r2", (7, 8), 90),
    ("mul.rn.bf16 %h4, %h1, %h2", (7, 8), 90),
    ("mul.rn.bf16x2 %r4, %r1, %r2", (7, 8), 90),
    ("mul.rn.f16 %h4, %h1, %h2", (5, 0), 53),
    ("sub.rn.f16 %h4, %h1, %h2", (5, 0), 53),
    ("fma.rn.f16 %h4, %h1, %h2, %h3", (5, 0), 53),
    ("fma.rn.f16x2 %r4, %r1, %r2, %r3", (5, 0), 53),
    ("fma.rn.bf16 %h4, %h1, %h2, %h3", (7, 0), 80),
    ("fma.rn.bf16x2 %r4, %r1, %r2, %r3", (7, 0), 80),
    ("fma.rn.relu.f16 %h4, %h1, %h2, %h3", (7, 0), 80),
    ("fma.rn.relu.f16x2 %r4, %r1, %r2, %r3", (7, 0), 80),
    ("fma.rn.relu.bf16 %h4, %h1, %h2, %h3", (7, 0), 80),
    ("min.f16 %h4, %h1, %h2", (7, 0), 80),
    ("min.f16x2 %r4, %r1, %r2", (7, 0), 80),
    ("max.f16 %h4, %h1, %h2", (7, 0), 80),
    ("min.bf16 %h4, %h1, %h2", (7, 0), 80),
    ("max.bf16x2 %r4, %r1, %r2", (7, 0), 80),
    ("min.NaN.f32 %f4, %f1, %f2", (7, 0), 80),
    ("max.NaN.f32 %f4, %f1, %f2", (7, 0), 80),
    ("min.NaN.f16 %h4, %h1, %h2", (7, 0), 80),
    ("max.NaN.bf16 %h4, %h1, %h2", (7, 0), 80),
    ("neg.f16 %h4, %h1", (6, 0), 53),
    ("neg.f16x2 %r4, %r1", (6, 0), 53),
    ("neg.bf16 %h4, %h1", (7, 0), 80),
    ("neg.bf16x2 %r4, %r1", (7, 0), 80),
    ("abs.f16 %h4, %h1", (6, 5), 53),
    ("abs.f16x2 %r4, %r1", (6, 5), 53),
    ("abs.bf16 %h4, %h1", (7, 0), 80),
    ("abs.bf16x2 %r4, %r1", (7, 0), 80),
    ("ex2.approx.f16 %h4, %h1", (7, 0), 75),
    ("ex2.approx.f16x2 %r4, %r1", (7, 0), 75),
    ("ex2.approx.ftz.bf16 %h4, %h1", (7, 8), 90),
    ("ex2.approx.ftz.bf16x2 %r4, %r1", (7, 8), 90),
    ("tanh.approx.f32 %f4, %f1", (7, 0), 75),
    ("tanh.approx.f16 %h4, %h1", (7, 0), 75),
    ("tanh.approx.f16x2 %r4, %r1", (7, 0), 75),
    ("tanh.approx.bf16 %h4, %h1", (7, 8), 90),
    ("tanh.approx.bf16x2 %r4, %r1", (7, 8), 90),
    ("setp.lt.f16 %pp, %h1, %h2", (5, 0), 53),
    ("setp.lt.bf16 %pp, %h1, %h2", (7, 8), 90),
    ("cvta.param.u64 %y, %q1", (7, 7), 70),
    (
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f4, %f5, %f6, %f7}, {%r1, %r2}, {%r3}, {%f1, %f1, %f1, %f1}",
        (6, 5),
        75,
    ),
    (
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f4, %f5, %f6, %f7}, {%r1, %r2, %r1, %r2}, {%r3, %r3}, {%f1, %f1, %f1, %f1}",
        (7, 0),
        80,
    ),
    (
        "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%f4, %f5, %f6, %f7}, {%r1, %r2}, {%r3}, {%f1, %f1, %f1, %f1}",
        (7, 0),
        80,
    ),
    (
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f4, %f5, %f6, %f7}, {%r1, %r2, %r1, %r2}, {%r3, %r3}, {%f1, %f1, %f1, %f1}",
        (7, 0),
        80,
    ),
    (
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%f4, %f5, %f6, %f7}, {%r1, %r2, %r1, %r2}, {%r3, %r3}, {%f1, %f1, %f1, %f1}",
        (7, 0),
        80,
    ),
    ("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r4}, [%r0]", (6, 5), 75),
    ("ldmatrix.sync.aligned.m8n8.x1.shared::cta.b16 {%r4}, [%r0]", (7, 8), 75),
    ("stmatrix.sync.aligned.m8n8.x1.shared.b16 [%r0], {%r4}", (7, 8), 90),
    ("fence.proxy.async", (8, 0), 90),
    ("fence.proxy.async.shared::cta", (8, 0), 90),
    ("cp.async.ca.shared.global [%r0], [%x], 4", (7, 0), 80),
    ("cp.async.ca.shared.global.L2::128B [%r0], [%x], 4", (7, 4), 80),
    ("cp.async.ca.shared.global.L2::64B [%r0], [%x], 4", (7, 4), 80),
    ("cp.async.ca.shared.global.L2::256B [%r0], [%x], 4", (7, 4), 80),
    ("cp.async.ca.shared.global [%r0], [%x], 4, %p", (7, 5), 80),
    ("cp.async.commit_group", (7, 0), 80),
    ("cp.async.wait_all", (7, 0), 80),
    ("cvt.rn.satfinite.tf32.f32 %r4, %f1", (8, 6), 100),
];

const HEAD: &str = ".reg .b64 %x, %y, %q<4>; .reg .b32 %r<16>; .reg .b16 %h<8>; .reg .f32 %f<8>; .reg .pred %p, %pp;";

/// The text of an instruction, where a version and an architecture are declared.
fn parsed(text: &str, (major, minor): (u32, u32), target: u32) -> Result<(), ptx_sim::ParseError> {
    let module = kernel_text(&[], &format!("{HEAD}\n{text};"));
    let module = module.replace("8.0", &format!("{major}.{minor}")).replace("sm_90", &format!("sm_{target}"));
    Module::parse(&module).map(|_| ())
}

#[test]
fn instructions_need_their_version_and_target() {
    let below = |version| VERSIONS.iter().rev().find(|other| **other < version);
    let mut wrong = Vec::new();
    for (text, version, target) in GATES {
        wrong.extend(parsed(text, *version, *target).err().map(|refused| format!("{text}: {refused}")));
        let older = below(*version).map(|version| (*version, *target));
        let smaller = TARGETS.iter().rev().find(|other| *other < target).map(|target| (*version, *target));
        for (version, target) in older.into_iter().chain(smaller) {
            match parsed(text, version, target) {
                Err(refused) if refused.message.contains("needs .version") && refused.line == BODY + 1 => {}
                other => wrong.push(format!("{text} with {version:?} and sm_{target}: {other:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn products_of_warpgroups_are_for_one_architecture() {
    let product =
        "wgmma.mma_async.sync.aligned.m64n8k8.f32.tf32.tf32 {%f4, %f5, %f6, %f7}, {%r1, %r2, %r3, %r4}, %q1, %p, 1, 1";
    let parts =
        ["wgmma.fence.sync.aligned", product, "wgmma.commit_group.sync.aligned", "wgmma.wait_group.sync.aligned 1"];
    for text in parts {
        for (version, target) in [("8.0", "sm_90a"), ("8.7", "sm_90a")] {
            let module = kernel_text(&[], &format!("{HEAD}\n{text};")).replace("8.0", version).replace("sm_90", target);
            Module::parse(&module).unwrap_or_else(|refused| panic!("{text}: {refused}"));
        }
        for (version, target) in
            [("7.8", "sm_90a"), ("8.0", "sm_90"), ("8.7", "sm_100a"), ("8.7", "sm_100"), ("8.0", "sm_80")]
        {
            let module = kernel_text(&[], &format!("{HEAD}\n{text};")).replace("8.0", version).replace("sm_90", target);
            let refused = Module::parse(&module).expect_err(text);
            let named = refused.message.contains("needs .version 8.0 or higher and .target sm_90a");
            assert!(named && refused.line == BODY + 1, "{version} {target}: {refused}");
        }
    }
}
