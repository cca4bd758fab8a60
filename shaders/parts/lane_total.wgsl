

var<workgroup> parts: array<vec2<f32>, 32>;

// Two sums over the 256 threads of a block in one fixed order, for the first eight of them: over each subgroup, then over these.
// Once a kernel.
fn total(part: vec2<f32>, thread: u32) -> vec2<f32> {
    let own = subgroupAdd(part);
    if thread % 8u == 0u {
        parts[thread / 8u] = own;
    }
    workgroupBarrier();
    var sum = vec2(0.0);
    for (var i = thread; i < 32u; i += 8u) {
        sum += parts[i];
    }
    return subgroupAdd(sum);
}
