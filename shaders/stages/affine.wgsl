{#- scale v + shift -#}
{# #}
        v = fma({{ operand(stage, 0) }}, v, {{ operand(stage, 1) }});
