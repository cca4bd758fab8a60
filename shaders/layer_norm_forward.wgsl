// y[n,p,c] = (x - mean) / deviation over the channels of a pixel that the mask has; the other lanes are zero.
// A block computes a pixel, its threads runs of four channels in turn.
{% from "parts/head.wgsl" import params, tensors, norm_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- set output, output_slot, x_slot = "y", 2, 0 %}
{{ params(norm_words) }}
{{ tensors(["x", "mask"], ["y"], prologue, stages) }}
{% include "parts/row.wgsl" %}
{%- include "parts/moments.wgsl" %}

    for (var channel = thread * 4u; channel < channels; channel += 1024u) {
        let v = ({{ load("x", x_slot) }} - mean) / deviation;
        finish(select(v, vec4(0.0), mask[channel / 4u] == vec4(0.0)), item, image, pixel, channel);
    }
}
{%- include "parts/total.wgsl" %}
{% include "parts/finish.wgsl" %}
