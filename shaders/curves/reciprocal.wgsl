{#- 1 / z, with -1 / (z z) as its derivative. -#}
{%- macro value(z, stage) -%} (1.0 / {{ z }}) {%- endmacro %}
{%- macro derivative(z, stage) -%} (-1.0 / ({{ z }} * {{ z }})) {%- endmacro %}
