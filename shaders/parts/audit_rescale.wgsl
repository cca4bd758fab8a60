{#- The audit of a rescale rule. A block computes a row, or a subgroup of eight; its threads compute runs of four channels in turn.
    Parameters are read before the loop, where a read takes longer on some devices. -#}
{% from "parts/head.wgsl" import params, tensors -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import enter, entrance -%}
{%- set output, output_slot = "y", 3 %}
{{ params(["width: u32", "x_channels: u32"]) }}
{{ tensors(["z", "z_reference", "mask"], ["y"], prologue, stages) }}
{%- set lane, lanes = ("lane", 8) if by_subgroups else ("thread", 256) %}
{% include "parts/lane_row.wgsl" if by_subgroups else "parts/row.wgsl" %}
    let row_runs = params.x_channels / 4u;
    let end = row_runs * params.width;
    let z_row = {{ at(0, "pixel * params.width", "0u") }};
    let reference_row = {{ at(1, "pixel * params.width", "0u") }};
    let pitch = vec2(params.places[0].y, params.places[1].y) / 4u;

    var sum = 0.0;
    for (var unit = {{ lane }}; unit < end; unit += {{ lanes }}u) {
        let place = position(unit, row_runs);
        let values = {{ enter(prologue, run("z", 0, "z_row + place.x * pitch.x + place.y"), "place.y * 4u") }};
        let references = {{ enter(prologue, run("z_reference", 1, "reference_row + place.x * pitch.y + place.y"), "place.y * 4u") }};
        let is_close = abs(values - references) < vec4(1e-10);
        sum += dot(select(vec4(0.0), mask[place.y], is_close), vec4(1.0));
    }
    let v = {{ "subgroupAdd(sum)" if by_subgroups else "total(vec2(sum, 0.0), thread).x" }};
    if {{ lane }} == 0u {
        finish(vec4(v, 0.0, 0.0, 0.0), item, image, pixel, 0u);
    }
}
{%- if not by_subgroups %}
{%- include "parts/total.wgsl" %}
{%- endif %}
{{- entrance(prologue) }}
{% include "parts/finish.wgsl" %}
