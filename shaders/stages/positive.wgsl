{#- max(v, 0) -#}
{%- from "parts/part.wgsl" import part %}
        v = {{ part("v", "pos") }};
