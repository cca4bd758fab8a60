{#- conv2d_forward in tiles of `rows` pixels by `columns` channels, of a convolution in several groups where `groups`. -#}
{% from "parts/head.wgsl" import params, tensors, window_words, group_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import enter, ahead, enter_by, entrance -%}
{%- set output, output_slot, source, transposed = "y", 3, "x", false %}
{{ params(window_words + group_words) }}
{{ tensors(["x", "w", "b"], ["y"], prologue, stages) }}
{% include "parts/tile_which.wgsl" %}
{%- include "parts/window.wgsl" %}
    let inputs = params.group_in;
{%- if groups %}
    let base = in_group * inputs; // the first channel that the group reads
{%- endif %}
    let all_rows = params.count / params.runs;
    if tile_row * {{ rows }}u{{ ' + some_row / 8u * 8u' if not depth }} >= all_rows { return; }
    let source_size = in_size;
    let first_tap = vec2(0u);
    let tap_step = vec2(1u);
    let shift_step = dilation;
    let products = kernel.x * kernel.y * inputs;
{%- set held, apart = (2, rows // 2) if depth else (height, 8) %}
{%- for r in range(held) %}
    let row{{ r }} = tile_row * {{ rows }}u + some_row + {{ r * apart }}u;
    let is_row{{ r }} = row{{ r }} < all_rows;
    let item{{ r }} = row{{ r }} / params.area;
    let pixel{{ r }} = row{{ r }} - item{{ r }} * params.area;
    let corner{{ r }} = position(pixel{{ r }}, out_size.y) * stride - pad;
{%- endfor %}
{% include "parts/tile_sum.wgsl" if depth else "parts/lane_sum.wgsl" %}
}
{{- entrance(prologue, by=not depth) }}
{% include "parts/finish.wgsl" %}
