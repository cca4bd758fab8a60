
var<workgroup> parts: array<vec2<f32>, 256>;

// Two sums over the 256 threads of a block in one fixed order, for all of them.
fn total(part: vec2<f32>, thread: u32) -> vec2<f32> {
    workgroupBarrier(); // the last sum has been read
    parts[thread] = part;
{%- for half in [128, 64, 32, 16, 8, 4, 2, 1] %}
    workgroupBarrier();
    if thread < {{ half }}u {
        parts[thread] += parts[thread + {{ half }}u];
    }
{%- endfor %}
    workgroupBarrier();
    return parts[0];
}
