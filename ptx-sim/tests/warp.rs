//! What lanes do together: exchanges, atomics, barriers that reduce.

mod common;

use common::{alloc_u32, kernel_text, launch, read_u32, run_text};
use ptx_sim::{Memory, Options};

/// Runs a body with 32 threads or more that leaves `%d` (or what it stores) in y[thread]; `%v` is x[thread].
fn lanes(threads: u32, x: &[u32], body: &str) -> Vec<u32> {
    let body = format!(
        ".reg .b64 %x, %y, %at; .reg .b32 %t, %lane, %v, %d, %r<16>; .reg .pred %p, %q; .reg .f32 %f<8>;\n\
         .shared .align 16 .b8 tile[2048];\n\
         ld.param.u64 %x, [x]; ld.param.u64 %y, [y]; mov.u32 %t, %tid.x; mov.u32 %lane, %laneid;\n\
         mad.wide.u32 %at, %t, 4, %x; ld.global.u32 %v, [%at];\n{body}\nmad.wide.u32 %at, %t, 4, %y; st.global.u32 [%at], %d; ret;"
    );
    let mut memory = Memory::new();
    let x = alloc_u32(&mut memory, x);
    let y = memory.alloc(threads as usize * 4);
    let launch = launch(1, threads, &[x, y]);
    run_text(&kernel_text(&["x", "y"], &body), &launch, &mut memory, &Options::default())
        .unwrap_or_else(|fault| panic!("{fault}\n{body}"));
    read_u32(&memory, y, threads as usize)
}

fn ramp(count: u32) -> Vec<u32> {
    (100..100 + count).collect()
}

/// Where a lane reads from; nowhere out of its segment.
type SourceLane = fn(i32) -> Option<i32>;

#[test]
fn shuffles_in_all_modes() {
    // Within segments of 8 lanes (c = 0x1800 | clamp), as the PTX manual has it.
    let modes: [(&str, SourceLane); 6] = [
        ("up.b32 %d|%p, %v, 3, 0x1800", |lane| (lane % 8 >= 3).then_some(lane - 3)),
        ("down.b32 %d|%p, %v, 3, 0x181f", |lane| (lane % 8 + 3 < 8).then_some(lane + 3)),
        ("bfly.b32 %d|%p, %v, 5, 0x1f", |lane| Some(lane ^ 5)),
        ("bfly.b32 %d|%p, %v, 9, 0x181f", |_| None),
        ("idx.b32 %d|%p, %v, 6, 0x181f", |lane| Some(lane / 8 * 8 + 6)),
        ("idx.b32 %d|%p, %v, %t, 0x001f", Some),
    ];
    for (mode, source) in modes {
        let body = format!("shfl.sync.{mode}, 0xffffffff; @%p add.u32 %d, %d, 1000;");
        for (lane, got) in lanes(32, &ramp(32), &body).into_iter().enumerate() {
            let from = source(lane as i32);
            // Out of range, the bfly of lane ^ 9 stays within its row only for lower lanes.
            let want = match from {
                Some(from) => 1100 + from as u32,
                None if mode.starts_with("bfly") && (lane ^ 9) / 8 < lane / 8 => 1100 + (lane as u32 ^ 9),
                None => 100 + lane as u32,
            };
            assert_eq!(got, want, "{mode} lane {lane}");
        }
    }
}

#[test]
fn votes_and_matches() {
    let x: Vec<u32> = (0..32).map(|i| i * i % 5).collect();
    let equal = |value: u32| x.iter().enumerate().fold(0, |mask, (i, v)| mask | u32::from(*v == value) << i);
    let each = |want: &dyn Fn(usize) -> u32| (0..32).map(want).collect::<Vec<_>>();
    assert_eq!(lanes(32, &x, "setp.eq.u32 %p, %v, 1; vote.sync.ballot.b32 %d, %p, 0xffffffff;"), [equal(1); 32]);
    let vote = |mode: &str, test: &str| {
        lanes(32, &x, &format!("setp.{test}; vote.sync.{mode}.pred %q, %p, 0xffffffff; selp.u32 %d, 1, 0, %q;"))
    };
    assert_eq!(vote("all", "lt.u32 %p, %v, 5"), [1; 32]);
    assert_eq!(vote("all", "lt.u32 %p, %v, 4"), [0; 32]);
    assert_eq!(vote("any", "eq.u32 %p, %v, 4"), [1; 32]);
    assert_eq!(vote("any", "eq.u32 %p, %v, 2"), [0; 32]);
    assert_eq!(vote("uni", "eq.u32 %p, %v, 2"), [1; 32]);
    assert_eq!(vote("uni", "eq.u32 %p, %v, 1"), [0; 32]);
    assert_eq!(lanes(32, &x, "match.any.sync.b32 %d, %v, 0xffffffff;"), each(&|i| equal(x[i])));
    let all = "match.all.sync.b32 %d|%p, %r0, 0xffffffff; @%p add.u32 %d, %d, 1;";
    assert_eq!(lanes(32, &x, &format!("mov.u32 %r0, 3; {all}")), [0; 32]);
    assert_eq!(lanes(32, &x, &format!("mov.u32 %r0, %v; {all}")), [0; 32]);
    let half = "mov.u32 %d, 0; setp.lt.u32 %p, %lane, 7; @%p activemask.b32 %d;";
    assert_eq!(lanes(32, &x, half), each(&|i| if i < 7 { 0x7f } else { 0 }));
    assert_eq!(lanes(32, &x, "mov.u32 %d, %lanemask_le;"), each(&|i| !0 >> (31 - i)));
}

#[test]
fn barriers_that_reduce() {
    let x = ramp(96);
    assert_eq!(lanes(96, &x, "setp.lt.u32 %p, %v, 170; bar.red.popc.u32 %d, 0, %p;"), [70; 96]);
    let pred = |op: &str, limit: u32| {
        lanes(96, &x, &format!("setp.lt.u32 %p, %v, {limit}; bar.red.{op}.pred %q, 1, 96, !%p; selp.u32 %d, 1, 0, %q;"))
    };
    assert_eq!(pred("and", 100), [1; 96]);
    assert_eq!(pred("and", 101), [0; 96]);
    assert_eq!(pred("or", 195), [1; 96]);
    assert_eq!(pred("or", 196), [0; 96]);
}

#[test]
fn atomics_return_what_was_there() {
    let on = |ty: &str, first: u32, atomic: &str| {
        let shared = format!("st.shared.u32 [tile], {first}; bar.sync 0; atom.shared.{atomic}.{ty} %d, [tile], ");
        let operand = if atomic == "cas" { "7, %lane;" } else { "%v;" };
        lanes(32, &ramp(32), &format!("{shared}{operand} bar.sync 0; ld.shared.u32 %d, [tile];"))[0]
    };
    let sum: u32 = (100..132).sum();
    assert_eq!(on("u32", 5, "add"), sum + 5);
    assert_eq!(on("u32", 110, "min"), 100);
    assert_eq!(on("s32", -5i32 as u32, "min"), -5i32 as u32);
    assert_eq!(on("u32", -5i32 as u32, "max"), -5i32 as u32);
    assert_eq!(on("s32", -5i32 as u32, "max"), 131);
    assert_eq!(on("b32", 1 << 20, "or"), 1 << 20 | (100..132).fold(0, |all, v| all | v));
    assert_eq!(on("b32", 0, "exch"), 131);
    assert_eq!(on("b32", 7, "cas"), 0);
    assert_eq!(on("b32", 8, "cas"), 8);
    assert_eq!(on("u32", 99, "inc"), (99 + 32));
    let floats = lanes(
        32,
        &[2f32.to_bits(); 32],
        "bar.sync 0; red.global.add.f32 [%x], 0f3F000000; bar.sync 0; ld.global.u32 %d, [%x];",
    );
    assert_eq!(f32::from_bits(floats[0]), 18.0);
    let mut old = lanes(64, &[0; 64], "bar.sync 0; atom.global.add.u32 %d, [%x], 2;");
    old.sort_unstable();
    assert_eq!(old, (0..64).map(|i| 2 * i).collect::<Vec<_>>());
}
