// y[n,row,0] = sum of s b and y[n,row,1] = eps sum of s sgn0(prologue(z)), over the pixels and channels of a row, with eps rms
// for eps where that is relative; the other lanes are zero, and so is the first where the layer is not biased.
{%- set has_signs = true %}
{%- set by_subgroups = false %}
{% include "parts/audit_epsilon.wgsl" %}
