{#- f(v) -#}
{%- import "curves/" ~ stage.curve ~ ".wgsl" as curve %}
{%- if stage.operands %}
        let slope = {{ operand(stage, 0) }};
{%- endif %}
        v = {{ curve.value("v", stage) }};
