
// Where cell o of the larger image lies in the smaller one along an axis, in its cells.
fn source(o: u32, axis: u32) -> f32 {
    let scale = vec2(params.scale_h, params.scale_w)[axis];
    let offset = vec2(params.offset_h, params.offset_w)[axis];
    return clamp(fma(f32(o), scale, offset), 0.0, f32(pair(params.in_size)[axis] - 1u));
}

// Of the cells after those at floor(source).
fn shares(sources: vec2<f32>) -> vec2<f32> {
    return select(fract(sources), vec2(0.0), params.nearest != 0u);
}
