{#- What a kernel does to the lanes that it loads: f(scale x + shift), of which either part may be absent. -#}

{#- Lanes `x` at four channels from `channel` on. -#}
{%- macro enter(prologue, x, channel) -%}
{{ "enter(" ~ x ~ ", " ~ channel ~ ")" if prologue else x }}
{%- endmacro %}

{#- The same in two steps, where many pixels have these channels: first what the channels hold, then the lanes of a pixel. -#}
{%- macro ahead(prologue, channel) -%}
{%- if prologue and prologue.operands %}
{%- from "parts/place.wgsl" import weights %}
{%- set scale, shift = prologue.operands %}
        let scale = {{ weights(scale, channel) }};
        let shift = {{ weights(shift, channel) }};
{%- endif %}
{%- endmacro %}

{%- macro enter_by(prologue, x) -%}
{{ ("enter(" ~ x ~ (", scale, shift)" if prologue.operands else ")")) if prologue else x }}
{%- endmacro %}

{#- The function behind it. With `each` the channels are four numbers, with `by` what they hold is loaded before. -#}
{%- macro entrance(prologue, each=false, by=false) %}
{%- if prologue %}
{%- from "parts/place.wgsl" import weights %}
{%- set held = "" if not by else ", scale: vec4<f32>, shift: vec4<f32>" if prologue.operands else "" %}

// What the lanes that are loaded go through.
fn enter(x: vec4<f32>{{ held if by else ", channel: vec4<u32>" if each else ", channel: u32" }}) -> vec4<f32> {
    var z = x;
{%- if prologue.operands %}
{%- set scale, shift = prologue.operands %}
{%- if by %}
    z = fma(scale, z, shift);
{%- elif each %}
    let scales = channel + params.places[{{ scale.slot }}].z;
    let shifts = channel + params.places[{{ shift.slot }}].z;
    z = fma({{ gather(scale.pointer, "scales") }}, z, {{ gather(shift.pointer, "shifts") }});
{%- else %}
    z = fma({{ weights(scale) }}, z, {{ weights(shift) }});
{%- endif %}
{%- endif %}
{%- if prologue.curve %}
{%- import "curves/" ~ prologue.curve ~ ".wgsl" as curve %}
    z = {{ curve.value("z", prologue) }};
{%- endif %}
    return z;
}
{%- endif %}
{%- endmacro %}

{#- Four lanes of a tensor, each at an element of its own; constants per channel have no slot here. -#}
{%- macro gather(name, elements, slot=none) -%}
{{ "vec4" if slot is none or types[slot] == "f32" else "vec4<f32>(vec4" }}(
{%- for l in "xyzw" -%}
{{ name }}[{{ elements }}.{{ l }} / 4u][{{ elements }}.{{ l }} % 4u]{{ ", " if not loop.last }}
{%- endfor -%}
){{ "" if slot is none or types[slot] == "f32" else ")" }}
{%- endmacro %}
