{#- Writes v to another tensor and goes on. -#}
{# #}
        {{ stage.operands[0].pointer }}[{{ at(stage.operands[0].slot) }}] = v;
