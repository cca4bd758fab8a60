// y[n,oy,ox,o] = stages(b[o] + sum over ky, kx, i of prologue(x[n,iy,ix,i]) w[ky,kx,i,o])
// where iy = oy stride + ky dilation - pad, and likewise ix: a single group, as a product of matrices that are
// never laid out. w is [kh, kw, in, out].
// One block computes 128 pixels, counted through all items, by 64 output channels, 16 products of each a step.
{%- set groups, rows, columns, depth = false, 128, 64, 16 %}
{% include "parts/tile_forward.wgsl" %}
