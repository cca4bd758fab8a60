{#- max(z, 0); not a number stays so. -#}
{%- macro value(z, stage) -%} select({{ z }}, vec4(0.0), {{ z }} < vec4(0.0)) {%- endmacro %}
{%- macro derivative(z, stage) -%} select(vec4(0.0), vec4(1.0), {{ z }} > vec4(0.0)) {%- endmacro %}
{%- macro larger(z, stage) -%} {{ z }} > vec4(0.0) {%- endmacro %}
