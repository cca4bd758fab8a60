{#- Writes the bits "f'(v) is the larger of its two values". Up to eight threads share a word, each with four bits of its own: whatever
    their order, the word is the same. -#}
{%- import "curves/" ~ stage.curve ~ ".wgsl" as curve %}
        let bit = {{ bits_at(stage.operands[0]) }};
        let after = bits_of({{ curve.larger("v", stage) }}) << (bit % 32u);
        let before = atomicLoad(&{{ stage.operands[0].pointer }}[bit / 32u]);
        atomicXor(&{{ stage.operands[0].pointer }}[bit / 32u], (before ^ after) & (15u << (bit % 32u)));
