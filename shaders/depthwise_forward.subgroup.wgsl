// y[n,oy,ox,c] = stages(b[c] + sum over ky, kx of x[n,iy,ix,c] w[ky,kx,c])
// where iy = oy stride + ky dilation - pad, and likewise ix.
// One thread computes four neighbouring channels of fourteen rows of seven pixels; on a CPU, by subgroups of eight.
// w is [kh, kw, channels].
{% from "parts/head.wgsl" import params, tensors, window_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- set output, output_slot, source, reversed = "y", 3, "x", false %}
{{ params(window_words) }}
{{ tensors(["x", "w", "b"], ["y"], prologue, stages) }}
{% include "parts/strip.wgsl" %}
{% include "parts/finish.wgsl" %}
