{#- Writes v to another tensor and goes on. -#}
{# #}
        {{ store(stage.operands[0].pointer, stage.operands[0].slot) }};
