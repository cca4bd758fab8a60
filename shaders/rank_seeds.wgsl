// y[m,c] = 1 where x[c] is the m-th greatest logit of its image, counted from zero, and equal ones in order of their channels:
// so many precede it. Elsewhere, and where the mask is zero, 0. Logits compare by their bits, as floats in total order.
// One thread computes four neighbouring channels.
{% from "parts/head.wgsl" import params, tensors -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- set output, output_slot = "y", 2 %}
{{ params(["x_channels: u32"]) }}
{{ tensors(["x", "mask"], ["y"], prologue, stages) }}
{% include "parts/which.wgsl" %}
    let rank = item - image * params.messages;
    let own = keys({{ load("x", 0) }}, mask[channel / 4u]);
    let lanes = channel + vec4(0u, 1u, 2u, 3u);

    var before = vec4(0u);
    for (var c = 0u; c < params.x_channels; c += 4u) {
        let others = keys({{ load("x", 0, channel="c") }}, mask[c / 4u]);
{%- for l in "xyzw" %}
        before += precede(others.{{ l }}, c + {{ loop.index0 }}u, own, lanes);
{%- endfor %}
    }

    let is_it = (before == vec4(rank)) & (own != vec4(LEAST));
    finish(select(vec4(0.0), vec4(1.0), is_it), item, image, pixel, channel);
}

const LEAST = i32(-2147483648);

// Integers in the order of the numbers, the least where the mask is zero.
fn keys(numbers: vec4<f32>, mask: vec4<f32>) -> vec4<i32> {
    let bits = bitcast<vec4<i32>>(numbers);
    return select(bits ^ ((bits >> vec4(31u)) & vec4(0x7fffffff)), vec4(LEAST), mask == vec4(0.0));
}

// 1 for each key, of the channel in its lane, that comes after another.
fn precede(other: i32, other_lane: u32, keys: vec4<i32>, lanes: vec4<u32>) -> vec4<u32> {
    let is_first = (vec4(other) == keys) & (vec4(other_lane) < lanes);
    return select(vec4(0u), vec4(1u), (vec4(other) > keys) | is_first);
}
{% include "parts/finish.wgsl" %}
