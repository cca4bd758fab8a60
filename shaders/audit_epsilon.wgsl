// y[n,row,0] = sum of s b and y[n,row,1] = eps sum of s sgn0(prologue(z)), over the pixels and channels of a row, with eps rms
// for eps where that is relative; the other lanes are zero, and so is the first where the layer is not biased.
// A block computes a row, its threads runs of four channels in turn.
{% from "parts/head.wgsl" import params, tensors -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import enter, entrance -%}
{%- set output, output_slot = "y", 4 %}
{{ params(["width: u32", "x_channels: u32", "eps: f32", "biased: u32", "relative: u32"]) }}
{{ tensors(["s", "z", "rms", "b"], ["y"], prologue, stages) }}
{% include "parts/row.wgsl" %}
    let row_runs = params.x_channels / 4u;

    var sums = vec2(0.0);
    for (var unit = thread; unit < row_runs * params.width; unit += 256u) {
        let place = position(unit, row_runs);
        let cell = pixel * params.width + place.x;
        let channel = place.y * 4u;
        let shares = {{ load("s", 0, "cell") }};
        let values = {{ enter(prologue, load("z", 1, "cell"), "channel") }};
        if params.biased != 0u {
            sums.x += dot(shares, b[channel / 4u]);
        }
        sums.y += dot(select(shares, -shares, values < vec4(0.0)), vec4(1.0));
    }
    let v = total(sums, thread);
    if thread == 0u {
        let scale = select(1.0, {{ load("rms", 2, "0u", "0u") }}.x, params.relative != 0u);
        finish(vec4(v.x, params.eps * scale * v.y, 0.0, 0.0), item, image, pixel, 0u);
    }
}
{%- include "parts/total.wgsl" %}
{{- entrance(prologue) }}
{% include "parts/finish.wgsl" %}
