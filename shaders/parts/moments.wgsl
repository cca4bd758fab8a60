{#- Mean and deviation = sqrt(variance + epsilon) of x over the channels of this block's pixel that the mask has, in every
    thread; `many` is how many there are. -#}

    let many = f32(params.real_channels);
    let channels = params.runs * 4u;
    var sum = 0.0;
    for (var channel = thread * 4u; channel < channels; channel += 1024u) {
        sum += dot({{ load("x", x_slot) }}, vec4(1.0));
    }
    let mean = total(vec2(sum, 0.0), thread).x / many;

    var squares = 0.0;
    for (var channel = thread * 4u; channel < channels; channel += 1024u) {
        let difference = select({{ load("x", x_slot) }} - mean, vec4(0.0), mask[channel / 4u] == vec4(0.0));
        squares += dot(difference, difference);
    }
    let deviation = sqrt(total(vec2(squares, 0.0), thread).x / many + params.epsilon);
