{#- v (a + b) / 2 -#}
{# #}
        v = v * ({{ operand(stage, 0) }} + {{ operand(stage, 1) }}) * 0.5;
