// m_x[n,iy,ix,c] = sum of m_y over the windows that x's cell won.
// One thread computes four neighbouring channels of a pixel.
{% from "parts/head.wgsl" import params, tensors, window_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/taps.wgsl" import each_window -%}
{%- set output, output_slot = "m_x", 2 %}
{{ params(window_words) }}
{{ tensors(["m_y", "index"], ["m_x"], prologue, stages, indices=["index"]) }}
{% include "parts/which.wgsl" %}
{%- include "parts/window.wgsl" %}

    var v = vec4(0.0);
{%- call each_window() %}
            let won = index[{{ at(1, "window") }}] == vec4(tap);
            v = select(v, v + {{ load("m_y", 0, "window") }}, won);
{%- endcall %}
    finish(v, item, image, pixel, channel);
}
{% include "parts/finish.wgsl" %}
