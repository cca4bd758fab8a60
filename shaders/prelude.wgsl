// Functions of every kernel; build.rs appends this file, so that lines of the kernel keep their numbers.

// Index of a thread among all. At most 65,535 workgroups fit along x, so the rows of a taller grid follow one another.
fn linear_index(block: vec3<u32>, blocks: vec3<u32>, thread: u32) -> u32 {
    return (block.y * blocks.x + block.x) * 256u + thread;
}

// A pair of parameters: height (or top) in the low half of the word, width (or left) in the high half.
fn pair(word: u32) -> vec2<u32> {
    return vec2(word & 0xffffu, word >> 16u);
}
