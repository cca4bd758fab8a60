{%- include "parts/main.wgsl" %}
    if block >= params.count { return; }
    let item = block / params.area; // a block: which pixel
    let pixel = block - item * params.area;
    let image = item / params.messages;
