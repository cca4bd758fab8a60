{#- Writes the bits "f'(v) is the larger of its two values". Up to eight threads share a word, each with four bits of its own: whatever
    their order, the word is the same. Where those are a subgroup, or one thread has all of them (`whole_words`, `words_by`), the first
    lane writes the word, or the thread does when it has gathered them. -#}
{%- import "curves/" ~ stage.curve ~ ".wgsl" as curve %}
{%- set word = stage.operands[0].pointer ~ "[bit / 32u]" %}
{%- set by = words_by if whole_words else "" %}
{%- if by == "thread" %}
        kept |= bits_of({{ curve.larger("v", stage) }}) << (channel % 32u);
{%- else %}
        let bit = {{ bits_at(stage.operands[0]) }};
        let own = bits_of({{ curve.larger("v", stage) }}) << (bit % 32u);
{%- if by == "subgroup" %}
        var all = own;
{%- for lane in range(8) %}
        all |= subgroupBroadcast(own, {{ lane }}u);
{%- endfor %}
        if bit % 32u == 0u {
            atomicStore(&{{ word }}, all);
        }
{%- else %}
        let before = atomicLoad(&{{ word }});
        atomicXor(&{{ word }}, (before ^ own) & (15u << (bit % 32u)));
{%- endif %}
{%- endif %}
