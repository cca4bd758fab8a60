{#- What a kernel declares. types[slot] is how the numbers of a tensor are stored, f32 or f16; constants per channel are f32. -#}

{#- The parameters: `words`, names with types, are the kernel's own after the four of every kernel. -#}
{%- macro params(words=[]) -%}
{{ "enable f16;\n\n" if "f16" in types -}}
struct Params {
    count: u32,
    runs: u32,
    area: u32,
    messages: u32,
{%- for word in words %}
    {{ word }},
{%- endfor %}
    @align(64) places: array<vec4<u32>, 16>,
    constants: array<vec4<u32>, 12>,
}
{%- endmacro %}

{#- The words of a window; pairs: height (or top) in the low half, width (or left) in the high half. -#}
{%- set window_words = ["in_size: u32", "out_size: u32", "kernel: u32", "stride: u32", "dilation: u32", "pad: u32"] %}
{%- set divisor_words = ["rule: u32", "pad_after: u32"] %}
{%- set norm_words = ["real_channels: u32", "epsilon: f32"] %}
{%- set resize_words = ["in_size: u32", "out_size: u32", "scale_h: f32", "scale_w: f32", "offset_h: f32", "offset_w: f32",
                        "nearest: u32"] %}
{#- Inputs with a value per channel. -#}
{%- set channel_constants = ["b", "mask", "colours"] %}
{%- set group_words = ["groups: u32", "group_in: u32", "group_out: u32", "w_pitch: u32"] %}

{%- macro tensor(binding, access, name, type) %}
@group(0) @binding({{ binding }}) var<storage, {{ access }}> {{ name }}: array<{{ type }}>;
{%- endmacro %}

{#- The tensors: inputs, outputs, operands of the prologue and the stages (each pointer once), then `constants` where the
    weights among these lie one after another; then the parameters. Those named in `indices` hold four integers a vector, those
    in `words` pixels of bytes. -#}
{%- macro tensors(inputs, outputs, prologue, stages, indices=[], words=[]) %}
{%- set next = namespace(binding=0, named=[], packed=false) %}
{%- for name in inputs + outputs %}
{%- set number = "f32" if name in channel_constants else types[loop.index0] %}
{%- set type = "vec4<u32>" if name in indices else "u32" if name in words else "vec4<" ~ number ~ ">" %}
{{- tensor(loop.index0, "read" if name in inputs else "read_write", name, type) }}
{%- set next.binding = loop.index %}
{%- endfor %}
{%- for stage in ([prologue] if prologue else []) + stages %}
{%- set access = "read_write" if stage.word in ["keep", "keep_bits"] else "read" %}
{%- for operand in stage.operands %}
{%- set is_bits = stage.word in ["gate", "keep_bits"] and loop.first %}
{%- for part in [operand] + operand.scale_shift %}
{%- set is_constant = stage.word == "prologue" or not loop.first %}
{%- set bits = "atomic<u32>" if stage.word == "keep_bits" else "u32" %}
{%- set stored = bits if is_bits else "vec4<" ~ ("f32" if is_constant else types[part.slot]) ~ ">" %}
{%- if part.pointer == "constants" %}
{%- set next.packed = true %}
{%- elif part.pointer not in next.named %}
{{- tensor(next.binding, access, part.pointer, stored) }}
{%- set next.binding = next.binding + 1 %}
{%- set next.named = next.named + [part.pointer] %}
{%- endif %}
{%- endfor %}
{%- endfor %}
{%- endfor %}
{%- if next.packed %}
{{- tensor(next.binding, "read", "constants", "vec4<f32>") }}
{%- set next.binding = next.binding + 1 %}
{%- endif %}
@group(0) @binding({{ next.binding }}) var<uniform> params: Params;
{%- endmacro %}
