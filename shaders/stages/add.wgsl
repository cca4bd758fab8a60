{#- v + a, or v - a. -#}
{# #}
        v = v {{ "-" if stage.variant == "sub" else "+" }} {{ operand(stage, 0) }};
