// y[n,oy,ox,o] = stages(b[o] + sum over ky, kx, i of prologue(x[n,iy,ix,first + i]) w[ky,kx,i,o])
// where o's group begins at channel first, iy = oy stride + ky dilation - pad, and likewise ix: each group as a product of
// matrices that are never laid out. w is [kh, kw, in / groups, out]; channels of a group, in and out, are multiples of 8.
// One block computes 256 pixels, counted through all items, by 32 output channels of a group; on a CPU, by
// subgroups of eight.
{%- set groups, rows, columns, depth, height, width = true, 256, 32, 0, 4, 32 %}
{% include "parts/tile_forward.wgsl" %}
