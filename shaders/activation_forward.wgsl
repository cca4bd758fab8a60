// y[n,p,c] = stages(x[n,p,c]): the kernel of elementwise steps.
// One thread computes four neighbouring channels of a pixel.
{% from "parts/head.wgsl" import params, tensors -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- set output, output_slot = "y", 1 %}
{{ params() }}
{{ tensors(["x"], ["y"], prologue, stages) }}
{% include "parts/which.wgsl" %}
    finish({{ load("x", 0) }}, item, image, pixel, channel);
}
{% include "parts/finish.wgsl" %}
