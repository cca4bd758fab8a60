{#- z where it is positive, else slope z; the stage has loaded `slope`. -#}
{%- macro value(z, stage) -%} select(slope * {{ z }}, {{ z }}, {{ z }} > vec4(0.0)) {%- endmacro %}
{%- macro derivative(z, stage) -%} select(slope, vec4(1.0), {{ z }} > vec4(0.0)) {%- endmacro %}
{%- macro larger(z, stage) -%} {{ z }} > vec4(0.0) {%- endmacro %}
