{#- Cell m of a row meets tap kx for pixel (m - kx) / stride, and likewise down the rows. -#}
{%- set depth = (kh + down - 1) // down %}
{%- set cells = namespace(met=[]) %}
{%- for j in range(strip) %}
{%- for kx in range(kw) %}
{%- set cells.met = cells.met + ([] if j * across + kx in cells.met else [j * across + kx]) %}
{%- endfor %}
{%- endfor %}
{%- for m in cells.met %}
    let column{{ m }} = left * {{ across }}u + {{ m * step_x }}u - {{ window.pad[1] }}u;
{%- endfor %}
    let count = min({{ rows }}u, (out_size.x - top + {{ step_y - 1 }}u) / {{ step_y }}u);
    var row = top * {{ down }}u - {{ window.pad[0] }}u;
{%- for j in range(strip) %}
{%- for r in range(depth) %}
    var v{{ r }}_{{ j }} = bias;
{%- endfor %}
{%- endfor %}
    for (var q = 0u; q < count + {{ depth - 1 }}u; q++) {
{%- for phase in range(down) %}
        {
            let has_row = row < in_size.x;
            let row_at = first + row * in_size.y * pitch;
{%- for m in cells.met %}
            let x{{ m }} = {{ cell("column" ~ m) }};
{%- endfor %}
{%- for ky in range(phase, kh, down) %}
{%- for kx in range(kw) %}
{%- for j in range(strip) %}
{%- set v = "v" ~ ky // down ~ "_" ~ j %}
            {{ v }} = fma(x{{ j * across + kx }}, w{{ ky * kw + kx }}, {{ v }});
{%- endfor %}
{%- endfor %}
{%- endfor %}
            row += {{ step_y }}u;
        }
{%- endfor %}
{%- set values = namespace(done=[]) %}
{%- for j in range(strip) %}
{%- set values.done = values.done + ["v" ~ (depth - 1) ~ "_" ~ j] %}
{%- endfor %}
        let line = top + (q - {{ depth - 1 }}u) * {{ step_y }}u;
{{- finish_row(values.done, "line", "q >= " ~ (depth - 1) ~ "u") }}
{%- for j in range(strip) %}
{%- for r in range(depth - 1, 0, -1) %}
        v{{ r }}_{{ j }} = v{{ r - 1 }}_{{ j }};
{%- endfor %}
        v0_{{ j }} = bias;
{%- endfor %}
    }
