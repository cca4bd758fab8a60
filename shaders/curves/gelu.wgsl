{#- z P(z) with the normal distribution P; its derivative is P(z) + z exp(-z z / 2) / sqrt(2 pi). -#}
{%- macro value(z, stage) -%} ({{ z }} * normal({{ z }})) {%- endmacro %}
{%- macro derivative(z, stage) -%}
fma({{ z }}, exponential({{ z }} * -0.5 * {{ z }}) * 0.398942280, normal({{ z }}))
{%- endmacro %}
