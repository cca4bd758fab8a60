{#- A part of v. -#}
{%- from "parts/part.wgsl" import part %}
        v = {{ part("v", stage.variant) }};
