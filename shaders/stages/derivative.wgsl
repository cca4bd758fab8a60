{#- v f'(z) -#}
{%- import "curves/" ~ stage.curve ~ ".wgsl" as curve %}
        let z = {{ operand(stage, 0) }};
        v = v * {{ curve.derivative("z", stage) }};
