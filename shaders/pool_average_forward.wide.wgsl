// y[n,oy,ox,c] = sum of prologue(x) over the window's cells, over how many count; without the division by rule 0: windows
// of many cells.
// One block computes 8 neighbouring channels of a pixel: a thread every 128th cell in four of them, then they add up.
{% from "parts/head.wgsl" import params, tensors, window_words, divisor_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/prologue.wgsl" import enter, entrance -%}
{%- set output, output_slot = "y", 1 %}
{{ params(window_words + divisor_words) }}
{{ tensors(["x"], ["y"], prologue, stages) }}

var<workgroup> parts: array<vec4<f32>, 256>;
{% include "parts/main.wgsl" %}
    let place = position(block, (params.runs + 1u) / 2u); // which channels of which pixel of which item
    if place.x * params.runs >= params.count { return; }
    let channel = place.y * 8u + thread % 2u * 4u;
    let is_idle = channel >= params.runs * 4u;
    let item = place.x / params.area;
    let pixel = place.x - item * params.area;
    let image = item / params.messages;
{%- include "parts/window.wgsl" %}

    let corner = position(pixel, out_size.y) * stride - pad; // below zero it wraps around, past every bound
    let taps = select(kernel.x * kernel.y, 0u, is_idle);
    var v = vec4(0.0);
    for (var tap = thread / 2u; tap < taps; tap += 128u) {
        let tap_cell = corner + position(tap, kernel.y) * dilation;
        if any(tap_cell >= in_size) { continue; }
        let cell = tap_cell.x * in_size.y + tap_cell.y;
        v += {{ enter(prologue, load("x", 0, "cell"), "channel") }};
    }

    parts[thread] = v; // halves of the block, the lower one adds the upper one's
{%- for half in [128, 64, 32, 16, 8, 4, 2] %}
    workgroupBarrier();
    if thread < {{ half }}u {
        parts[thread] += parts[thread + {{ half }}u];
    }
{%- endfor %}
    if thread < 2u && !is_idle {
        finish(averaged(parts[thread], pixel), item, image, pixel, channel);
    }
}
{%- include "parts/averaged.wgsl" %}
{{- entrance(prologue) }}
{% include "parts/finish.wgsl" %}
