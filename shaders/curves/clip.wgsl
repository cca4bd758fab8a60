{#- z between two bounds; not a number stays so. -#}
{%- from "parts/place.wgsl" import constant %}
{%- macro value(z, stage) -%} bounded({{ z }}, {{ constant(stage, 0) }}, {{ constant(stage, 1) }}) {%- endmacro %}
{%- macro derivative(z, stage) -%} select(vec4(0.0), vec4(1.0), {{ larger(z, stage) }}) {%- endmacro %}
{%- macro larger(z, stage) -%}
({{ z }} > vec4({{ constant(stage, 0) }})) & ({{ z }} < vec4({{ constant(stage, 1) }}))
{%- endmacro %}
