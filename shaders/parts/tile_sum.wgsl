{#- The sums of a tile: sum[row][column] = bias + sum over k of a[row,k] w[k,column], k over channels, then taps.
    A step is `depth` k: while it is multiplied the next one is on its way into registers. In shared memory a is [row][k / 4];
    w is [k][column / 4], or where it comes along k (`transposed`) [k / 4][column % 4][column / 4], so that neighbouring
    threads read neighbours.
    A thread has 8 rows, {{ 1024 // columns }} apart, by 4 columns. -#}
{%- set runs, quads, row_step = columns // 4, depth // 4, 1024 // columns %}
{%- set filter, k_run = ("first - group_first", "(base + lane) / 4u") if groups else ("first", "lane / 4u") %}
    let pitch = params.places[0].y / 4u;
    let w_pitch = params.w_pitch / 4u;
{%- for r in range(2) %}
    let image{{ r }} = item{{ r }} / params.messages;
    if staged_run == 0u {
        places[some_row + {{ r * rows // 2 }}u] = vec4(item{{ r }}, image{{ r }}, pixel{{ r }}, u32(is_row{{ r }}));
    }
    let source{{ r }} = address(params.places[0], item{{ r }}, image{{ r }}, 0u, {{ "base" if groups else "0u" }}) + (corner{{ r }}.x * source_size.y + corner{{ r }}.y) * pitch;
{%- endfor %}
    workgroupBarrier();

    let column = thread % {{ runs }}u; // this thread's rows and columns
    let row = thread / {{ runs }}u;
    let channel = first + column * 4u;
    var bias = vec4(0.0);
    if channel < channels {
        bias = b[channel / 4u];
    }
{%- for j in range(8) %}
    var sum{{ j }} = bias;
{%- endfor %}

    let steps = (products + {{ depth - 1 }}u) / {{ depth }}u;
    var lane = staged_run * 4u;
    var tap = first_tap;
    var shift = vec2(0u);
    for (var step = 0u; ; step++) {
        while lane >= inputs { // the next step's channels lie in which tap
            lane -= inputs;
            tap.y += tap_step.y;
            shift.y += shift_step.y;
            if tap.y >= kernel.y {
                tap = vec2(tap.x + tap_step.x, first_tap.y);
                shift = vec2(shift.x + shift_step.x, 0u);
            }
        }
        let is_product = step * {{ depth }}u + staged_run * 4u < products;
        let tap_at = (shift.x * source_size.y + shift.y) * pitch + lane / 4u;
{%- for r in range(2) %}
        var next_a{{ r }} = vec4(0.0);
        if is_product && is_row{{ r }} && all(corner{{ r }} + shift < source_size) {
            next_a{{ r }} = {{ enter(prologue, run(source, 0, "source" ~ r ~ " + tap_at"), "base + lane" if groups else "lane") }};
        }
{%- endfor %}
        var next_w = vec4(0.0);
{%- if transposed %}
        let stages_w = thread < {{ columns * quads }}u;
        if stages_w && is_product && first + some_row < channels {
            next_w = {{ run("w", 1, "((tap.x * kernel.y + tap.y) * params.group_in + " ~ filter ~ " + some_row) * w_pitch + " ~ k_run) }};
        }
{%- else %}
        let stages_w = thread < {{ depth * runs }}u;
        let k = step * {{ depth }}u + row;
        if stages_w && k < products && channel < channels {
            next_w = {{ run("w", 1, "k * w_pitch + channel / 4u") }};
        }
{%- endif %}
        lane += {{ depth }}u;

        if step > 0u { // the last one's products
{%- for q in range(quads) %}
{%- for j in range(8) %}
            let a{{ q }}_{{ j }} = a_tile[(row + {{ j * row_step }}u) * {{ quads }}u + {{ q }}u];
{%- endfor %}
{%- for l in range(4) %}
            let w{{ q }}_{{ l }} = w_tile[{{ (q * 4 + l) * runs }}u + column];
{%- endfor %}
{%- for l in range(4) %}
{%- set k = "xyzw"[l] %}
{%- if transposed %}
            let k{{ q }}_{{ l }} = vec4(w{{ q }}_0.{{ k }}, w{{ q }}_1.{{ k }}, w{{ q }}_2.{{ k }}, w{{ q }}_3.{{ k }});
{%- else %}
            let k{{ q }}_{{ l }} = w{{ q }}_{{ l }};
{%- endif %}
{%- for j in range(8) %}
            sum{{ j }} = fma(vec4(a{{ q }}_{{ j }}.{{ k }}), k{{ q }}_{{ l }}, sum{{ j }});
{%- endfor %}
{%- endfor %}
{%- endfor %}
        }
        if step >= steps { break; }

        workgroupBarrier();
{%- for r in range(2) %}
        a_tile[thread + {{ 256 * r }}u] = next_a{{ r }};
{%- endfor %}
        if stages_w {
{%- if transposed %}
            w_tile[(staged_run * 4u + some_row % 4u) * {{ runs }}u + some_row / 4u] = next_w;
{%- else %}
            w_tile[thread] = next_w;
{%- endif %}
        }
        workgroupBarrier();
    }

    if channel >= channels { return; }
{%- for j in range(8) %}
    let place_{{ j }} = places[row + {{ j * row_step }}u];
    if place_{{ j }}.w != 0u {
        finish(sum{{ j }}, place_{{ j }}.x, place_{{ j }}.y, place_{{ j }}.z, channel);
    }
{%- endfor %}
