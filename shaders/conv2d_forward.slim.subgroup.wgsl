// y[n,oy,ox,o] = stages(b[o] + sum over ky, kx, i of prologue(x[n,iy,ix,i]) w[ky,kx,i,o])
// where iy = oy stride + ky dilation - pad, and likewise ix: a single group, as a product of matrices that are
// never laid out. w is [kh, kw, in, out].
// One block computes 256 pixels, counted through all items, by 32 output channels; on a CPU, by subgroups of eight.
{%- set groups, rows, columns, depth, height, width = false, 256, 32, 0, 4, 32 %}
{% include "parts/tile_forward.wgsl" %}
