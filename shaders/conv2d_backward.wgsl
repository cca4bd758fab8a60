// m_x[n,iy,ix,i] = b[i] + sum over ky, kx, o of m_y[n,oy,ox,o] w[ky,kx,i,o] where oy stride + ky dilation - pad = iy, and
// likewise ox: a convolution's transpose. b is zero for messages, the bias for a transposed convolution's forward.
// One thread computes four neighbouring input channels of a pixel, w is [kh, kw, in / groups, out]: loads run along o.
// Channels, pitches and offsets are multiples of 4; so are in / groups and out / groups where there are several groups.

// Pairs: top or height in the low half of the word, left or width in the high half.
struct Params {
    count: u32,
    runs: u32,
    area: u32,
    messages: u32,
    in_size: u32,
    out_size: u32,
    kernel: u32,
    stride: u32,
    dilation: u32,
    pad: u32,
    groups: u32,
    group_in: u32,
    group_out: u32,
    w_pitch: u32,
    @align(64) places: array<vec4<u32>, 16>,
}

@group(0) @binding(0) var<storage, read> m_y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> m_x: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(256)
fn conv2d_backward(
    @builtin(workgroup_id) block: vec3<u32>,
    @builtin(num_workgroups) blocks: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = linear_index(block, blocks, thread); // which channels of which pixel of which item
    if i >= params.count { return; }
    let row = i / params.runs;
    let c = (i - row * params.runs) * 4u;
    let n = row / params.area;
    let pixel = row - n * params.area;
    let image = n / params.messages;
    let in_size = pair(params.in_size);
    let iy = pixel / in_size.y;
    let ix = pixel - iy * in_size.y;

    let group = c / params.group_in; // where their contributions live; padding channels after the last group have none
    let lane = c - group * params.group_in;
    let first = group * params.group_out;
    let end = select(0u, first + params.group_out, group < params.groups);
    let out_size = pair(params.out_size);
    let kernel = pair(params.kernel);
    let stride = pair(params.stride);
    let dilation = pair(params.dilation);
    let bottom = iy + pair(params.pad).x;
    let right = ix + pair(params.pad).y;
    let m_x_at = address(params.places[3], n, image, pixel, c);

    var sum = b[c / 4u]; // a distance below zero wraps around, past every bound
    for (var ky = 0u; ky < kernel.x; ky++) {
        let down = bottom - ky * dilation.x;
        let oy = down / stride.x;
        if oy * stride.x != down || oy >= out_size.x { continue; }
        for (var kx = 0u; kx < kernel.y; kx++) {
            let across = right - kx * dilation.y;
            let ox = across / stride.y;
            if ox * stride.y != across || ox >= out_size.y { continue; }
            let tap = ky * kernel.y + kx;
            let m_y_at = address(params.places[0], n, image, oy * out_size.y + ox, 0u);
            let w_at = (tap * params.group_in + lane) * params.w_pitch;
            for (var o = first; o < end; o += 4u) {
                let m = m_y[(m_y_at + o) / 4u];
                let w0 = w[(w_at + o) / 4u];
                let w1 = w[(w_at + o + params.w_pitch) / 4u];
                let w2 = w[(w_at + o + params.w_pitch * 2u) / 4u];
                let w3 = w[(w_at + o + params.w_pitch * 3u) / 4u];
                sum += vec4(dot(m, w0), dot(m, w1), dot(m, w2), dot(m, w3));
            }
        }
    }

    m_x[m_x_at / 4u] = sum;
}
