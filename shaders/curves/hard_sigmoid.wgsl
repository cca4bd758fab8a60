{#- alpha z + beta between 0 and 1; not a number stays so. -#}
{%- from "parts/place.wgsl" import constant %}
{%- macro line(z, stage) -%} ({{ constant(stage, 0) }} * {{ z }} + {{ constant(stage, 1) }}) {%- endmacro %}
{%- macro value(z, stage) -%} bounded({{ line(z, stage) }}, 0.0, 1.0) {%- endmacro %}
{%- macro derivative(z, stage) -%}
select(vec4(0.0), vec4({{ constant(stage, 0) }}), {{ larger(z, stage) }})
{%- endmacro %}
{%- macro larger(z, stage) -%}
({{ line(z, stage) }} > vec4(0.0)) & ({{ line(z, stage) }} < vec4(1.0))
{%- endmacro %}
