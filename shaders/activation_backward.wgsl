// m_x[n,p,c] = m_y[n,p,c]: the kernel of elementwise steps.
// One thread computes four neighbouring channels of a pixel. Channels, pitches and offsets are multiples of 4.

struct Params {
    count: u32,
    runs: u32,
    area: u32,
    messages: u32,
    @align(64) places: array<vec4<u32>, 16>,
}

@group(0) @binding(0) var<storage, read> m_y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> m_x: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(256)
fn activation_backward(
    @builtin(workgroup_id) block: vec3<u32>,
    @builtin(num_workgroups) blocks: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = linear_index(block, blocks, thread); // which channels of which pixel of which item
    if i >= params.count { return; }
    let row = i / params.runs;
    let channel = (i - row * params.runs) * 4u;
    let item = row / params.area;
    let pixel = row - item * params.area;
    let image = item / params.messages;

    let m_y_at = address(params.places[0], item, image, pixel, channel); // where they live
    let m_x_at = address(params.places[1], item, image, pixel, channel);

    m_x[m_x_at / 4u] = m_y[m_y_at / 4u];
}
