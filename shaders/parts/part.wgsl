{#- A part of four lanes: all, pos, neg, square, one or zero; not a number stays so. -#}
{%- macro part(v, which) -%}
{%- if which == "pos" -%} select({{ v }}, vec4(0.0), {{ v }} < vec4(0.0))
{%- elif which == "neg" -%} select({{ v }}, vec4(0.0), {{ v }} > vec4(0.0))
{%- elif which == "square" -%} ({{ v }} * {{ v }})
{%- elif which == "one" -%} vec4(1.0)
{%- elif which == "zero" -%} vec4(0.0)
{%- else -%} {{ v }}
{%- endif -%}
{%- endmacro %}
