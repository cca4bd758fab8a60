// y[n,p,0] = sum over c of w[n,p,c] a[n,p,c], or with w of one pixel; the other lanes of y are zero.
// A block computes a pixel, its threads runs of four channels in turn.
{% from "parts/head.wgsl" import params, tensors -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- set output, output_slot = "y", 2 %}
{{ params(["a_channels: u32", "one_pixel: u32"]) }}
{{ tensors(["w", "a"], ["y"], prologue, stages) }}
{% include "parts/row.wgsl" %}
    let w_pixel = select(pixel, 0u, params.one_pixel != 0u);

    var sum = 0.0;
    for (var channel = thread * 4u; channel < params.a_channels; channel += 1024u) {
        sum += dot({{ load("w", 0, "w_pixel") }}, {{ load("a", 1) }});
    }
    let v = total(vec2(sum, 0.0), thread).x;
    if thread == 0u {
        finish(vec4(v, 0.0, 0.0, 0.0), item, image, pixel, 0u);
    }
}
{%- include "parts/total.wgsl" %}
{% include "parts/finish.wgsl" %}
