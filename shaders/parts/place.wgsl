{#- Where tensors and constants lie, as expressions. A thread works on channels from `channel` on of pixel `pixel` of item
    `item`, or of its image `image`. -#}

{#- Index of four lanes of the tensor whose place has number `slot`. -#}
{%- macro at(slot, pixel="pixel", channel="channel") -%}
address(params.places[{{ slot }}], item, image, {{ pixel }}, {{ channel }})
{%- endmacro %}

{#- Four lanes of a tensor at an index. Those of types[slot] = "f16" become floats; constants per channel have no slot here and are. -#}
{%- macro run(name, slot, index) -%}
{{ "vec4<f32>(" if types[slot] == "f16" }}{{ name }}[{{ index }}]{{ ")" if types[slot] == "f16" }}
{%- endmacro %}

{%- macro load(name, slot, pixel="pixel", channel="channel") -%}
{{ run(name, slot, at(slot, pixel, channel)) }}
{%- endmacro %}

{#- Stores v; beyond the largest half it becomes that. -#}
{%- macro store(name, slot) -%}
{{ name }}[{{ at(slot) }}] = {{ "vec4<f16>(bounded(v, -65504.0, 65504.0))" if types[slot] == "f16" else "v" }}
{%- endmacro %}

{#- The first bit of four lanes, of all bits; with `spread` one channel serves all. -#}
{%- macro bits_at(tensor, item="item", image="image", pixel="pixel", channel="channel") -%}
bits_address(params.places[{{ tensor.slot }}], {{ item }}, {{ image }}, {{ pixel }}, {{ "0u" if tensor.spread else channel }})
{%- endmacro %}

{#- Four weights per channel, from `channel` on. -#}
{%- macro weights(tensor, channel="channel") -%}
{{ tensor.pointer }}[(params.places[{{ tensor.slot }}].z + {{ channel }}) / 4u]
{%- endmacro %}

{%- macro lanes(tensor) -%}
{{ load(tensor.pointer, tensor.slot, channel="0u" if tensor.spread else "channel") }}{{ ".xxxx" if tensor.spread }}
{%- endmacro %}

{#- The lanes of a stage's operand. -#}
{%- macro operand(stage, index) -%}
{%- set tensor = stage.operands[index] -%}
{%- if tensor.scale_shift -%}
fma({{ weights(tensor.scale_shift[0]) }}, {{ lanes(tensor) }}, {{ weights(tensor.scale_shift[1]) }})
{%- else -%}
{{ lanes(tensor) }}
{%- endif -%}
{%- endmacro %}

{#- Word `number` of the constants of prologue and stages. -#}
{%- macro word(number) -%}
params.constants[{{ number // 4 }}].{{ "xyzw"[number % 4] }}
{%- endmacro %}

{#- A constant of a stage. -#}
{%- macro constant(stage, index) -%}
bitcast<f32>({{ word(stage.constants + index) }})
{%- endmacro %}
