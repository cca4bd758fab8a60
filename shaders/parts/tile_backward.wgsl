{#- conv2d_backward in tiles of `rows` pixels by `columns` channels, of a convolution in several groups where `groups`.
    Pixels a stride apart are reached by the same taps, their phase's: ky, ky + step, ... where step is the least for
    which step dilation is a multiple of the stride; each of them meets a window that many strides before the last. -#}
{% from "parts/head.wgsl" import params, tensors, window_words, group_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import enter, ahead, enter_by, entrance -%}
{%- set output, output_slot, source, transposed = "m_x", 3, "m_y", true %}
{{ params(window_words + group_words) }}
{{ tensors(["m_y", "w", "b"], ["m_x"], prologue, stages) }}
{% include "parts/tile_which.wgsl" %}
{%- include "parts/window.wgsl" %}
    let inputs = params.group_out;
{%- if groups %}
    let base = in_group * inputs; // the first channel that the group reads
{%- endif %}
    let phases = position(tile_row, stride.x * stride.y);
    let phase = position(phases.y, stride.y);
    let strip = (in_size + stride - 1u) / stride;
    let strip_area = strip.x * strip.y;
    let all_rows = params.count / params.runs / params.area * strip_area;
    if phases.x * {{ rows }}u{{ ' + some_row / 8u * 8u' if not depth }} >= all_rows { return; }
    let down = reached(phase.x, pad.x, stride.x, dilation.x, kernel.x);
    let across = reached(phase.y, pad.y, stride.y, dilation.y, kernel.y);
    let source_size = out_size;
    let first_tap = vec2(down.x, across.x);
    let tap_step = vec2(down.y, across.y);
    let shift_step = vec2(0u) - tap_step * dilation / stride;
    let products = down.w * across.w * inputs;
{%- set held, apart = (2, rows // 2) if depth else (height, 8) %}
{%- for r in range(held) %}
    let row{{ r }} = phases.x * {{ rows }}u + some_row + {{ r * apart }}u;
    let item{{ r }} = row{{ r }} / strip_area;
    let cell{{ r }} = position(row{{ r }} - item{{ r }} * strip_area, strip.y);
    let place{{ r }} = cell{{ r }} * stride + phase;
    let pixel{{ r }} = place{{ r }}.x * in_size.y + place{{ r }}.y;
    let is_row{{ r }} = row{{ r }} < all_rows && all(place{{ r }} < in_size);
    let corner{{ r }} = cell{{ r }} + vec2(down.z, across.z);
{%- endfor %}
{% include "parts/tile_sum.wgsl" if depth else "parts/lane_sum.wgsl" %}
}
{%- include "parts/reached.wgsl" %}
{% include "parts/finish.wgsl" %}
