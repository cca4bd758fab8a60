// m_x[n,i] = stages(b[i] + sum over o of m_y[n,o] w[i,o])
// where i counts the taps and channels of a window that is all of the input; on a CPU, by subgroups of eight. w is [in, out].
{% from "parts/head.wgsl" import params, tensors, window_words, group_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import ahead, enter_by, entrance -%}
{%- set output, output_slot, source, transposed, width = "m_x", 3, "m_y", true, 1 %}
{{ params(window_words + group_words) }}
{{ tensors(["m_y", "w", "b"], ["m_x"], prologue, stages) }}
{% include "parts/dense.wgsl" %}
