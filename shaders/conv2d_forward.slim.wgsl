// y[n,oy,ox,o] = stages(b[o] + sum over ky, kx, i of prologue(x[n,iy,ix,i]) w[ky,kx,i,o])
// where iy = oy stride + ky dilation - pad, and likewise ix: a single group, as a product of matrices that are
// never laid out. w is [kh, kw, in, out].
// One block computes 256 pixels, counted through all items, by 32 output channels, 8 products of each a step.
{%- set groups, rows, columns, depth = false, 256, 32, 8 %}
{% include "parts/tile_forward.wgsl" %}
