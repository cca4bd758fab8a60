{#- ln(1 + exp(z)) = max(z, 0) + ln(1 + exp(-|z|)), with the sigmoid as its derivative. -#}
{%- macro value(z, stage) -%}
(log_of_one_more(exponential(-abs({{ z }}))) + select({{ z }}, vec4(0.0), {{ z }} < vec4(0.0)))
{%- endmacro %}
{%- macro derivative(z, stage) -%} sigmoid({{ z }}) {%- endmacro %}
