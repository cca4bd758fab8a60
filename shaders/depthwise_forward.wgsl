// y[n,oy,ox,c] = stages(b[c] + sum over ky, kx of x[n,iy,ix,c] w[ky,kx,c])
// where iy = oy stride + ky dilation - pad, and likewise ix.
// One thread computes four neighbouring channels of a pixel; w is [kh, kw, channels].
{% from "parts/head.wgsl" import params, tensors, window_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/taps.wgsl" import each_cell -%}
{%- set output, output_slot = "y", 3 %}
{{ params(window_words) }}
{{ tensors(["x", "w", "b"], ["y"], prologue, stages) }}
{% include "parts/which.wgsl" %}
{%- include "parts/window.wgsl" %}

    var v = b[channel / 4u];
{%- call each_cell() %}
            v = fma({{ load("x", 0, "cell") }}, {{ run("w", 1, "tap * params.runs + channel / 4u") }}, v);
{%- endcall %}
    finish(v, item, image, pixel, channel);
}
{% include "parts/finish.wgsl" %}
