// m_x[n,iy,ix,i] = stages(b[i] + sum over ky, kx, o of m_y[n,oy,ox,o] w[ky,kx,i,o])
// where oy stride + ky dilation - pad = iy, and likewise ox: a single group, as a product of matrices that are
// never laid out. w is [kh, kw, in, out].
// One block computes 128 pixels a stride apart, counted through all items, by 64 input channels; on a CPU, by subgroups of eight.
{%- set groups, rows, columns, depth, height, width = false, 128, 64, 0, 4, 32 %}
{% include "parts/tile_backward.wgsl" %}
