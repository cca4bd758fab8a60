{#- v n / (z + eps sgn0(z)) with n = 1, z or f(z); over infinity where the denominator is 0. -#}
{# #}
        let z = {{ operand(stage, 0) }};
        let eps = {{ constant(stage, stage.curve_constants) }};
{%- if stage.curve %}
{%- import "curves/" ~ stage.curve ~ ".wgsl" as curve %}
{%- if stage.operands | length > 1 %}
        let slope = {{ operand(stage, 1) }};
{%- endif %}
        v = v * {{ curve.value("z", stage) }};
{%- elif stage.variant == "over_z" %}
        v = v * z;
{%- endif %}
        let stabilised = z + select(vec4(eps), vec4(-eps), z < vec4(0.0));
        v = v / select(stabilised, vec4(infinity()), stabilised == vec4(0.0));
