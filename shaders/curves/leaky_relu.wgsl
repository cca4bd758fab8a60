{#- z where it is positive, else slope z. -#}
{%- from "parts/place.wgsl" import constant %}
{%- macro value(z, stage) -%}
select({{ constant(stage, 0) }} * {{ z }}, {{ z }}, {{ z }} > vec4(0.0))
{%- endmacro %}
{%- macro derivative(z, stage) -%}
select(vec4({{ constant(stage, 0) }}), vec4(1.0), {{ z }} > vec4(0.0))
{%- endmacro %}
{%- macro larger(z, stage) -%} {{ z }} > vec4(0.0) {%- endmacro %}
