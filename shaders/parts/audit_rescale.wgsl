{#- The audit of a rescale rule. A block computes a row, or a subgroup of eight; parameters are read before the loop, where a read
    takes longer on some devices. -#}
{% from "parts/head.wgsl" import params, tensors -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import enter_by, entrance -%}
{%- from "parts/each_run.wgsl" import each_run -%}
{%- set output, output_slot = "y", 3 %}
{{ params(["width: u32", "x_channels: u32"]) }}
{{ tensors(["z", "z_reference", "mask"], ["y"], prologue, stages) }}
{%- set lane, lanes = ("lane", 8) if by_subgroups else ("thread", 256) %}
{% include "parts/lane_row.wgsl" if by_subgroups else "parts/row.wgsl" %}
    let z_row = {{ at(0, "pixel * params.width", "0u") }};
    let reference_row = {{ at(1, "pixel * params.width", "0u") }};
    let pitch = vec2(params.places[0].y, params.places[1].y) / 4u;

    var sum = 0.0;
{%- call each_run(prologue, lane, lanes) %}
        let masks = mask[run];
        for (var x = first.y; x < width; x += down) {
            let values = {{ enter_by(prologue, run("z", 0, "z_row + x * pitch.x + run")) }};
            let references = {{ enter_by(prologue, run("z_reference", 1, "reference_row + x * pitch.y + run")) }};
            let is_close = abs(values - references) < vec4(1e-10);
            sum += dot(select(vec4(0.0), masks, is_close), vec4(1.0));
        }
{%- endcall %}
    let v = {{ "subgroupAdd(sum)" if by_subgroups else "total(vec2(sum, 0.0), thread).x" }};
    if {{ lane }} == 0u {
        finish(vec4(v, 0.0, 0.0, 0.0), item, image, pixel, 0u);
    }
}
{%- if not by_subgroups %}
{%- include "parts/total.wgsl" %}
{%- endif %}
{{- entrance(prologue, by=true) }}
{% include "parts/finish.wgsl" %}
