// m_x[n,iy,ix,c] = stages(b[c] + sum over ky, kx of m_y[n,oy,ox,c] w[ky,kx,c])
// where oy stride + ky dilation - pad = iy, and likewise ox: a depthwise convolution's transpose. b is zero for
// messages.
// One thread computes four neighbouring channels of a pixel; w is [kh, kw, channels].
{% from "parts/head.wgsl" import params, tensors, window_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/taps.wgsl" import each_tap -%}
{%- set output, output_slot = "m_x", 3 %}
{{ params(window_words) }}
{{ tensors(["m_y", "w", "b"], ["m_x"], prologue, stages) }}
{% include "parts/which.wgsl" %}
{%- include "parts/window.wgsl" %}

    var v = b[channel / 4u];
{%- call each_tap() %}
            v = fma({{ load("m_y", 0, "window") }}, {{ run("w", 1, "tap * params.runs + channel / 4u") }}, v);
{%- endcall %}
    finish(v, item, image, pixel, channel);
}
{% include "parts/finish.wgsl" %}
