{%- if depth %}

var<workgroup> a_tile: array<vec4<f32>, {{ rows * depth // 4 }}>;
var<workgroup> w_tile: array<vec4<f32>, {{ columns * depth // 4 }}>;
var<workgroup> places: array<vec4<u32>, {{ rows }}>; // item, image, pixel and whether it is one, of every row
{%- endif %}
{%- set threads, words_by = 256 if depth else 64, "thread" %}
{%- if whole_words %}

var<private> kept: u32; // the bits of a thread's channels, of the row that is finished
{%- endif %}
{% include "parts/main.wgsl" %}
{%- if groups %}
    let group_runs = params.runs / params.groups; // tiles of a group lie side by side, then the next group's
    let group_tiles = (group_runs + {{ columns // 4 - 1 }}u) / {{ columns // 4 }}u;
    let tile = position(block, group_tiles * params.groups); // which rows, which group and columns
    let tile_of_group = position(tile.y, group_tiles);
    let in_group = tile_of_group.x;
    let group_first = in_group * group_runs * 4u;
    let first = group_first + tile_of_group.y * {{ columns }}u;
    let channels = group_first + group_runs * 4u;
{%- else %}
    let tile = position(block, (params.runs + {{ columns // 4 - 1 }}u) / {{ columns // 4 }}u); // which rows and columns
    let first = tile.y * {{ columns }}u;
    let channels = params.runs * 4u;
{%- endif %}
    let tile_row = tile.x;
{%- if depth %}
    let some_row = thread / {{ depth // 4 }}u; // stages a row's run of four products
    let staged_run = thread % {{ depth // 4 }}u;
{%- else %}
    let some_row = thread % {{ rows // height }}u / 8u * {{ 8 * height }}u + thread % 8u; // eight neighbours, and the next eight rows
{%- endif %}
