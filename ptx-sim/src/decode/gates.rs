//! What versions of PTX and architectures have which instructions.

type Version = (u32, u32);

/// Opcodes by parts that they have in this order, of which `|` separates alternatives; the least version, and the least
/// architecture. All rows that match count. What each text of version 5.0 for sm_50 may use has none.
const GATES: &[(&str, Version, u32)] = &[
    ("ld|st.weak|relaxed|acquire|release", (6, 0), 70),
    ("ld|st.cluster", (7, 8), 90),
    ("ld|st.L1::evict_normal|L1::evict_unchanged|L1::evict_first|L1::evict_last|L1::no_allocate", (7, 4), 70),
    ("ld.L2::64B|L2::128B", (7, 4), 75),
    ("ld.L2::256B", (7, 4), 80),
    ("ld|st|atom|red|cvta|ldmatrix|stmatrix.shared::cta", (7, 8), 50),
    ("cvta.param", (7, 7), 70),
    ("atom|red.cta|gpu|sys", (5, 0), 60),
    ("atom|red.relaxed|acquire|release|acq_rel", (6, 0), 70),
    ("atom|red.cluster", (7, 8), 90),
    ("atom.cas.b16", (6, 3), 70),
    ("prefetch.L2::evict_last|L2::evict_normal", (7, 4), 80),
    ("cp.async", (7, 0), 80),
    ("cp.async.L2::64B|L2::128B|L2::256B", (7, 4), 80),
    ("fence", (6, 0), 70),
    ("fence.proxy.async", (8, 0), 90),
    ("barrier", (6, 0), 50),
    ("bar|barrier.cta", (7, 8), 50),
    ("bar.warp", (6, 0), 50),
    ("shfl|vote", (6, 0), 50),
    ("match", (6, 0), 70),
    ("activemask", (6, 2), 50),
    ("brx", (6, 0), 50),
    ("mma", (6, 5), 75),
    ("mma.m16n8k16", (7, 0), 80),
    ("mma.bf16|tf32", (7, 0), 80),
    ("ldmatrix", (6, 5), 75),
    ("stmatrix", (7, 8), 90),
    ("wgmma", (8, 0), 90),
    ("add|sub|mul|fma|setp.f16|f16x2", (5, 0), 53),
    ("add|sub|mul|setp.bf16|bf16x2", (7, 8), 90),
    ("fma.bf16|bf16x2", (7, 0), 80),
    ("fma.relu", (7, 0), 80),
    ("min|max.f16|f16x2|bf16|bf16x2", (7, 0), 80),
    ("min|max.NaN", (7, 0), 80),
    ("neg.f16|f16x2", (6, 0), 53),
    ("abs.f16|f16x2", (6, 5), 53),
    ("neg|abs.bf16|bf16x2", (7, 0), 80),
    ("ex2.f16|f16x2", (7, 0), 75),
    ("ex2.bf16|bf16x2", (7, 8), 90),
    ("tanh", (7, 0), 75),
    ("tanh.bf16|bf16x2", (7, 8), 90),
    ("cvt.relu", (7, 0), 80),
    ("cvt.bf16|tf32|f16x2|bf16x2.f32", (7, 0), 80),
    ("cvt.f32.bf16", (7, 1), 80),
    ("cvt.rn|rz.tf32", (7, 8), 90),
    ("cvt.satfinite", (8, 1), 70),
    ("cvt.rn|rz.satfinite.tf32", (8, 6), 100),
    ("cvt.bf16.u8|s8|u16|s16|u32|s32|u64|s64|f16|bf16", (7, 8), 90),
    ("cvt.u8|s8|u16|s16|u32|s32|u64|s64|f16.bf16", (7, 8), 90),
];

/// Opcodes that no architecture has but this, with an `a`.
const SPECIFIC: &[(&str, u32)] = &[("wgmma", 90)];

/// The only architecture that has an opcode, where there is one.
pub(super) fn only(opcode: &str) -> Option<u32> {
    SPECIFIC.iter().find(|(pattern, _)| matches(pattern, opcode)).map(|(_, target)| *target)
}

/// The least version and architecture that have an opcode.
pub(super) fn least(opcode: &str) -> (Version, u32) {
    let rows = GATES.iter().filter(|(pattern, ..)| matches(pattern, opcode));
    rows.fold(((0, 0), 0), |(version, target), (_, v, t)| (version.max(*v), target.max(*t)))
}

fn matches(pattern: &str, opcode: &str) -> bool {
    let mut parts = opcode.split('.');
    let is_any = |names: &str, part: &str| names.split('|').any(|name| name == part);
    let mut wanted = pattern.split('.');
    let named = wanted.next().zip(parts.next()).is_some_and(|(names, part)| is_any(names, part));
    named && wanted.all(|names| parts.any(|part| is_any(names, part)))
}
