{#- The sums of a depthwise convolution without shared memory, for drivers that compute on a CPU, where a load costs as much as many
    products: v = b[c] + sum over ky, kx of cell[iy,ix,c] w[tap,c] with iy = oy stride + ky dilation - pad, and likewise ix; where
    `reversed`, a pixel (iy, ix) sums over the windows (oy, ox). Eight neighbours in a subgroup are pixels of a row, from a multiple of
    eight on, and have the same channels: of the cells and the weights of a row each loads some and has the others' from them. -#}
{% include "parts/main.wgsl" %}
{%- include "parts/window.wgsl" %}
{%- set size, source_size = ("in_size", "out_size") if reversed else ("out_size", "in_size") %}
    let eighth = thread % 8u;
    let unit = position(block * 32u + thread / 8u, params.runs); // which eight pixels, which channels
    let channel = unit.y * 4u;
    let strip = position(unit.x, ({{ size }}.y + 7u) / 8u); // which row of all items, which eight of its pixels
    let line = position(strip.x, {{ size }}.x);
    let item = line.x;
    if item >= params.count / params.runs / params.area { return; }
    let image = item / params.messages;
    let place = params.places[0]; // read before the loops, where a read takes longer
    let runs = params.runs;
    let column = strip.y * 8u + eighth;
    let span = (kernel.y - 1u) * dilation.y;
{%- if reversed %}
    let corner = vec2(line.y, strip.y * 8u) + pad;
    let first_cell = select((corner.y + stride.y - 1u - span) / stride.y, 0u, corner.y <= span);
    let reach = max((corner.y + 7u) / stride.y + 1u, first_cell) - first_cell; // cells of a row that eight pixels have
    let inverse = 1.0 / f32(stride.y); // of which a product is exact enough below 2^16
{%- else %}
    let corner = vec2(line.y, strip.y * 8u) * stride - pad;
    let first_cell = corner.y;
    let reach = 7u * stride.y + span + 1u; // cells of a row that eight pixels have
{%- endif %}

    var v = b[channel / 4u];
    for (var ky = 0u; ky < kernel.x; ky++) {
{%- if reversed %}
        let down = corner.x - ky * dilation.x;
        let row = down / stride.x;
        if row * stride.x != down || row >= {{ source_size }}.x { continue; }
{%- else %}
        let row = corner.x + ky * dilation.x;
        if row >= {{ source_size }}.x { continue; }
{%- endif %}
        var w_part = vec4(0.0);
        if eighth < kernel.y {
            w_part = {{ run("w", 1, "(ky * kernel.y + eighth) * runs + channel / 4u") }};
        }
        for (var begin = 0u; begin < reach; begin += 8u) {
            let some_cell = first_cell + begin + eighth;
            var part = vec4(0.0);
            if some_cell < {{ source_size }}.y && begin + eighth < reach {
                part = {{ run(source, 0, "address(place, item, image, row * " ~ source_size ~ ".y + some_cell, channel)") }};
            }
            for (var kx = 0u; kx < kernel.y; kx++) {
{%- if reversed %}
                let across = corner.y + eighth - kx * dilation.y;
                let cell = u32((f32(bitcast<i32>(across)) + 0.5) * inverse);
                let is_met = cell < {{ source_size }}.y && cell * stride.y == across;
{%- else %}
                let cell = corner.y + eighth * stride.y + kx * dilation.y;
                let is_met = cell < {{ source_size }}.y;
{%- endif %}
                let at = cell - first_cell - begin;
                let sum = fma(subgroupShuffle(part, at % 8u), subgroupShuffle(w_part, kx), v);
                v = select(v, sum, is_met && at < 8u);
            }
        }
    }
    if column < {{ size }}.y {
        finish(v, item, image, line.y * {{ size }}.y + column, channel);
    }
}
{% include "parts/finish.wgsl" %}
