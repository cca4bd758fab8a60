{#- The audit of a linear layer under the epsilon rule. Without `has_signs` the shares are zero wherever z is negative. A block
    computes a row, or a subgroup of eight; parameters are read before the loop, where a read takes longer on some devices. -#}
{% from "parts/head.wgsl" import params, tensors -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import enter_by, entrance -%}
{%- from "parts/each_run.wgsl" import each_run -%}
{%- set output, output_slot = "y", 4 %}
{{ params(["width: u32", "x_channels: u32", "eps: f32", "biased: u32", "relative: u32"]) }}
{{ tensors(["s", "z", "rms", "b"], ["y"], prologue, stages) }}
{%- set lane, lanes = ("lane", 8) if by_subgroups else ("thread", 256) %}
{% include "parts/lane_row.wgsl" if by_subgroups else "parts/row.wgsl" %}
    let s_row = {{ at(0, "pixel * params.width", "0u") }};
{%- if has_signs %}
    let z_row = {{ at(1, "pixel * params.width", "0u") }};
{%- endif %}
    let pitch = vec2(params.places[0].y, params.places[1].y) / 4u;
    let is_biased = params.biased != 0u;

    var sums = vec2(0.0);
{%- call each_run(prologue, lane, lanes) %}
        var bias = vec4(0.0);
        if is_biased {
            bias = b[run];
        }
        for (var x = first.y; x < width; x += down) {
            let shares = {{ run("s", 0, "s_row + x * pitch.x + run") }};
{%- if has_signs %}
            let values = {{ enter_by(prologue, run("z", 1, "z_row + x * pitch.y + run")) }};
            let to_eps = select(shares, -shares, values < vec4(0.0));
{%- else %}
            let to_eps = shares;
{%- endif %}
            if is_biased {
                sums.x += dot(shares, bias);
            }
            sums.y += dot(to_eps, vec4(1.0));
        }
{%- endcall %}
    let v = {{ "subgroupAdd(sums)" if by_subgroups else "total(sums, thread)" }};
    if {{ lane }} == 0u {
        let scale = select(1.0, {{ load("rms", 2, "0u", "0u") }}.x, params.relative != 0u);
        finish(vec4(v.x, params.eps * scale * v.y, 0.0, 0.0), item, image, pixel, 0u);
    }
}
{%- if not by_subgroups %}
{%- include "parts/total.wgsl" %}
{%- endif %}
{{- entrance(prologue, by=true) }}
{% include "parts/finish.wgsl" %}
