{#- z where it is positive, else alpha (exp(z) - 1). -#}
{%- from "parts/place.wgsl" import constant %}
{%- macro below(z) -%} select({{ z }}, vec4(0.0), {{ z }} > vec4(0.0)) {%- endmacro %}
{%- macro value(z, stage) -%}
select({{ constant(stage, 0) }} * exponential_less_one({{ below(z) }}), {{ z }}, {{ z }} > vec4(0.0))
{%- endmacro %}
{%- macro derivative(z, stage) -%}
select({{ constant(stage, 0) }} * exponential({{ below(z) }}), vec4(1.0), {{ z }} > vec4(0.0))
{%- endmacro %}
