// y[n,row,0] = sum of mask over the pixels and channels of a row where |prologue(z) - prologue(z')| < tiny; the other lanes
// are zero.
{%- set by_subgroups = true %}
{% include "parts/audit_rescale.wgsl" %}
