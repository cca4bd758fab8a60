{#- v high where the bit is set, else v low, or v slope where slopes are given. -#}
{%- set bits = stage.operands[0] %}
        let bit = {{ bits_at(bits) }};
        let word = {{ bits.pointer }}[bit / 32u] >> (bit % 32u);
        let is_set = (vec4(word) & vec4({{ "1u" if bits.spread else "1u, 2u, 4u, 8u" }})) != vec4(0u);
        let low = {{ operand(stage, 1) if stage.variant == "slope" else "vec4(" ~ constant(stage, 1) ~ ")" }};
        v = v * select(low, vec4({{ constant(stage, 0) }}), is_set);
