{#- The sums of a depthwise convolution for drivers that compute on a CPU, where a load costs as much as many products: v = b[c] + sum
    over ky, kx of cell[iy,ix,c] w[tap,c] with iy = oy stride + ky dilation - pad, and likewise ix; where `reversed`, a pixel
    (iy, ix) sums over the windows (oy, ox).
    A thread has seven pixels of a row; where `reversed`, a stride apart and from the last to the first: the same taps reach them.
    The cells of a tap one `turn` further are those of the next pixels, so that only the last of them is loaded. -#}
{% include "parts/main.wgsl" %}
{%- include "parts/window.wgsl" %}
{%- set pixels = 7 %}{# fields.rs counts strips of as many #}
{%- set size, source_size = ("in_size", "out_size") if reversed else ("out_size", "in_size") %}
{%- macro weights_of(kx) -%}
{{ run("w", 1, "(ky * kernel.y + " ~ kx ~ ") * runs + channel / 4u") }}
{%- endmacro %}
{%- macro cell_of(j) -%}
select(vec4(0.0), {{ run(source, 0, "row_at + (cell + " ~ j ~ "u * apart) * pitch") }}, cell + {{ j }}u * apart < row_end)
{%- endmacro %}
{%- macro products() %}
{%- for j in range(pixels) %}
                v{{ j }} = fma(x{{ j }}, weights, v{{ j }});
{%- endfor %}
{%- endmacro %}
    let unit = position(block * 256u + thread, params.runs); // which pixels, which channels
    let channel = unit.y * 4u;
{%- if reversed %}
    let phase_width = (in_size.y + stride.y - 1u) / stride.y;
    let phases = min(stride.y, in_size.y);
    let strip = position(unit.x, (phase_width + {{ pixels - 1 }}u) / {{ pixels }}u * phases); // which row of all items, which pixels
    let line = position(strip.x, in_size.x);
    let part = position(strip.y, phases); // which seven, which phase
    let row_of_phase = position(line.y, stride.x);
    let down = reached(row_of_phase.y, pad.x, stride.x, dilation.x, kernel.x);
    let across = reached(part.y, pad.y, stride.y, dilation.y, kernel.y);
    let first_tap = vec2(down.x, across.x);
    let tap_step = vec2(down.y, across.y);
    let shift = vec2(0u) - tap_step * dilation / stride;
    let corner = vec2(row_of_phase.x + down.z, part.x * {{ pixels }}u + {{ pixels - 1 }}u + across.z);
    let apart = bitcast<u32>(-1);
{%- else %}
    let strip = position(unit.x, (out_size.y + {{ pixels - 1 }}u) / {{ pixels }}u); // which row of all items, which pixels
    let line = position(strip.x, out_size.x);
    let first_tap = vec2(0u);
    let tap_step = vec2(1u);
    let shift = dilation;
    let corner = vec2(line.y, strip.y * {{ pixels }}u) * stride - pad;
    let apart = stride.y;
{%- endif %}
    let item = line.x;
    if item >= params.count / params.runs / params.area { return; }
    let image = item / params.messages;
    let turns = apart / shift.y; // steps of taps to the next pixels' cells, if it is a whole number
    let turn = select(kernel.y, turns * tap_step.y, turns * shift.y == apart);
    let pitch = params.places[0].y / 4u;
    let first = address(params.places[0], item, image, 0u, channel);
    let runs = params.runs; // read before the loops, where a read takes longer

    let bias = b[channel / 4u];
{%- for j in range(pixels) %}
    var v{{ j }} = bias;
{%- endfor %}
    var row = corner.x;
    for (var ky = first_tap.x; ky < kernel.x; ky += tap_step.x) {
        let row_end = select(0u, {{ source_size }}.y, row < {{ source_size }}.x); // cells outside are zeros
        let row_at = first + row * {{ source_size }}.y * pitch;
        var start = corner.y;
        for (var begin = first_tap.y; begin < min(kernel.y, first_tap.y + turn); begin += tap_step.y) {
            var cell = start;
            var weights = {{ weights_of("begin") }};
{%- for j in range(pixels) %}
            var x{{ j }} = {{ cell_of(j) }};
{%- endfor %}
{{- products() }}
            for (var kx = begin + turn; kx < kernel.y; kx += turn) {
                cell += apart;
                weights = {{ weights_of("kx") }};
{%- for j in range(pixels - 1) %}
                x{{ j }} = x{{ j + 1 }};
{%- endfor %}
                x{{ pixels - 1 }} = {{ cell_of(pixels - 1) }};
{{- products() }}
            }
            start += shift.y;
        }
        row += shift.x;
    }

    for (var i = 0u; i < {{ pixels }}u; i++) {
{%- if reversed %}
        let column = (part.x * {{ pixels }}u + i) * stride.y + part.y;
{%- else %}
        let column = strip.y * {{ pixels }}u + i;
{%- endif %}
        if column >= {{ size }}.y { break; }
{%- set order = range(pixels - 1, -1, -1) if reversed else range(pixels) %}
        var v = v{{ order[0] }}; // as choices, for a number in an array is loaded
{%- for j in order[1:] %}
        v = select(v, v{{ j }}, i == {{ loop.index }}u);
{%- endfor %}
        finish(v, item, image, line.y * {{ size }}.y + column, channel);
    }
}
