// y[n,oy,ox,c] = max of x over the window's cells, the first one on ties; index receives its place ky width + kx.
// One thread computes four neighbouring channels of a pixel.
{% from "parts/head.wgsl" import params, tensors, window_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/taps.wgsl" import each_cell -%}
{%- set output, output_slot = "y", 1 %}
{{ params(window_words + ["wants_index: u32"]) }}
{{ tensors(["x"], ["y", "index"], prologue, stages, indices=["index"]) }}
{% include "parts/which.wgsl" %}
{%- include "parts/window.wgsl" %}

    var v = vec4(-infinity());
    var winner = vec4(0u);
{%- call each_cell() %}
            let lanes = {{ load("x", 0, "cell") }};
            let wins = (lanes > v) | is_nan(lanes); // not a number wins, so that it is not hidden
            v = select(v, lanes, wins);
            winner = select(winner, vec4(tap), wins);
{%- endcall %}
    if params.wants_index != 0u {
        index[{{ at(2) }}] = winner;
    }
    finish(v, item, image, pixel, channel);
}
{% include "parts/finish.wgsl" %}
