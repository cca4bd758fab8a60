{#- Writes the bits "f'(v) is the larger of its two values". -#}
{%- import "curves/" ~ stage.curve ~ ".wgsl" as curve %}
        {{ stage.operands[0].pointer }}[{{ bits_at(stage.operands[0]) }}] = bits_of({{ curve.larger("v", stage) }});
