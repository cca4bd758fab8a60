{#- The sums of a dense layer, whose items are a pixel each, for drivers that compute on a CPU:
    sum[item][column] = bias + sum over k of a[item,k] w[k,column], every weight loaded once for `height` items.
    A block is a subgroup of eight threads, which have `width` runs of four columns each, eight apart, of the same items: each loads a
    part of a and has the others' from them. w is [k][column], of whose long rows a wide block reads more at once, or [column][k]
    where `transposed`. A block of halves is narrow: each load of one is a loop to such a driver, whose compiler takes the square of
    their number. -#}
{%- set threads, words_by, height = 8, "subgroup", 4 %}{# gpu/dense.rs counts blocks by them #}
{%- include "parts/main.wgsl" %}
    let tile = position(block, (params.runs + {{ 8 * width - 1 }}u) / {{ 8 * width }}u); // which items, which columns
    let first_run = tile.y * {{ 8 * width }}u;
{%- for c in range(width) %}
    let own_run{{ c }} = first_run + {{ 8 * c }}u + thread;
    let run{{ c }} = min(own_run{{ c }}, params.runs - 1u);
    let bias{{ c }} = b[run{{ c }}];
{%- endfor %}
    let kernel = pair(params.kernel);
    let k_runs = kernel.x * kernel.y * {{ "params.group_out" if transposed else "params.group_in" }} / 4u;
    let pitch = params.w_pitch / 4u;
{%- for r in range(height) %}
    let item{{ r }} = tile.x * {{ height }}u + {{ r }}u;
    let image{{ r }} = item{{ r }} / params.messages;
    let is_item{{ r }} = item{{ r }} < params.count / params.runs;
    let source{{ r }} = address(params.places[0], item{{ r }}, image{{ r }}, 0u, 0u);
{%- for c in range(width) %}
    var sum{{ r }}_{{ c }} = bias{{ c }};
{%- endfor %}
{%- endfor %}

    for (var first = 0u; first < k_runs; first += 8u) {
        let own = first + thread;
{{- ahead(prologue, "min(own, k_runs - 1u) * 4u") }}
{%- for r in range(height) %}
        var a{{ r }} = vec4(0.0);
        if is_item{{ r }} && own < k_runs {
            a{{ r }} = {{ enter_by(prologue, run(source, 0, "source" ~ r ~ " + own")) }};
        }
{%- endfor %}
{%- for l in range(8) %}
        let at{{ l }} = min(first + {{ l }}u, k_runs - 1u);
{%- for r in range(height) %}
        let a{{ r }}_{{ l }} = subgroupBroadcast(a{{ r }}, {{ l }}u);
{%- endfor %}
{%- for c in range(width) %}
{%- for i in range(4) %}
        let w{{ l }}_{{ c }}_{{ i }} = {{ run("w", 1, ("(run" ~ c ~ " * 4u + " ~ i ~ "u) * pitch + at" ~ l) if transposed else ("(at" ~ l ~ " * 4u + " ~ i ~ "u) * pitch + run" ~ c)) }};
{%- endfor %}
{%- for k in "xyzw" %}
{%- if transposed %}
        let k{{ l }}_{{ c }}_{{ k }} = vec4({% for i in range(4) %}w{{ l }}_{{ c }}_{{ i }}.{{ k }}{{ ", " if not loop.last }}{% endfor %});
{%- else %}
        let k{{ l }}_{{ c }}_{{ k }} = w{{ l }}_{{ c }}_{{ loop.index0 }};
{%- endif %}
{%- for r in range(height) %}
        sum{{ r }}_{{ c }} = fma(vec4(a{{ r }}_{{ l }}.{{ k }}), k{{ l }}_{{ c }}_{{ k }}, sum{{ r }}_{{ c }});
{%- endfor %}
{%- endfor %}
{%- endfor %}
{%- endfor %}
    }
{#- The last threads of a subgroup that writes a word of bits do what the one before them does. #}
{%- for r in range(height) %}
{%- for c in range(width) %}
    if is_item{{ r }} && {{ "first_run + " ~ 8 * c ~ "u" if whole_words else "own_run" ~ c }} < params.runs {
        finish(sum{{ r }}_{{ c }}, item{{ r }}, image{{ r }}, 0u, run{{ c }} * 4u);
    }
{%- endfor %}
{%- endfor %}
}
{{- entrance(prologue, by=true) }}
{% include "parts/finish.wgsl" %}
