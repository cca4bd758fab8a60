//! Kernels of the tests.

/// `sum[i] = a[i] + b[i]`, unguarded: the launch has as many threads as there are items.
pub const ADD: &str = "
.version 6.3
.target sm_75
.address_size 64
.visible .entry add(.param .u64 .ptr .global .align 4 a, .param .u64 .ptr .global .align 4 b,
                    .param .u64 .ptr .global .align 4 sum) .maxntid 256, 1, 1
{
    .reg .b64 %a, %b, %sum, %at;
    .reg .b32 %i, %block, %thread, %width;
    .reg .f32 %x, %y;
    ld.param.u64 %a, [a];
    ld.param.u64 %b, [b];
    ld.param.u64 %sum, [sum];
    mov.u32 %block, %ctaid.x;
    mov.u32 %thread, %tid.x;
    mov.u32 %width, %ntid.x;
    mad.lo.u32 %i, %block, %width, %thread;
    mul.wide.u32 %at, %i, 4;
    add.u64 %a, %a, %at;
    add.u64 %b, %b, %at;
    add.u64 %sum, %sum, %at;
    ld.global.f32 %x, [%a];
    ld.global.f32 %y, [%b];
    add.rn.f32 %x, %x, %y;
    st.global.f32 [%sum], %x;
    ret;
}
";

/// `x[i] = x[i] * factor + term`: parameters of several sizes. The last line never runs.
pub const SCALE: &str = "
.version 6.3
.target sm_75
.address_size 64
.visible .entry scale(.param .u64 .ptr .global .align 4 x, .param .f32 factor, .param .f32 term, .param .u32 count)
    .maxntid 128, 1, 1
{
    .reg .b64 %x, %at;
    .reg .b32 %i, %count, %block;
    .reg .f32 %v, %f, %t;
    .reg .pred %past, %never;
    ld.param.u64 %x, [x];
    ld.param.f32 %f, [factor];
    ld.param.f32 %t, [term];
    ld.param.u32 %count, [count];
    mov.u32 %i, %tid.x;
    mov.u32 %block, %ctaid.x;
    mad.lo.u32 %i, %block, 128, %i;
    setp.ge.u32 %past, %i, %count;
    @%past ret;
    mul.wide.u32 %at, %i, 4;
    add.u64 %x, %x, %at;
    ld.global.f32 %v, [%x];
    fma.rn.f32 %v, %v, %f, %t;
    st.global.f32 [%x], %v;
    ret;
    trap;
}
";

/// A store to the second byte of a word.
pub const CROOKED: &str = "
.version 6.3
.target sm_75
.address_size 64
.visible .entry crooked(.param .u64 .ptr .global .align 4 x) .maxntid 32, 1, 1
{
    .reg .b64 %x;
    .reg .b32 %i;
    ld.param.u64 %x, [x];
    mov.u32 %i, 1;
    st.global.u32 [%x+1], %i;
    ret;
}
";

/// Threads hand their words to their neighbours through shared memory, without a barrier between.
pub const RACE: &str = "
.version 6.3
.target sm_75
.address_size 64
.extern .shared .align 4 .b8 words[];
.visible .entry race(.param .u64 .ptr .global .align 4 x) .maxntid 64, 1, 1
{
    .reg .b64 %x, %at;
    .reg .b32 %i, %s, %v;
    ld.param.u64 %x, [x];
    mov.u32 %i, %tid.x;
    mov.u32 %s, words;
    mad.lo.u32 %s, %i, 4, %s;
    st.shared.u32 [%s], %i;
    xor.b32 %i, %i, 1;
    mov.u32 %s, words;
    mad.lo.u32 %s, %i, 4, %s;
    ld.shared.u32 %v, [%s];
    mul.wide.u32 %at, %i, 4;
    add.u64 %x, %x, %at;
    st.global.u32 [%x], %v;
    ret;
}
";
