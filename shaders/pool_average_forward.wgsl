// y[n,oy,ox,c] = sum of prologue(x) over the window's cells, over how many count; without the division by rule 0.
// One thread computes four neighbouring channels of a pixel.
{% from "parts/head.wgsl" import params, tensors, window_words, divisor_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import enter, entrance -%}
{%- from "parts/taps.wgsl" import each_cell -%}
{%- set output, output_slot = "y", 1 %}
{{ params(window_words + divisor_words) }}
{{ tensors(["x"], ["y"], prologue, stages) }}
{% include "parts/which.wgsl" %}
{%- include "parts/window.wgsl" %}

    var v = vec4(0.0);
{%- call each_cell() %}
            v += {{ enter(prologue, load("x", 0, "cell"), "channel") }};
{%- endcall %}
    finish(averaged(v, pixel), item, image, pixel, channel);
}
{%- include "parts/averaged.wgsl" %}
{{- entrance(prologue) }}
{% include "parts/finish.wgsl" %}
