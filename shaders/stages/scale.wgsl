{#- factor v, and 0 where the factor is, whatever v. -#}
{# #}
        let factor = {{ operand(stage, 0) }};
        v = select(factor * v, vec4(0.0), factor == vec4(0.0));
