//! C = A B with tensor cores: tiles of 64 x 64, 16 along K at a time, two stages of `cp.async`.
#![allow(dead_code, reason = "each test uses a part")]

use std::fmt::Write;

/// Floats from one row of A's tile to the next, and of B's: no two lanes of a fragment share a bank.
const PITCH: [u32; 2] = [20, 72];
/// Bytes of a stage of each tile.
const STAGE: [u32; 2] = [64 * PITCH[0] * 4, 16 * PITCH[1] * 4];

/// The PTX of kernel `gemm(a, b, c, n, k)`, for 128 threads and a block per tile; M and N are multiples of 64, K of 16.
pub fn gemm_tf32() -> String {
    let mut text = String::from(HEAD);
    for i in 0..32 {
        writeln!(text, "    mov.f32 %sum{i}, 0f00000000;").unwrap();
    }
    text += LOOP;
    for k in [0, 8] {
        fragments(&mut text, k);
        for (m, n) in (0..2).flat_map(|m| (0..4).map(move |n| (m, n))) {
            let sums: Vec<String> = (0..4).map(|i| format!("%sum{}", (m * 4 + n) * 4 + i)).collect();
            let a: Vec<String> = (0..4).map(|i| format!("%fa{}", m * 4 + i)).collect();
            let sums = sums.join(", ");
            writeln!(
                text,
                "    mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {{{sums}}}, {{{}}}, {{%fb{}, %fb{}}}, {{{sums}}};",
                a.join(", "),
                2 * n,
                2 * n + 1
            )
            .unwrap();
        }
    }
    text += NEXT;
    for (m, n) in (0..2).flat_map(|m| (0..4).map(move |n| (m, n))) {
        for half in 0..2 {
            let i = (m * 4 + n) * 4 + 2 * half;
            writeln!(text, "    mad.lo.u32 %i, %n, {}, %c_at;", m * 16 + half * 8).unwrap();
            writeln!(text, "    mul.wide.u32 %at, %i, 4;\n    add.u64 %at, %c, %at;").unwrap();
            writeln!(text, "    st.global.v2.f32 [%at+{}], {{%sum{i}, %sum{}}};", n * 32, i + 1).unwrap();
        }
    }
    text + "    ret;\n}\n"
}

/// Loads the fragments of A and B at column or row `k` of the stage.
fn fragments(text: &mut String, k: u32) {
    for i in 0..8 {
        let (m, part) = (i / 4, i % 4);
        let offset = 4 * ((m * 16 + part % 2 * 8) * PITCH[0] + k + part / 2 * 4);
        writeln!(text, "    ld.shared.b32 %fa{i}, [%a_from+{offset}];\n    cvt.rna.tf32.f32 %fa{i}, %fa{i};").unwrap();
    }
    for i in 0..8 {
        let offset = 4 * ((k + i % 2 * 4) * PITCH[1] + i / 2 * 8);
        writeln!(text, "    ld.shared.b32 %fb{i}, [%b_from+{offset}];\n    cvt.rna.tf32.f32 %fb{i}, %fb{i};").unwrap();
    }
}

const _: () = assert!(STAGE[0] == 5120 && STAGE[1] == 4608);

const HEAD: &str = "\
.version 7.0
.target sm_80
.address_size 64
.visible .entry gemm(
    .param .u64 .ptr .global .align 16 a, .param .u64 .ptr .global .align 16 b, .param .u64 .ptr .global .align 16 c,
    .param .u32 n, .param .u32 k
) .maxntid 128, 1, 1
{
    .shared .align 16 .b8 a_tile[10240];
    .shared .align 16 .b8 b_tile[9216];
    .reg .pred %last;
    .reg .b32 %n, %k, %t, %lane, %warp, %g, %q, %row, %column, %i, %a_to, %b_to, %a_read, %b_read, %a_from, %b_from;
    .reg .b32 %step, %steps, %stage, %c_at, %to, %fa<8>, %fb<8>;
    .reg .f32 %sum<32>;
    .reg .b64 %a, %b, %c, %at, %a_row32, %b_row8, %b_step;

    ld.param.u64 %a, [a];
    ld.param.u64 %b, [b];
    ld.param.u64 %c, [c];
    ld.param.u32 %n, [n];
    ld.param.u32 %k, [k];
    mov.u32 %t, %tid.x;
    and.b32 %lane, %t, 31;
    shr.u32 %warp, %t, 5;
    shr.u32 %g, %lane, 2;
    and.b32 %q, %lane, 3;

    // A: thread t copies four floats of rows t / 4 and t / 4 + 32.
    shr.u32 %row, %t, 2;
    and.b32 %column, %t, 3;
    mov.u32 %i, %ctaid.y;
    mad.lo.u32 %i, %i, 64, %row;
    mul.lo.u32 %i, %i, %k;
    mad.lo.u32 %i, %column, 4, %i;
    mul.wide.u32 %at, %i, 4;
    add.u64 %a, %a, %at;
    mul.wide.u32 %a_row32, %k, 128;
    mov.u32 %a_to, a_tile;
    mad.lo.u32 %a_to, %row, 80, %a_to;
    mad.lo.u32 %a_to, %column, 16, %a_to;

    // B: thread t copies four floats of rows t / 16 and t / 16 + 8.
    shr.u32 %row, %t, 4;
    and.b32 %column, %t, 15;
    mov.u32 %i, %ctaid.x;
    mul.lo.u32 %i, %i, 64;
    mad.lo.u32 %i, %column, 4, %i;
    mad.lo.u32 %i, %row, %n, %i;
    mul.wide.u32 %at, %i, 4;
    add.u64 %b, %b, %at;
    mul.wide.u32 %b_row8, %n, 32;
    mul.wide.u32 %b_step, %n, 64;
    mov.u32 %b_to, b_tile;
    mad.lo.u32 %b_to, %row, 288, %b_to;
    mad.lo.u32 %b_to, %column, 16, %b_to;

    // Warps are 2 x 2; each has 32 x 32 of the tile.
    shr.u32 %row, %warp, 1;
    and.b32 %column, %warp, 1;
    mad.lo.u32 %row, %row, 32, %g;
    shl.b32 %column, %column, 5;
    mov.u32 %a_read, a_tile;
    mad.lo.u32 %a_read, %row, 80, %a_read;
    mad.lo.u32 %a_read, %q, 4, %a_read;
    mov.u32 %b_read, b_tile;
    add.u32 %i, %column, %g;
    mad.lo.u32 %b_read, %i, 4, %b_read;
    mad.lo.u32 %b_read, %q, 288, %b_read;
    mov.u32 %i, %ctaid.y;
    mad.lo.u32 %c_at, %i, 64, %row;
    mul.lo.u32 %c_at, %c_at, %n;
    mov.u32 %i, %ctaid.x;
    mad.lo.u32 %c_at, %i, 64, %c_at;
    add.u32 %c_at, %c_at, %column;
    mad.lo.u32 %c_at, %q, 2, %c_at;

    shr.u32 %steps, %k, 4;
    mov.u32 %step, 0;
";

const LOOP: &str = "\
    cp.async.cg.shared.global [%a_to], [%a], 16;
    add.u64 %at, %a, %a_row32;
    cp.async.cg.shared.global [%a_to+2560], [%at], 16;
    cp.async.cg.shared.global [%b_to], [%b], 16;
    add.u64 %at, %b, %b_row8;
    cp.async.cg.shared.global [%b_to+2304], [%at], 16;
    cp.async.commit_group;
again:
    and.b32 %stage, %step, 1;
    add.u32 %step, %step, 1;
    setp.ge.u32 %last, %step, %steps;
    @%last bra loaded;
    add.u64 %a, %a, 64;
    add.u64 %b, %b, %b_step;
    xor.b32 %i, %stage, 1;
    mad.lo.u32 %to, %i, 5120, %a_to;
    cp.async.cg.shared.global [%to], [%a], 16;
    add.u64 %at, %a, %a_row32;
    cp.async.cg.shared.global [%to+2560], [%at], 16;
    mad.lo.u32 %to, %i, 4608, %b_to;
    cp.async.cg.shared.global [%to], [%b], 16;
    add.u64 %at, %b, %b_row8;
    cp.async.cg.shared.global [%to+2304], [%at], 16;
loaded:
    cp.async.commit_group;
    cp.async.wait_group 1;
    bar.sync 0; // filled
    mad.lo.u32 %a_from, %stage, 5120, %a_read;
    mad.lo.u32 %b_from, %stage, 4608, %b_read;
";

const NEXT: &str = "\
    bar.sync 0; // read
    @!%last bra again;
";
