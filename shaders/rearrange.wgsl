// y[i] = x[table[i]], elements counted in the views' channels; the last two numbers stand for the fill value and for zero.
// One thread moves four neighbouring channels of a pixel.
{% from "parts/head.wgsl" import params, tensors -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- set output, output_slot = "y", 2 %}
{{ params(["x_channels: u32", "fill: f32"]) }}
{{ tensors(["x", "table"], ["y"], prologue, stages, indices=["table"]) }}
{% include "parts/which.wgsl" %}
    let entries = table[pixel * params.runs + channel / 4u];
    let v = vec4(
{%- for l in "xyzw" %}
        moved(entries.{{ l }}, item, image),
{%- endfor %}
    );
    finish(v, item, image, pixel, channel);
}

// Element `number` of x, or what stands for it.
fn moved(number: u32, item: u32, image: u32) -> f32 {
    if number >= 0xfffffffeu {
        return select(0.0, params.fill, number == 0xffffffffu);
    }
    let place = position(number, params.x_channels);
    return {{ load("x", 0, "place.x", "place.y") }}[place.y % 4u];
}
{% include "parts/finish.wgsl" %}
