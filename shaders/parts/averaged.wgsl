
// A sum over how many cells of the window count, at least one. By rule 1 those on the image, by 2 those on its padding, too,
// but not those beyond, which only ceil mode adds; by rule 0 the sum itself.
fn averaged(sum: vec4<f32>, window: u32) -> vec4<f32> {
    if params.rule == 0u { return sum; }
{%- include "parts/window.wgsl" %}
    let is_padded = params.rule == 2u;
    let low = select(pad, vec2(0u), is_padded);
    let extent = select(in_size, in_size + pad + pair(params.pad_after), is_padded);
    let start = vec2<i32>(low) - vec2<i32>(position(window, out_size.y) * stride);
    let before = vec2<u32>(max(start, vec2(0)));
    let after = vec2<u32>(max(start + vec2<i32>(extent), vec2(0)));
    let first = (before + dilation - 1u) / dilation;
    let end = min((after + dilation - 1u) / dilation, kernel);
    let cells = max(vec2<i32>(end) - vec2<i32>(first), vec2(0));
    return sum / f32(max(cells.x * cells.y, 1));
}
