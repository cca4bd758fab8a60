// With c = max(y, y'): m_x[n,iy,ix,c] = sum over the windows on x's cell of m_y (c - y') where x's cell won and m_y (y - c)
// where x''s did, over x - x'; where that vanishes, the sum of m_y over the windows that x's cell won.
// One thread computes four neighbouring channels of a pixel.
{% from "parts/head.wgsl" import params, tensors, window_words -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- from "parts/taps.wgsl" import each_window -%}
{%- set output, output_slot = "m_x", 7 %}
{%- set inputs = ["m_y", "x", "x_reference", "y", "y_reference", "index", "index_reference"] %}
{{ params(window_words) }}
{{ tensors(inputs, ["m_x"], prologue, stages, indices=["index", "index_reference"]) }}
{% include "parts/which.wgsl" %}
{%- include "parts/window.wgsl" %}

    var v = vec4(0.0);
    var plain = vec4(0.0);
{%- call each_window() %}
            let m = {{ load("m_y", 0, "window") }};
            let largest = {{ load("y", 3, "window") }};
            let largest_reference = {{ load("y_reference", 4, "window") }};
            let won = index[{{ at(5, "window") }}] == vec4(tap);
            let lost = index_reference[{{ at(6, "window") }}] == vec4(tap);
            let top = select(largest, largest_reference, largest < largest_reference);
            plain = select(plain, plain + m, won);
            v = select(v, fma(m, top - largest_reference, v), won);
            v = select(v, fma(m, largest - top, v), lost);
{%- endcall %}
    let difference = {{ load("x", 1) }} - {{ load("x_reference", 2) }};
    let is_close = abs(difference) < vec4(1e-10);
    finish(select(v / difference, plain, is_close), item, image, pixel, channel);
}
{% include "parts/finish.wgsl" %}
