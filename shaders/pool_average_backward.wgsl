// m_x[n,iy,ix,c] = sum of m_y over the windows on x's cell, each over how many of its cells count.
// One thread computes four neighbouring channels of a pixel.
{% from "parts/head.wgsl" import params, tensors, window_words, divisor_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/taps.wgsl" import each_window -%}
{%- set output, output_slot = "m_x", 1 %}
{{ params(window_words + divisor_words) }}
{{ tensors(["m_y"], ["m_x"], prologue, stages) }}
{% include "parts/which.wgsl" %}
{%- include "parts/window.wgsl" %}

    var v = vec4(0.0);
{%- call each_window() %}
            v += averaged({{ load("m_y", 0, "window") }}, window);
{%- endcall %}
    finish(v, item, image, pixel, channel);
}
{%- include "parts/averaged.wgsl" %}
{% include "parts/finish.wgsl" %}
