{#- Calls back for each run of four channels of a row that a thread has: `lanes` threads share the row, as many runs side by side as it
    has, and pixels from first.y on, `down` apart, so that what a channel holds is loaded once for all of its pixels. -#}
{%- from "parts/prologue.wgsl" import ahead -%}
{%- macro each_run(prologue, lane, lanes) %}
    let row_runs = params.x_channels / 4u;
    let across = min(row_runs, {{ lanes }}u);
    let down = {{ lanes }}u / across;
    let first = vec2({{ lane }} % across, {{ lane }} / across);
    let width = select(0u, params.width, first.y < down);
    for (var run = first.x; run < row_runs; run += across) {
{{- ahead(prologue, "run * 4u") }}
{{- caller() }}
    }
{%- endmacro %}
