{#- z s(z) with the sigmoid s; its derivative is s (1 + z (1 - s)). -#}
{%- macro value(z, stage) -%} ({{ z }} * sigmoid({{ z }})) {%- endmacro %}
{%- macro derivative(z, stage) -%}
(sigmoid({{ z }}) * fma({{ z }}, 1.0 - sigmoid({{ z }}), vec4(1.0)))
{%- endmacro %}
