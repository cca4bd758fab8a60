// y = x, 16 KiB a block: what memory carries.

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<u32>>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) block: vec3<u32>,
    @builtin(num_workgroups) blocks: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = (block.y * blocks.x + block.x) * 1024u + thread; // which four vectors, a block's width apart
{%- for v in range(4) %}
    let v{{ v }} = x[i + {{ 256 * v }}u];
{%- endfor %}
{%- for v in range(4) %}
    y[i + {{ 256 * v }}u] = v{{ v }};
{%- endfor %}
}
