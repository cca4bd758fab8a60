{#- v part(a); a part that is the same everywhere is not read. -#}
{%- from "parts/part.wgsl" import part %}
{%- if stage.variant == "zero" %}
        v = {{ part("v", "zero") }};
{%- elif stage.variant != "one" %}
        let a = {{ operand(stage, 0) }};
        v = v * {{ part("a", stage.variant) }};
{%- endif %}
