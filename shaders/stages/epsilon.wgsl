{#- v n / (z + eps sgn0(z)) with n = 1, z or f(z), and eps rms for eps where that is relative; over infinity where the
    denominator is 0. -#}
{# #}
        let z = {{ operand(stage, 0) }};
{%- set is_relative = "relative" in stage.variant %}
        let eps = {{ constant(stage, stage.curve_constants) }}{{ " * (" ~ operand(stage, 1) ~ ").x" if is_relative }};
{%- if stage.curve %}
{%- import "curves/" ~ stage.curve ~ ".wgsl" as curve %}
{%- if stage.curve == "prelu" %}
        let slope = {{ operand(stage, 2 if is_relative else 1) }};
{%- endif %}
        v = v * {{ curve.value("z", stage) }};
{%- elif "over_z" in stage.variant %}
        v = v * z;
{%- endif %}
        let stabilised = z + select(vec4(eps), vec4(-eps), z < vec4(0.0));
        v = v / select(stabilised, vec4(infinity()), stabilised == vec4(0.0));
