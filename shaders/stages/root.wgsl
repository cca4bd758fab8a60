{#- The square root of v -#}
{# #}
        v = sqrt(v);
