{#- factor v -#}
{# #}
        v = {{ constant(stage, 0) }} * v;
