//! What lanes do together: exchanges, matrices, atomics, barriers that reduce, asynchronous copies.

mod common;

use common::{alloc_u32, kernel_text, launch, noise, read_f32, read_u32, run_text};
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
    let floats =
        lanes(32, &[2f32.to_bits(); 32], "red.global.add.f32 [%x], 0f3F000000; bar.sync 0; ld.global.u32 %d, [%x];");
    assert_eq!(f32::from_bits(floats[0]), 18.0);
    let mut old = lanes(64, &[0; 64], "atom.global.add.u32 %d, [%x], 2;");
    old.sort_unstable();
    assert_eq!(old, (0..64).map(|i| 2 * i).collect::<Vec<_>>());
}

#[test]
fn copies_fill_with_zeros() {
    let body = "mul.lo.u32 %r0, %t, 16; mov.u32 %r1, tile; add.u32 %r1, %r1, %r0; mul.lo.u32 %r2, %t, 4; rem.u32 %r2, %r2, 20;\n\
        cp.async.ca.shared.global [%r1], [%x], 16, %r2; cp.async.commit_group; cp.async.wait_group 0;\n\
        ld.shared.v4.u32 {%r3, %r4, %r5, %r6}, [%r1]; add.u32 %d, %r3, %r4; add.u32 %d, %d, %r5; add.u32 %d, %d, %r6;";
    let want: Vec<u32> = (0..32).map(|i| (100..100 + i % 5).sum()).collect();
    assert_eq!(lanes(32, &ramp(32), body), want);
}

#[test]
fn matrices_move_between_shared_memory_and_fragments() {
    // Thread t stores row t of four 8 x 8 matrices: element (i, r, c) = 64 i + 8 r + c.
    let fill: String = (0..4)
        .map(|k| {
            format!(
                "mad.lo.u32 %r{k}, %t, 8, {}; mad.lo.u32 %r{k}, %r{k}, 65536, %r{k}; add.u32 %r{k}, %r{k}, 65536;\n",
                2 * k
            )
        })
        .collect();
    let fill = format!(
        "{fill}mov.u32 %r8, tile; mad.lo.u32 %r8, %t, 16, %r8; st.shared.v4.b32 [%r8], {{%r0, %r1, %r2, %r3}}; bar.sync 0;\n"
    );
    let element = |i: u32, r: u32, c: u32| 64 * i + 8 * r + c;
    let pack = |lo: u32, hi: u32| lo | hi << 16;
    for (trans, at) in [("", false), (".trans", true)] {
        for register in 0..4u32 {
            let body = format!(
                "{fill}ldmatrix.sync.aligned.m8n8.x4{trans}.shared.b16 {{%r4, %r5, %r6, %r7}}, [%r8]; mov.b32 %d, %r{};",
                4 + register
            );
            for (lane, got) in lanes(32, &ramp(32), &body).into_iter().enumerate() {
                let (g, t) = (lane as u32 / 4, lane as u32 % 4);
                let want = match at {
                    false => pack(element(register, g, 2 * t), element(register, g, 2 * t + 1)),
                    true => pack(element(register, 2 * t, g), element(register, 2 * t + 1, g)),
                };
                assert_eq!(got, want, "{trans} register {register} lane {lane}");
            }
        }
        // Stored again, and read back as rows.
        let body = format!(
            "{fill}ldmatrix.sync.aligned.m8n8.x2{trans}.shared.b16 {{%r4, %r5}}, [%r8]; bar.sync 0;\n\
             stmatrix.sync.aligned.m8n8.x2{trans}.shared.b16 [%r8+1024], {{%r4, %r5}}; bar.sync 0;\n\
             mov.u32 %r9, tile; mad.lo.u32 %r9, %t, 4, %r9; ld.shared.u32 %d, [%r9+1024];"
        );
        let want: Vec<u32> = (0..32).map(|i| pack(2 * i, 2 * i + 1)).collect();
        assert_eq!(lanes(32, &ramp(32), &body), want, "{trans}");
    }
}

/// The bits of a small integer as f16 or bf16.
fn half_bits(value: i32, bf16: bool) -> u32 {
    let bits = (value as f32).to_bits();
    match (bf16, value) {
        (true, _) => bits >> 16,
        (false, 0) => 0,
        (false, _) => (bits >> 16 & 0x8000) | ((bits >> 23 & 0xff) - 112) << 10 | (bits >> 13 & 0x3ff),
    }
}

#[test]
fn products_of_halves() {
    let values: Vec<i32> = noise(16 * 16 + 16 * 8 + 16 * 8, 9).iter().map(|v| (v * 16.0) as i32).collect();
    let (a, rest) = values.split_at(256);
    let (b, c) = rest.split_at(128);
    for (bf16, k) in [(false, 16), (true, 16), (false, 8), (true, 8)] {
        // Each lane's registers, as the PTX manual draws the fragments.
        let mut x = Vec::new();
        for lane in 0..32 {
            let (g, t) = (lane / 4, lane % 4);
            let pair = |lo: i32, hi: i32| half_bits(lo, bf16) | half_bits(hi, bf16) << 16;
            for i in 0..4 {
                let (row, column) = (g + 8 * (i % 2), (2 * t + 8 * (i / 2)) % k);
                x.push(pair(a[row * 16 + column], a[row * 16 + column + 1]));
            }
            for i in 0..2 {
                let row = (2 * t + 8 * i) % k;
                x.push(pair(b[row * 8 + g], b[(row + 1) * 8 + g]));
            }
            x.extend([0, 1, 8 * 8, 8 * 8 + 1].map(|at| (c[g * 8 + 2 * t + at] as f32).to_bits()));
        }
        let ty = if bf16 { "bf16" } else { "f16" };
        let (fragment_a, fragment_b) =
            if k == 16 { ("{%a0, %a1, %a2, %a3}", "{%b0, %b1}") } else { ("{%a0, %a1}", "{%b0}") };
        let body = format!(
            ".reg .b64 %x, %y; .reg .b32 %t, %a<4>, %b<2>; .reg .f32 %c<4>;\n\
             ld.param.u64 %x, [x]; ld.param.u64 %y, [y]; mov.u32 %t, %tid.x; mad.wide.u32 %x, %t, 40, %x; mad.wide.u32 %y, %t, 16, %y;\n\
             ld.global.v2.b32 {{%a0, %a1}}, [%x]; ld.global.v2.b32 {{%a2, %a3}}, [%x+8]; ld.global.v2.b32 {{%b0, %b1}}, [%x+16];\n\
             ld.global.v2.f32 {{%c0, %c1}}, [%x+24]; ld.global.v2.f32 {{%c2, %c3}}, [%x+32];\n\
             mma.sync.aligned.m16n8k{k}.row.col.f32.{ty}.{ty}.f32 {{%c0, %c1, %c2, %c3}}, {fragment_a}, {fragment_b}, {{%c0, %c1, %c2, %c3}};\n\
             st.global.v4.f32 [%y], {{%c0, %c1, %c2, %c3}}; ret;"
        );
        let mut memory = Memory::new();
        let buffers = [alloc_u32(&mut memory, &x), memory.alloc(512)];
        run_text(&kernel_text(&["x", "y"], &body), &launch(1, 32, &buffers), &mut memory, &Options::default()).unwrap();
        for (i, got) in read_f32(&memory, buffers[1], 128).into_iter().enumerate() {
            let (lane, part) = (i / 4, i % 4);
            let (row, column) = (lane / 4 + 8 * (part / 2), 2 * (lane % 4) + part % 2);
            let sum: i32 = (0..k).map(|k| a[row * 16 + k] * b[k * 8 + column]).sum();
            assert_eq!(got, (sum + c[row * 8 + column]) as f32, "{ty} k{k} {row}, {column}");
        }
    }
}
