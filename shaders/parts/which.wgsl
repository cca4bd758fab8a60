{%- include "parts/main.wgsl" %}
    let i = block * 256u + thread; // which channels of which pixel of which item
    if i >= params.count { return; }
    let place = position(i, params.runs);
    let channel = place.y * 4u;
    let item = place.x / params.area;
    let pixel = place.x - item * params.area;
    let image = item / params.messages;
