// m_x[n,iy,ix,c] = sum of v h m_y[n,oy,ox,c] over the cells of y that read x's: v and h are what they give it along each axis.
// One thread computes four neighbouring channels of a pixel.
{% from "parts/head.wgsl" import params, tensors, resize_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- set output, output_slot = "m_x", 1 %}
{{ params(resize_words) }}
{{ tensors(["m_y"], ["m_x"], prologue, stages) }}
{% include "parts/which.wgsl" %}
    let out_size = pair(params.out_size);
    let cell = position(pixel, pair(params.in_size).y);
    let rows = readers(cell.x, 0u);
    let columns = readers(cell.y, 1u);

    var v = vec4(0.0);
    for (var oy = rows.x; oy < rows.y; oy++) {
        let along = given(oy, cell.x, 0u);
        for (var ox = columns.x; ox < columns.y; ox++) {
            let share = along * given(ox, cell.y, 1u);
            if share == 0.0 { continue; }
            let read = oy * out_size.y + ox;
            v = fma(vec4(share), {{ load("m_y", 0, "read") }}, v);
        }
    }
    finish(v, item, image, pixel, channel);
}

// Cells of y along an axis, from one to before another, that may read cell i of x: one more at each side than do.
fn readers(i: u32, axis: u32) -> vec2<u32> {
    let scale = vec2(params.scale_h, params.scale_w)[axis];
    let offset = vec2(params.offset_h, params.offset_w)[axis];
    let cells = pair(params.in_size)[axis];
    let outputs = pair(params.out_size)[axis];
    let first = (f32(i) - offset - 1.0) / scale - 1.0;
    let end = ceil((f32(i) - offset + 1.0) / scale + 2.0);
    return vec2(
        select(u32(max(first, 0.0)), 0u, i == 0u || scale <= 0.0),
        select(min(u32(max(end, 0.0)), outputs), outputs, i + 1u == cells || scale <= 0.0),
    );
}

// What cell o of y gives cell i of x along an axis.
fn given(o: u32, i: u32, axis: u32) -> f32 {
    let place = source(o, axis);
    let low = u32(place);
    let share = shares(vec2(place, 0.0)).x;
    return select(select(0.0, share, low + 1u == i), 1.0 - share, low == i);
}
{%- include "parts/source.wgsl" %}
{% include "parts/finish.wgsl" %}
