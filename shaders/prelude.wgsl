// Functions of every kernel; build.rs appends this file, so that lines of the kernel keep their numbers.

// Index of a thread among all. At most 65,535 workgroups fit along x, so the rows of a taller grid follow one another.
fn linear_index(block: vec3<u32>, blocks: vec3<u32>, thread: u32) -> u32 {
    return (block.y * blocks.x + block.x) * 256u + thread;
}

// A pair of parameters: height (or top) in the low half of the word, width (or left) in the high half.
fn pair(word: u32) -> vec2<u32> {
    return vec2(word & 0xffffu, word >> 16u);
}

// Where four channels of a pixel lie; a tensor's place is { item stride, pixel stride, offset, per image }.
fn address(place: vec4<u32>, item: u32, image: u32, pixel: u32, channel: u32) -> u32 {
    return select(item, image, place.w != 0u) * place.x + pixel * place.y + place.z + channel;
}
