{#- Loops over the taps of a window. An index below zero wraps around, past every bound. -#}

{#- For each tap `tap` of the window of pixel `pixel` of the output on a cell: the cell's number `cell`. -#}
{%- macro each_cell() %}
    let corner = position(pixel, out_size.y) * stride - pad;
    for (var ky = 0u; ky < kernel.x; ky++) {
        let iy = corner.x + ky * dilation.x;
        if iy >= in_size.x { continue; }
        for (var kx = 0u; kx < kernel.y; kx++) {
            let ix = corner.y + kx * dilation.y;
            if ix >= in_size.y { continue; }
            let tap = ky * kernel.y + kx;
            let cell = iy * in_size.y + ix;
{{- caller() }}
        }
    }
{%- endmacro %}

{#- For each tap `tap` by which a window holds pixel `pixel` of the input: the window's number `window`, with
    oy stride + ky dilation - pad = iy, and likewise ox. -#}
{%- macro each_tap() %}
    let corner = position(pixel, in_size.y) + pad;
    for (var ky = 0u; ky < kernel.x; ky++) {
        let down = corner.x - ky * dilation.x;
        let oy = down / stride.x;
        if oy * stride.x != down || oy >= out_size.x { continue; }
        for (var kx = 0u; kx < kernel.y; kx++) {
            let across = corner.y - kx * dilation.y;
            let ox = across / stride.y;
            if ox * stride.y != across || ox >= out_size.y { continue; }
            let tap = ky * kernel.y + kx;
            let window = oy * out_size.y + ox;
{{- caller() }}
        }
    }
{%- endmacro %}

{#- The same by windows, of which there are fewer than taps where strides are wide: (oy, ox) from the first to reach the pixel. -#}
{%- macro each_window() %}
    let corner = position(pixel, in_size.y) + pad;
    let reach = (kernel - 1u) * dilation;
    let first = select((corner + stride - 1u - reach) / stride, vec2(0u), corner <= reach);
    let end = min(corner / stride + 1u, out_size);
    for (var oy = first.x; oy < end.x; oy++) {
        let down = corner.x - oy * stride.x;
        let ky = down / dilation.x;
        if ky * dilation.x != down { continue; }
        for (var ox = first.y; ox < end.y; ox++) {
            let across = corner.y - ox * stride.y;
            let kx = across / dilation.y;
            if kx * dilation.y != across { continue; }
            let tap = ky * kernel.y + kx;
            let window = oy * out_size.y + ox;
{{- caller() }}
        }
    }
{%- endmacro %}
