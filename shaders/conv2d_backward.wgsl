// m_x[n,iy,ix,i] = stages(b[i] + sum over ky, kx, o of m_y[n,oy,ox,o] w[ky,kx,i,o])
// where oy stride + ky dilation - pad = iy, and likewise ox: a convolution's transpose. b is zero for messages, the
// bias for a transposed convolution's forward.
// One thread computes four neighbouring input channels of a pixel; w is [kh, kw, in / groups, out]: loads run along o.
// Channels of a group, in and out, are multiples of 4. Padding channels, after the last group, have no contributions.
{% from "parts/head.wgsl" import params, tensors, window_words, group_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/taps.wgsl" import each_tap -%}
{%- set output, output_slot = "m_x", 3 %}
{{ params(window_words + group_words) }}
{{ tensors(["m_y", "w", "b"], ["m_x"], prologue, stages) }}
{% include "parts/which.wgsl" %}
{%- include "parts/window.wgsl" %}
    let in_group = channel / params.group_in;
    let end = select(0u, params.group_out, in_group < params.groups);
    let first = channel - in_group * params.group_in;
    let base = in_group * params.group_out;
    let w_row = params.w_pitch / 4u;

    var v = b[channel / 4u];
{%- call each_tap() %}
            let m_at = {{ at(0, "window", "base") }};
            let w_at = (tap * params.group_in + first) * w_row + base / 4u;
            for (var lane = 0u; lane < end / 4u; lane++) {
                let m = {{ run("m_y", 0, "m_at + lane") }};
{%- for l in "xyzw" %}
                let w{{ loop.index0 }} = {{ run("w", 1, "w_at + lane" ~ (" + " ~ loop.index0 ~ "u * w_row" if not loop.first)) }};
{%- endfor %}
{%- for l in "xyzw" %}
                v = fma(vec4(m.{{ l }}), vec4(w0.{{ l }}, w1.{{ l }}, w2.{{ l }}, w3.{{ l }}), v);
{%- endfor %}
            }
{%- endcall %}
    finish(v, item, image, pixel, channel);
}
{% include "parts/finish.wgsl" %}
