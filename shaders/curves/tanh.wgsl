{#- The hyperbolic tangent t, with 1 - t t as its derivative. -#}
{%- macro value(z, stage) -%} hyperbolic_tangent({{ z }}) {%- endmacro %}
{%- macro derivative(z, stage) -%}
fma(-hyperbolic_tangent({{ z }}), hyperbolic_tangent({{ z }}), vec4(1.0))
{%- endmacro %}
