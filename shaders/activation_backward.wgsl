// m_x[n,p,c] = m_y[n,p,c] f'(z[image(n),p,c]) where f' has two values: `high` where the forward bit is set, else `low`.
// One thread computes four neighbouring channels of a pixel. Channels, pitches and offsets are multiples of 4; a pixel's
// bits fill whole bytes, so the four bits lie in one word.

// Bit 0: multiply by high or low. Bit 1: take max(m, 0) first (NaN stays NaN).
// 1 = gradient, 3 = guided backprop, 2 = DeconvNet, 0 = copy.
override GATE: u32 = 1u;

struct Params {
    count: u32,
    channels: u32,
    area: u32,
    messages_per_image: u32,
    m_y_pitch: u32,
    m_y_offset: u32,
    bits_pitch: u32,
    bits_offset: u32,
    m_x_pitch: u32,
    m_x_offset: u32,
    high: f32,
    low: f32,
}

@group(0) @binding(0) var<storage, read> m_y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> bits: array<u32>;
@group(0) @binding(2) var<storage, read_write> m_x: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(256)
fn activation_backward(
    @builtin(workgroup_id) block: vec3<u32>,
    @builtin(num_workgroups) blocks: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = linear_index(block, blocks, thread); // which channels of which pixel
    if i >= params.count { return; }
    let vectors = params.channels / 4u;
    let pixel = i / vectors;
    let c = (i - pixel * vectors) * 4u;
    let message = pixel / params.area;
    let image = message / params.messages_per_image;

    let image_pixel = pixel - (message - image) * params.area; // where they live
    let bits_at = image_pixel * params.bits_pitch + params.bits_offset + c;
    let m_y_at = pixel * params.m_y_pitch + params.m_y_offset + c;
    let m_x_at = pixel * params.m_x_pitch + params.m_x_offset + c;

    var m = m_y[m_y_at / 4u]; // the gates
    if (GATE & 2u) != 0u {
        m = select(m, vec4(0.0), m < vec4(0.0));
    }
    if (GATE & 1u) != 0u {
        let word = bits[bits_at / 32u] >> (bits_at % 32u);
        let is_set = (vec4(word) & vec4(1u, 2u, 4u, 8u)) != vec4(0u);
        m = m * select(vec4(params.low), vec4(params.high), is_set);
    }

    m_x[m_x_at / 4u] = m;
}
