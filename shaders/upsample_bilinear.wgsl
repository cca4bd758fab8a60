// y[n,oy,ox,c] = x[n] at (scale oy + offset, scale ox + offset), clamped to the image, between its four cells: those with a
// share, or with `nearest` the cell at floor(source) alone.
// One thread computes four neighbouring channels of a pixel.
{% from "parts/head.wgsl" import params, tensors, resize_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- set output, output_slot = "y", 1 %}
{{ params(resize_words) }}
{{ tensors(["x"], ["y"], prologue, stages) }}
{% include "parts/which.wgsl" %}
    let in_size = pair(params.in_size);
    let cell = position(pixel, pair(params.out_size).y);
    let sources = vec2(source(cell.x, 0u), source(cell.y, 1u));
    let low = vec2<u32>(sources);
    let high = min(low + 1u, in_size - 1u);
    let share = shares(sources);
    let row = low.x * in_size.y;
    let next_row = high.x * in_size.y;

    var v = (1.0 - share.x) * (1.0 - share.y) * {{ load("x", 0, "row + low.y") }};
    if share.y != 0.0 {
        v = fma(vec4((1.0 - share.x) * share.y), {{ load("x", 0, "row + high.y") }}, v);
    }
    if share.x != 0.0 {
        v = fma(vec4(share.x * (1.0 - share.y)), {{ load("x", 0, "next_row + low.y") }}, v);
    }
    if share.x != 0.0 && share.y != 0.0 {
        v = fma(vec4(share.x * share.y), {{ load("x", 0, "next_row + high.y") }}, v);
    }
    finish(v, item, image, pixel, channel);
}
{%- include "parts/source.wgsl" %}
{% include "parts/finish.wgsl" %}
