{#- s(z) = 1 / (1 + exp(-z)), with s (1 - s) as its derivative. -#}
{%- macro value(z, stage) -%} sigmoid({{ z }}) {%- endmacro %}
{%- macro derivative(z, stage) -%} (sigmoid({{ z }}) * (1.0 - sigmoid({{ z }}))) {%- endmacro %}
