{#- As parts/row.wgsl, but each of a block's eight subgroups of eight threads computes a row: without barriers, for which drivers that
    compute on a CPU interrupt every thread. -#}
{%- set threads = 64 %}
{%- include "parts/main.wgsl" %}
    let row = block * 8u + thread / 8u; // eight threads: which pixel
    let lane = thread % 8u;
    if row >= params.count { return; }
    let item = row / params.area;
    let pixel = row - item * params.area;
    let image = item / params.messages;
