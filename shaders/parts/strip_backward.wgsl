{#- With `shift` = pad modulo stride, pixel a of a band, in which there are as many as the stride, meets tap k = n stride + a + shift
    n bands after the cell, from n = -`before` on, and likewise down the rows: taps ascend where cells descend. -#}
{%- set shift_y, shift_x = window.pad[0] % down, window.pad[1] % across %}
{%- set before_y, before_x = (down - 1 + shift_y) // down, (across - 1 + shift_x) // across %}
{%- set after_x = (kw - 1 - shift_x) // across %}
{%- set depth = (kh - 1 - shift_y) // down + before_y + 1 %}
{%- set columns = strip + before_x + after_x %}
{%- for m in range(columns) %}
{%- set offset = (m - after_x) * step_x + window.pad[1] // across %}
    let column{{ m }} = part.x * {{ strip * step_x }}u + part.y + {{ offset % 4294967296 }}u; // below zero it wraps around
{%- endfor %}
    let bands = min({{ rows }}u, (in_size.x - top + {{ high - 1 }}u) / {{ high }}u);
    var row = (level.x * {{ rows }}u + bands + {{ before_y }}u) * {{ step_y }}u + level.y + {{ window.pad[0] // down }}u;
    var band = top + (bands + {{ depth - 1 }}u) * {{ high }}u; // the one that is finished
{%- for a in range(down) %}
{%- for c in range(strip * across) %}
{%- for r in range(depth) %}
    var v{{ r }}_{{ a }}_{{ c }} = bias;
{%- endfor %}
{%- endfor %}
{%- endfor %}
    for (var q = 0u; q < bands + {{ depth - 1 }}u; q++) {
        row -= {{ step_y }}u;
        band -= {{ high }}u;
        let has_row = row < out_size.x;
        let row_at = first + row * out_size.y * pitch;
{%- for m in range(columns) %}
        let x{{ m }} = {{ cell("column" ~ m) }};
{%- endfor %}
{%- for a in range(down) %}
{%- for r in range(depth) %}
{%- set ky = (r - before_y) * down + a + shift_y %}
{%- for kx in range(kw if 0 <= ky and ky < kh else 0) %}
{%- for c in range(strip * across) %}
{%- set n = (kx - c % across - shift_x) // across %}
{%- if n * across == kx - c % across - shift_x %}
{%- set v = "v" ~ r ~ "_" ~ a ~ "_" ~ c %}
        {{ v }} = fma(x{{ c // across - n + after_x }}, w{{ ky * kw + kx }}, {{ v }});
{%- endif %}
{%- endfor %}
{%- endfor %}
{%- endfor %}
{%- endfor %}
{%- for a in range(down) %}
        {
            let line = band + {{ a * step_y }}u;
{%- set values = namespace(done=[]) %}
{%- for c in range(strip * across) %}
{%- set values.done = values.done + ["v" ~ (depth - 1) ~ "_" ~ a ~ "_" ~ c] %}
{%- endfor %}
{{- finish_row(values.done, "line", "q >= " ~ (depth - 1) ~ "u && line < in_size.x") }}
        }
{%- endfor %}
{%- for a in range(down) %}
{%- for c in range(strip * across) %}
{%- for r in range(depth - 1, 0, -1) %}
        v{{ r }}_{{ a }}_{{ c }} = v{{ r - 1 }}_{{ a }}_{{ c }};
{%- endfor %}
        v0_{{ a }}_{{ c }} = bias;
{%- endfor %}
{%- endfor %}
    }
