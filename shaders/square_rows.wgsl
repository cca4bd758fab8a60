// y[n,row,0] = sum of the squares of prologue(x) over the pixels and channels of a row; the other lanes are zero.
// A block computes a row, its threads runs of four channels in turn.
{% from "parts/head.wgsl" import params, tensors -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import enter, entrance -%}
{%- set output, output_slot = "y", 1 %}
{{ params(["width: u32", "x_channels: u32"]) }}
{{ tensors(["x"], ["y"], prologue, stages) }}
{% include "parts/row.wgsl" %}
    let row_runs = params.x_channels / 4u;

    var sum = 0.0;
    for (var unit = thread; unit < row_runs * params.width; unit += 256u) {
        let place = position(unit, row_runs);
        let cell = pixel * params.width + place.x;
        let channel = place.y * 4u;
        let values = {{ enter(prologue, load("x", 0, "cell"), "channel") }};
        sum += dot(values, values);
    }
    let v = total(vec2(sum, 0.0), thread).x;
    if thread == 0u {
        finish(vec4(v, 0.0, 0.0, 0.0), item, image, pixel, 0u);
    }
}
{%- include "parts/total.wgsl" %}
{{- entrance(prologue) }}
{% include "parts/finish.wgsl" %}
