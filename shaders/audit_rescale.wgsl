// y[n,row,0] = sum of mask over the pixels and channels of a row where |prologue(z) - prologue(z')| < tiny; the other lanes
// are zero.
// A block computes a row, its threads runs of four channels in turn.
{% from "parts/head.wgsl" import params, tensors -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import enter, entrance -%}
{%- set output, output_slot = "y", 3 %}
{{ params(["width: u32", "x_channels: u32"]) }}
{{ tensors(["z", "z_reference", "mask"], ["y"], prologue, stages) }}
{% include "parts/row.wgsl" %}
    let row_runs = params.x_channels / 4u;

    var sum = 0.0;
    for (var unit = thread; unit < row_runs * params.width; unit += 256u) {
        let place = position(unit, row_runs);
        let cell = pixel * params.width + place.x;
        let channel = place.y * 4u;
        let values = {{ enter(prologue, load("z", 0, "cell"), "channel") }};
        let references = {{ enter(prologue, load("z_reference", 1, "cell"), "channel") }};
        let is_close = abs(values - references) < vec4(1e-10);
        sum += dot(select(vec4(0.0), mask[channel / 4u], is_close), vec4(1.0));
    }
    let v = total(vec2(sum, 0.0), thread).x;
    if thread == 0u {
        finish(vec4(v, 0.0, 0.0, 0.0), item, image, pixel, 0u);
    }
}
{%- include "parts/total.wgsl" %}
{{- entrance(prologue) }}
{% include "parts/finish.wgsl" %}
