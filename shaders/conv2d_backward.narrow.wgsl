// m_x[n,iy,ix,i] = stages(b[i] + sum over ky, kx, o of m_y[n,oy,ox,first + o] w[ky,kx,lane,first + o])
// where the outputs of i's group begin at channel first, lane is i's place in the group,
// oy stride + ky dilation - pad = iy, and likewise ox: groups of any size.
// One thread computes four neighbouring input channels of a pixel, each with the outputs of its own group.
// w is [kh, kw, in / groups, out]. Padding channels, after the last group, have no contributions.
{% from "parts/head.wgsl" import params, tensors, window_words, group_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import gather -%}
{%- from "parts/taps.wgsl" import each_tap -%}
{%- set output, output_slot = "m_x", 3 %}
{{ params(window_words + group_words) }}
{{ tensors(["m_y", "w", "b"], ["m_x"], prologue, stages) }}
{% include "parts/which.wgsl" %}
{%- include "parts/window.wgsl" %}
    let lanes = channel + vec4(0u, 1u, 2u, 3u);
    let is_real = lanes / params.group_in < vec4(params.groups);
    let in_group = min(lanes / params.group_in, vec4(params.groups - 1u));
    let first = in_group * params.group_out;
    let w_first = (lanes - in_group * params.group_in) % params.group_in * params.w_pitch + first;

    var v = b[channel / 4u];
{%- call each_tap() %}
            let m_at = {{ at(0, "window", "0u") }} * 4u + first;
            let w_at = tap * params.group_in * params.w_pitch + w_first;
            for (var lane = 0u; lane < params.group_out; lane++) {
                let messages = m_at + lane;
                let weights = w_at + lane;
                v = select(v, fma({{ gather("m_y", "messages", 0) }}, {{ gather("w", "weights", 1) }}, v), is_real);
            }
{%- endcall %}
    finish(v, item, image, pixel, channel);
}
{% include "parts/finish.wgsl" %}
