// y[n,oy,ox,o] = stages(b[o] + sum over ky, kx, i of prologue(x[n,iy,ix,first + i]) w[ky,kx,i,o])
// where o's group begins at channel first, iy = oy stride + ky dilation - pad, and likewise ix: groups of any size.
// One thread computes four neighbouring output channels of a pixel, each with the inputs of its own group.
// w is [kh, kw, in / groups, out], zero in padding channels, which may read any group.
{% from "parts/head.wgsl" import params, tensors, window_words, group_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import enter, entrance, gather -%}
{%- from "parts/taps.wgsl" import each_cell -%}
{%- set output, output_slot = "y", 3 %}
{{ params(window_words + group_words) }}
{{ tensors(["x", "w", "b"], ["y"], prologue, stages) }}
{% include "parts/which.wgsl" %}
{%- include "parts/window.wgsl" %}
    let first = min((channel + vec4(0u, 1u, 2u, 3u)) / params.group_out, vec4(params.groups - 1u)) * params.group_in;
    let w_row = params.w_pitch / 4u;

    var v = b[channel / 4u];
{%- call each_cell() %}
            let x_at = {{ at(0, "cell", "0u") }} * 4u;
            let w_at = tap * params.group_in * w_row + channel / 4u;
            for (var lane = 0u; lane < params.group_in; lane++) {
                let channels = first + lane;
                let elements = x_at + channels;
                let lanes = {{ enter(prologue, gather("x", "elements", 0), "channels") }};
                v = fma(lanes, {{ run("w", 1, "w_at + lane * w_row") }}, v);
            }
{%- endcall %}
    finish(v, item, image, pixel, channel);
}
{{- entrance(prologue, each=true) }}
{% include "parts/finish.wgsl" %}
