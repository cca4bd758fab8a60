{#- v (a - b) -#}
{# #}
        v = v * ({{ operand(stage, 0) }} - {{ operand(stage, 1) }});
