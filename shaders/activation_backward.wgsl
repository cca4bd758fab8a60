// m_x[n,p,c] = stages(m_y[n,p,c]): the kernel of elementwise steps.
// One thread computes four neighbouring channels of a pixel.
{% from "parts/head.wgsl" import params, tensors -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- set output, output_slot = "m_x", 1 %}
{{ params() }}
{{ tensors(["m_y"], ["m_x"], prologue, stages) }}
{% include "parts/which.wgsl" %}
    finish({{ load("m_y", 0) }}, item, image, pixel, channel);
}
{% include "parts/finish.wgsl" %}
