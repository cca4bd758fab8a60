// m_x[n,iy,ix,i] = stages(b[i] + sum over ky, kx, o of m_y[n,oy,ox,first + o] w[ky,kx,i,first + o])
// where i's group begins at channel first of the output, oy stride + ky dilation - pad = iy, and likewise ox: each group as a
// product of matrices that are never laid out. w is [kh, kw, in / groups, out]; channels of a group, in and out, are multiples
// of 8.
// One block computes 256 pixels a stride apart, counted through all items, by 32 input channels of a group; on a CPU, by
// subgroups of eight.
{%- set groups, rows, columns, depth, height, width = true, 256, 32, 0, 4, 32 %}
{% include "parts/tile_backward.wgsl" %}
