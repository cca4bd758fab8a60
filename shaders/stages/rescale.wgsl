{#- v (f(z) - f(z')) / (z - z'), or v f'(z) where |z - z'| < tiny. -#}
{%- import "curves/" ~ stage.curve ~ ".wgsl" as curve %}
        let z = {{ operand(stage, 0) }};
        let reference = {{ operand(stage, 1) }};
{%- if stage.operands | length > 2 %}
        let slope = {{ operand(stage, 2) }};
{%- endif %}
        let difference = z - reference;
        let is_close = abs(difference) < vec4({{ constant(stage, stage.curve_constants) }});
        let gain = {{ curve.value("z", stage) }} - {{ curve.value("reference", stage) }};
        let rise = select(gain, {{ curve.derivative("z", stage) }}, is_close);
        v = v * (rise / select(difference, vec4(1.0), is_close));
