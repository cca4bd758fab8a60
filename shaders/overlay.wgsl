// y[n,oy,ox] = x + part (colour - x), rounded, for the levels x of the picture's pixel (oy / factor, ox / factor). Inside the window
// colour is that of the map's value v, between its four cells: its place on the scale, which the map's range gives, between two of
// the colours; part is alpha times the strength of v, |v| / peak on a scale from -peak to peak, else its place. Outside, colour is
// black and part is dimmed.
// One thread computes a pixel: a word of four bytes, the last of which is zero.
{% from "parts/head.wgsl" import params, tensors -%}
{%- from "parts/place.wgsl" import at, load, run -%}
{{ params(["map_size: u32", "y_size: u32", "factor: u32", "left: f32", "top: f32", "width: f32", "height: f32", "symmetric: u32",
           "alpha: f32", "dimmed: f32", "last_colour: u32"]) }}
{{ tensors(["map", "range", "picture", "colours"], ["y"], prologue, stages, words=["picture", "y"]) }}
{% include "parts/which.wgsl" %}
    let y_width = pair(params.y_size).y;
    let at_y = position(pixel, y_width);
    let source = at_y / params.factor; // the picture's pixel
    let source_pixel = source.x * (y_width / params.factor) + source.y;
    let levels = vec3<f32>((vec3(picture[{{ at(2, "source_pixel") }}]) >> vec3(0u, 8u, 16u)) & vec3(0xffu));

    let length = vec2(params.height, params.width); // where it lies in the map
    let from_start = (vec2<f32>(at_y) + 0.5) / f32(params.factor) - vec2(params.top, params.left);
    var part = params.dimmed;
    var colour = vec3(0.0);
    if all(from_start >= vec2(0.0)) && all(from_start <= length) && all(length > vec2(0.0)) {
        let value = between_cells(from_start / length, item, image);
        let shares = on_scale(value, {{ load("range", 1, "0u") }}.xy);
        part = params.alpha * shares.y;
        colour = between_colours(shares.x);
    }
    let mixed = vec3<u32>(levels + clamp(part, 0.0, 1.0) * (colour - levels) + 0.5);
    y[{{ at(4) }}] = mixed.x | (mixed.y << 8u) | (mixed.z << 16u);
}

// The map's value at a point, (y, x) in shares of its sides.
fn between_cells(point: vec2<f32>, item: u32, image: u32) -> f32 {
    let channel = 0u;
    let cells = pair(params.map_size);
    let at_cell = clamp(point * vec2<f32>(cells) - 0.5, vec2(0.0), vec2<f32>(cells - 1u));
    let low = vec2<u32>(at_cell);
    let high = min(low + 1u, cells - 1u);
    let share = at_cell - vec2<f32>(low);
{%- for y in ["low", "high"] %}
    let {{ y }}_row = {{ y }}.x * cells.y;
    let {{ y }}_value = {{ load("map", 0, y ~ "_row + low.y") }}.x * (1.0 - share.y)
        + {{ load("map", 0, y ~ "_row + high.y") }}.x * share.y;
{%- endfor %}
    return low_value * (1.0 - share.x) + high_value * share.x;
}

// Place on the scale and strength of a value, of a map with these ends; zero on a scale without extent, and where the value is not a
// number.
fn on_scale(value: f32, ends: vec2<f32>) -> vec2<f32> {
    let is_symmetric = params.symmetric != 0u;
    let peak = select(ends.y, -ends.x, is_symmetric && ends.y < -ends.x);
    // A division is good between 2^-126 and 2^126.
    let unit = select(select(1.0, 0x1p64f, peak < 0x1p-64f), 0x1p-64f, peak > 0x1p64f);
    let ratio = (unit * value) / (unit * peak);
    let place = select(ratio, ratio * 0.5 + 0.5, is_symmetric);
    let strength = select(ratio, abs(ratio), is_symmetric);
    let shares = bounded(vec4(place, strength, 0.0, 0.0), 0.0, 1.0);
    return select(shares, vec4(0.0), is_nan(shares) | vec4(peak <= 0.0)).xy;
}

fn between_colours(place: f32) -> vec3<f32> {
    let at_colour = place * f32(params.last_colour);
    let low = u32(at_colour);
    let below = colours[low].xyz;
    let above = colours[min(low + 1u, params.last_colour)].xyz;
    return below + (at_colour - f32(low)) * (above - below);
}
