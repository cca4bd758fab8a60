// m_x[n,iy,ix,c] = stages(b[c] + sum over ky, kx of m_y[n,oy,ox,c] w[ky,kx,c])
// where oy stride + ky dilation - pad = iy, and likewise ox: a depthwise convolution's transpose. b is zero for
// messages.
// One thread computes four neighbouring channels of fourteen rows of seven pixels, times the strides; on a CPU, by subgroups of
// eight. w is [kh, kw, channels].
{% from "parts/head.wgsl" import params, tensors, window_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- set output, output_slot, source, reversed = "m_x", 3, "m_y", true %}
{{ params(window_words) }}
{{ tensors(["m_y", "w", "b"], ["m_x"], prologue, stages) }}
{% include "parts/strip.wgsl" %}
{% include "parts/finish.wgsl" %}
