// y[n,o] = stages(b[o] + sum over k of prologue(x[n,k]) w[k,o])
// where k counts the taps and channels of a window that is all of the input; on a CPU, by subgroups of eight. w is [k, out].
{% from "parts/head.wgsl" import params, tensors, window_words, group_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import ahead, enter_by, entrance -%}
{%- set output, output_slot, source, transposed, width = "y", 3, "x", false, 1 if types[1] == "f16" else 8 %}
{{ params(window_words + group_words) }}
{{ tensors(["x", "w", "b"], ["y"], prologue, stages) }}
{% include "parts/dense.wgsl" %}
