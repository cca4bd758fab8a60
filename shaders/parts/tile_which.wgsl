{%- if depth %}

var<workgroup> a_tile: array<vec4<f32>, {{ rows * depth // 4 }}>;
var<workgroup> w_tile: array<vec4<f32>, {{ columns * depth // 4 }}>;
var<workgroup> places: array<vec4<u32>, {{ rows }}>; // item, image, pixel and whether it is one, of every row
{%- endif %}
{%- set threads = 256 if depth else 64 %}
{% include "parts/main.wgsl" %}
    let tile = position(block, (params.runs + {{ columns // 4 - 1 }}u) / {{ columns // 4 }}u); // which rows and columns
    let tile_row = tile.x;
    let first = tile.y * {{ columns }}u;
    let channels = params.runs * 4u;
{%- if depth %}
    let some_row = thread / {{ depth // 4 }}u; // stages a row's run of four products
    let staged_run = thread % {{ depth // 4 }}u;
{%- else %}
    let some_row = thread % {{ rows // height }}u / 8u * {{ 8 * height }}u + thread % 8u; // eight neighbours, and the next eight rows
{%- endif %}
