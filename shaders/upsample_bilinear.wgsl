// y[n,oy,ox,c] = x[n] at (scale oy + offset, scale ox + offset), clamped to the image, between its four cells.
// One thread computes four neighbouring channels of a pixel. Channels, pitches and offsets are multiples of 4.

// Sizes are pairs: height in the low half of the word, width in the high half. With `nearest`, the cell at floor(source).
struct Params {
    count: u32,
    runs: u32,
    area: u32,
    messages: u32,
    in_size: u32,
    out_size: u32,
    scale_h: f32,
    scale_w: f32,
    offset_h: f32,
    offset_w: f32,
    nearest: u32,
    @align(64) places: array<vec4<u32>, 16>,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(256)
fn upsample_bilinear(
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
    let out_size = pair(params.out_size);
    let oy = pixel / out_size.y;
    let ox = pixel - oy * out_size.y;

    let in_size = pair(params.in_size); // where its cells live
    let last_y = in_size.x - 1u;
    let last_x = in_size.y - 1u;
    let source_y = clamp(fma(f32(oy), params.scale_h, params.offset_h), 0.0, f32(last_y));
    let source_x = clamp(fma(f32(ox), params.scale_w, params.offset_w), 0.0, f32(last_x));
    let y0 = u32(source_y);
    let x0 = u32(source_x);
    let y1 = min(y0 + 1u, last_y);
    let x1 = min(x0 + 1u, last_x);
    let share_y = select(source_y - f32(y0), 0.0, params.nearest != 0u);
    let share_x = select(source_x - f32(x0), 0.0, params.nearest != 0u);
    let row0 = y0 * in_size.y;
    let row1 = y1 * in_size.y;
    let y_at = address(params.places[1], n, image, pixel, c);

    var result = (1.0 - share_y) * (1.0 - share_x) * x[address(params.places[0], n, image, row0 + x0, c) / 4u];
    if share_x != 0.0 { // between those with a share
        result += (1.0 - share_y) * share_x * x[address(params.places[0], n, image, row0 + x1, c) / 4u];
    }
    if share_y != 0.0 {
        result += share_y * (1.0 - share_x) * x[address(params.places[0], n, image, row1 + x0, c) / 4u];
    }
    if share_x != 0.0 && share_y != 0.0 {
        result += share_y * share_x * x[address(params.places[0], n, image, row1 + x1, c) / 4u];
    }

    y[y_at / 4u] = result;
}
