{#- z times (z + 3) / 6 between 0 and 1; its derivative is z / 3 + 1 / 2 between the kinks at -3 and 3. -#}
{%- macro value(z, stage) -%} ({{ z }} * bounded(({{ z }} + 3.0) * 0.166666667, 0.0, 1.0)) {%- endmacro %}
{%- macro derivative(z, stage) -%}
select(select(fma({{ z }}, vec4(0.333333333), vec4(0.5)), vec4(1.0), {{ z }} >= vec4(3.0)), vec4(0.0), {{ z }} <= vec4(-3.0))
{%- endmacro %}
