// y[n,oy,ox,o] = stages(b[o] + sum over ky, kx, i of prologue(x[n,iy,ix,i]) w[ky,kx,i,o])
// where iy = oy stride + ky dilation - pad, and likewise ix.
// One thread computes four neighbouring output channels of a pixel; w is [kh, kw, in / groups, out]: loads run along o.
// Channels of a group, in and out, are multiples of 4. Padding channels, after the last group, have no contributions.
{% from "parts/head.wgsl" import params, tensors, window_words, group_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import enter, entrance -%}
{%- from "parts/taps.wgsl" import each_cell -%}
{%- set output, output_slot = "y", 3 %}
{{ params(window_words + group_words) }}
{{ tensors(["x", "w", "b"], ["y"], prologue, stages) }}
{% include "parts/which.wgsl" %}
{%- include "parts/window.wgsl" %}
    let in_group = channel / params.group_out;
    let end = select(0u, params.group_in, in_group < params.groups);
    let base = in_group * params.group_in;
    let w_row = params.w_pitch / 4u;

    var v = b[channel / 4u];
{%- call each_cell() %}
            let x_at = {{ at(0, "cell", "base") }};
            var w_at = tap * params.group_in * w_row + channel / 4u;
            for (var lane = 0u; lane < end; lane += 4u) {
                let lanes = {{ enter(prologue, run("x", 0, "x_at + lane / 4u"), "base + lane") }};
{%- for l in "xyzw" %}
                v = fma(vec4(lanes.{{ l }}), {{ run("w", 1, "w_at" ~ (" + " ~ loop.index0 ~ "u * w_row" if not loop.first)) }}, v);
{%- endfor %}
                w_at += 4u * w_row;
            }
{%- endcall %}
    finish(v, item, image, pixel, channel);
}
{{- entrance(prologue) }}
{% include "parts/finish.wgsl" %}
