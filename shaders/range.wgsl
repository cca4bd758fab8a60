// y[n,row,0] = the least and y[n,row,1] = the greatest of zero and a row's values; y[n,row,2] = zero, or not-a-number where a
// value is not finite.
// A block computes a row, its threads runs of four channels in turn.
{% from "parts/head.wgsl" import params, tensors -%}
{%- from "parts/place.wgsl" import at, load, run, store, bits_at, operand, constant, word -%}
{%- set output, output_slot = "y", 1 %}
{{ params(["width: u32", "x_channels: u32"]) }}
{{ tensors(["x"], ["y"], prologue, stages) }}

var<workgroup> parts: array<vec3<f32>, 256>; // the least value, the least of -x, and -1 where one is not finite
{% include "parts/row.wgsl" %}
    let row_runs = params.x_channels / 4u;

    var ends = vec3(0.0);
    for (var unit = thread; unit < row_runs * params.width; unit += 256u) {
        let place = position(unit, row_runs);
        let cell = pixel * params.width + place.x;
        let channel = place.y * 4u;
        let values = {{ load("x", 0, "cell") }};
        let known = select(values, vec4(0.0), is_nan(values));
        let marks = select(vec4(-1.0), vec4(0.0), is_finite(values));
{%- for l in "xyzw" %}
        ends = smaller(ends, vec3(known.{{ l }}, -known.{{ l }}, marks.{{ l }}));
{%- endfor %}
    }

    parts[thread] = ends; // halves of the block, the lower one takes in the upper one's
{%- for half in [128, 64, 32, 16, 8, 4, 2, 1] %}
    workgroupBarrier();
    if thread < {{ half }}u {
        parts[thread] = smaller(parts[thread], parts[thread + {{ half }}u]);
    }
{%- endfor %}
    if thread == 0u {
        let v = parts[0];
        finish(vec4(v.x, -v.y, select(0.0, not_a_number(), v.z < 0.0), 0.0), item, image, pixel, 0u);
    }
}

fn smaller(a: vec3<f32>, b: vec3<f32>) -> vec3<f32> {
    return select(a, b, b < a);
}
{% include "parts/finish.wgsl" %}
