// m_x[n,iy,ix,i] = stages(b[i] + sum over ky, kx, o of m_y[n,oy,ox,first + o] w[ky,kx,i,first + o])
// where i's group begins at channel first of the output, oy stride + ky dilation - pad = iy, and likewise ox: each group as a
// product of matrices that are never laid out. w is [kh, kw, in / groups, out]; channels of a group, in and out, are multiples
// of 8.
// One block computes 256 pixels a stride apart, counted through all items, by 32 input channels of a group, 8 products
// of each a step.
{%- set groups, rows, columns, depth = true, 256, 32, 8 %}
{% include "parts/tile_backward.wgsl" %}
