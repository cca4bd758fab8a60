{#- The sums of a depthwise convolution without shared memory, for drivers that compute on a CPU, where a load costs as much as many
    products: v = b[c] + sum over ky, kx of cell[iy,ix,c] w[tap,c] with iy = row step + ky dilation - before, and likewise ix;
    taps in reverse where `reversed`. Eight neighbours in a subgroup are pixels of a row, from a multiple of eight on, and have the same
    channels: of the cells and the weights of a row each loads some and has the others' from them. -#}
{% include "parts/main.wgsl" %}
{%- include "parts/window.wgsl" %}
{%- if reversed %}
    let size = in_size;
    let source_size = out_size;
    let step = vec2(1u);
    let before = (kernel - 1u) * dilation - pad;
{%- else %}
    let size = out_size;
    let source_size = in_size;
    let step = stride;
    let before = pad;
{%- endif %}
    let eighth = thread % 8u;
    let unit = position(block * 32u + thread / 8u, params.runs); // which eight pixels, which channels
    let channel = unit.y * 4u;
    let strip = position(unit.x, (size.y + 7u) / 8u); // which row of all items, which eight of its pixels
    let line = position(strip.x, size.x);
    let item = line.x;
    if item >= params.count / params.runs / params.area { return; }
    let image = item / params.messages;
    let place = params.places[0]; // read before the loops, where a read takes longer
    let runs = params.runs;
    let corner = vec2(line.y, strip.y * 8u) * step - before;
    let reach = 7u * step.y + (kernel.y - 1u) * dilation.y + 1u; // cells of a row that eight pixels have

    var v = b[channel / 4u];
    for (var ky = 0u; ky < kernel.x; ky++) {
        let iy = corner.x + ky * dilation.x;
        if iy >= source_size.x { continue; }
        let tap = {{ "(kernel.x - 1u - ky)" if reversed else "ky" }} * kernel.y + eighth;
        var w_part = vec4(0.0);
        if eighth < kernel.y {
            w_part = {{ run("w", 1, "tap * runs + channel / 4u") }};
        }
        for (var begin = 0u; begin < reach; begin += 8u) {
            let ix = corner.y + begin + eighth;
            var part = vec4(0.0);
            if ix < source_size.y && begin + eighth < reach {
                part = {{ run(source, 0, "address(place, item, image, iy * source_size.y + ix, channel)") }};
            }
            for (var kx = 0u; kx < kernel.y; kx++) {
                let cell = eighth * step.y + kx * dilation.y - begin;
                let lanes = subgroupShuffle(part, cell % 8u);
                let weights = subgroupShuffle(w_part, {{ "kernel.y - 1u - kx" if reversed else "kx" }});
                v = select(v, fma(lanes, weights, v), cell < 8u && corner.y + begin + cell < source_size.y);
            }
        }
    }
    let column = strip.y * 8u + eighth;
    if column < size.y {
        finish(v, item, image, line.y * size.y + column, channel);
    }
}
{% include "parts/finish.wgsl" %}
