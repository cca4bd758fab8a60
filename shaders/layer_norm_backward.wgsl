// m_x[n,p,c] = (m_y - mean(m_y) - d mean(m_y d) / deviation^2) / deviation with d = x - mean, over the channels of a pixel that
// the mask has; without the third term where the deviation is fixed. The other lanes are zero.
// A block computes a pixel, its threads runs of four channels in turn.
{% from "parts/head.wgsl" import params, tensors, norm_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- set output, output_slot, x_slot = "m_x", 3, 1 %}
{{ params(norm_words + ["fixed: u32"]) }}
{{ tensors(["m_y", "x", "mask"], ["m_x"], prologue, stages) }}
{% include "parts/row.wgsl" %}
{%- include "parts/moments.wgsl" %}

    var products = vec2(0.0);
    for (var channel = thread * 4u; channel < channels; channel += 1024u) {
        let m = {{ load("m_y", 0) }};
        products += vec2(dot(m, vec4(1.0)), dot(m, {{ load("x", 1) }} - mean));
    }
    products = total(products, thread) / many;
    let slope = select(products.y / deviation / deviation, 0.0, params.fixed != 0u);

    for (var channel = thread * 4u; channel < channels; channel += 1024u) {
        let d = {{ load("x", 1) }} - mean;
        let v = ({{ load("m_y", 0) }} - products.x - d * slope) / deviation;
        finish(select(v, vec4(0.0), mask[channel / 4u] == vec4(0.0)), item, image, pixel, channel);
    }
}
{%- include "parts/total.wgsl" %}
{% include "parts/finish.wgsl" %}
