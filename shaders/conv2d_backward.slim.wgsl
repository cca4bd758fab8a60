// m_x[n,iy,ix,i] = stages(b[i] + sum over ky, kx, o of m_y[n,oy,ox,o] w[ky,kx,i,o])
// where oy stride + ky dilation - pad = iy, and likewise ox: a single group, as a product of matrices that are
// never laid out. w is [kh, kw, in, out].
// One block computes 256 pixels a stride apart, counted through all items, by 32 input channels, 8 products of each a step.
{%- set groups, rows, columns, depth = false, 256, 32, 8 %}
{% include "parts/tile_backward.wgsl" %}
