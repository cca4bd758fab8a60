{#- The sums of a tile without shared memory, for drivers that compute on a CPU, where every load costs as much as many products:
    sum[row][column] = bias + sum over k of a[row,k] w[k,column], k over channels, then taps.
    64 threads have `height` rows, eight apart, by `width` columns each. Eight neighbours in a subgroup have the same columns: each
    loads a part of w and has the others' from them. Parameters are read before the loops, where a read takes longer. -#}
{%- set runs, parts = width // 4, (width + 7) // 8 %}
    let pitch = params.places[0].y / 4u;
    let w_pitch = params.w_pitch / 4u;
{%- if transposed %}
    let group_in = params.group_in;
{%- endif %}
    let eighth = thread % 8u;
    let column = first + thread / {{ rows // height }}u * {{ width }}u;
    if column >= channels { return; }
{%- for r in range(height) %}
    let image{{ r }} = item{{ r }} / params.messages;
    let source{{ r }} = address(params.places[0], item{{ r }}, image{{ r }}, 0u, {{ "base" if groups else "0u" }})
        + (corner{{ r }}.x * source_size.y + corner{{ r }}.y) * pitch;
{%- endfor %}
    let some_bias = b[min(column / 4u + eighth, params.runs - 1u)];
{%- for c in range(runs) %}
    let bias{{ c }} = subgroupBroadcast(some_bias, {{ c }}u);
{%- endfor %}
{%- for r in range(height) %}
{%- for c in range(runs) %}
    var sum{{ r }}_{{ c }} = bias{{ c }};
{%- endfor %}
{%- endfor %}

    var from_corner = vec2(0u);
    for (var ky = first_tap.x; ky < kernel.x; ky += tap_step.x) {
{%- for r in range(height) %}
        let meets_row{{ r }} = is_row{{ r }} && corner{{ r }}.x + from_corner.x < source_size.x;
{%- endfor %}
        let row_at = from_corner.x * source_size.y * pitch;
        var kx = first_tap.y;
        var lane = 0u;
        from_corner.y = 0u;
        while kx < kernel.y { // taps of a row and their channels: a loop within would copy all sums
            let tap = ky * kernel.y + kx;
            let at = row_at + from_corner.y * pitch + lane / 4u;
{{- ahead(prologue, "base + lane" if groups else "lane") }}
{%- for r in range(height) %}
            var a{{ r }} = vec4(0.0);
            if meets_row{{ r }} && corner{{ r }}.y + from_corner.y < source_size.y {
                a{{ r }} = {{ enter_by(prologue, run(source, 0, "source" ~ r ~ " + at")) }};
            }
{%- endfor %}
{%- if transposed %}
{%- for l in range(parts) %}
            let row_of{{ l }} = tap * group_in + min(column + {{ 8 * l }}u + eighth, channels - 1u){{ " - group_first" if groups }};
            let part{{ l }} = {{ run("w", 1, "row_of" ~ l ~ (" * w_pitch + (base + lane) / 4u" if groups else " * w_pitch + lane / 4u")) }};
{%- endfor %}
{%- else %}
{%- for l in range(4) %}
            let part{{ l }} = {{ run("w", 1, "(tap * inputs + lane + " ~ l ~ "u) * w_pitch + min(column / 4u + eighth, w_pitch - 1u)") }};
{%- endfor %}
{%- endif %}
{%- for c in range(runs) %}
{%- if transposed %}
{%- for l in range(4) %}
            let w{{ c }}_{{ l }} = subgroupBroadcast(part{{ (4 * c + l) // 8 }}, {{ (4 * c + l) % 8 }}u);
{%- endfor %}
{%- endif %}
{%- for k in "xyzw" %}
{%- if transposed %}
            let k{{ c }}_{{ k }} = vec4(w{{ c }}_0.{{ k }}, w{{ c }}_1.{{ k }}, w{{ c }}_2.{{ k }}, w{{ c }}_3.{{ k }});
{%- else %}
            let k{{ c }}_{{ k }} = subgroupBroadcast(part{{ loop.index0 }}, {{ c }}u);
{%- endif %}
{%- for r in range(height) %}
            sum{{ r }}_{{ c }} = fma(vec4(a{{ r }}.{{ k }}), k{{ c }}_{{ k }}, sum{{ r }}_{{ c }});
{%- endfor %}
{%- endfor %}
{%- endfor %}
            lane += 4u;
            if lane >= inputs {
                lane = 0u;
                kx += tap_step.y;
                from_corner.y += shift_step.y;
            }
        }
        from_corner.x += shift_step.x;
    }

{%- if whole_words %}
{%- for r in range(height) %}
    var kept{{ r }} = 0u;
{%- endfor %}
{%- endif %}
    for (var c = 0u; c < min({{ runs }}u, (channels - column) / 4u); c++) {
{%- for r in range(height) %}
        if is_row{{ r }} {
            var v = sum{{ r }}_0; // as choices, for a number in an array is loaded
{%- for c in range(1, runs) %}
            v = select(v, sum{{ r }}_{{ c }}, c == {{ c }}u);
{%- endfor %}
{%- if whole_words %}
            kept = kept{{ r }};
{%- endif %}
            finish(v, item{{ r }}, image{{ r }}, pixel{{ r }}, column + c * 4u);
{%- if whole_words %}
            kept{{ r }} = kept;
{%- endif %}
        }
{%- endfor %}
    }
{%- for stage in stages if whole_words and stage.word == "keep_bits" %}
{%- for r in range(height) %}
    if is_row{{ r }} {
        let bit = {{ bits_at(stage.operands[0], "item" ~ r, "image" ~ r, "pixel" ~ r, "column") }};
        atomicStore(&{{ stage.operands[0].pointer }}[bit / 32u], kept{{ r }});
    }
{%- endfor %}
{%- endfor %}
