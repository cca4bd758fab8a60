{#- The sums of a depthwise convolution for drivers that compute on a CPU, where a load costs as much as many products: rendered for
    its `window`, so that all products of a row of cells stand side by side and each of these is loaded once.
    A thread goes through rows of cells. A row takes part in the sums of `depth` rows of pixels, or of so many bands of as many rows as
    the stride where `reversed`: v0 has its first taps there, the last v its last ones and is finished; then each is the next one's.
    Along an axis the stride is one or the dilation is; a thread's pixels are a dilation apart. -#}
{%- set threads, words_by = 64, "subgroup" %}
{%- set strip, rows = 7, 14 %}{# gpu/depthwise.rs counts threads by them #}
{%- set kh, kw = window.kernel %}
{%- set down, across = window.stride %}
{%- set step_y, step_x = window.dilation %}
{%- set size, source_size = ("in_size", "out_size") if reversed else ("out_size", "in_size") %}
{%- set high = step_y * (down if reversed else 1) %}
{%- set wide = step_x * (across if reversed else 1) %}
{#- Stores pixels of row `line`, the named values, where `is_done`; a few at a time, for each is chosen among those. -#}
{%- macro finish_row(values, line, is_done) %}
{%- for few in values | batch(strip) %}
        {
            let start = left + {{ loop.index0 * strip * step_x }}u;
            let many = select(0u, {{ few | length }}u, {{ is_done }});
            for (var i = 0u; i < many; i++) {
                let column = start + i * {{ step_x }}u;
                if column >= {{ size }}.y { break; }
                var v = {{ few[0] }}; // as choices, for a number in an array is loaded
{%- for value in few[1:] %}
                v = select(v, {{ value }}, i == {{ loop.index }}u);
{%- endfor %}
                finish(v, item, image, {{ line }} * {{ size }}.y + column, channel);
            }
        }
{%- endfor %}
{%- endmacro %}
{#- The cell `column` of the row that begins at `row_at`; those outside are zeros. -#}
{%- macro cell(column) -%}
select(vec4(0.0), {{ run(source, 0, "row_at + " ~ column ~ " * pitch") }}, has_row && {{ column }} < {{ source_size }}.y)
{%- endmacro %}
{%- include "parts/main.wgsl" %}
    let in_size = pair(params.in_size);
    let out_size = pair(params.out_size);
{%- if whole_words %}
    let unit = position(block * {{ threads }}u + thread, (params.runs + 7u) / 8u * 8u); // which pixels, which channels
    let channel = min(unit.y, params.runs - 1u) * 4u; // the last ones of a subgroup do the same
{%- else %}
    let unit = position(block * {{ threads }}u + thread, params.runs); // which pixels, which channels
    let channel = unit.y * 4u;
{%- endif %}
    let stripe = position(unit.x, ({{ size }}.y + {{ wide * strip - 1 }}u) / {{ wide * strip }}u * {{ step_x }}u);
    let part = position(stripe.y, {{ step_x }}u); // which strip, from which of the columns between its pixels
    let chunk = position(stripe.x, ({{ size }}.x + {{ high * rows - 1 }}u) / {{ high * rows }}u * {{ step_y }}u);
    let level = position(chunk.y, {{ step_y }}u); // the same of rows
    let item = chunk.x;
    if item >= params.count / params.runs / params.area { return; }
    let image = item / params.messages;
    let top = level.x * {{ high * rows }}u + level.y;
    let left = part.x * {{ wide * strip }}u + part.y;
    let pitch = params.places[0].y / 4u;
    let first = address(params.places[0], item, image, 0u, channel);
    let bias = b[channel / 4u];
{%- for tap in range(kh * kw) %}
    let w{{ tap }} = {{ run("w", 1, tap ~ "u * params.runs + channel / 4u") }};
{%- endfor %}
{% include "parts/strip_backward.wgsl" if reversed else "parts/strip_forward.wgsl" %}
}
