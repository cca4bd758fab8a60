// y[i] = the sum of 8 chains v = v a + b, 32 links a round: what the f32 units compute. Chain c starts at thread + c.

struct Params {
    rounds: u32,
    a: f32,
    b: f32,
}

@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) block: vec3<u32>,
    @builtin(num_workgroups) blocks: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let a = vec4(params.a);
    let b = vec4(params.b);
    var v0 = vec4<f32>(vec4(thread) + vec4(0u, 1u, 2u, 3u));
    var v1 = vec4<f32>(vec4(thread) + vec4(4u, 5u, 6u, 7u));
    for (var round = 0u; round < params.rounds; round++) {
{%- for link in range(32) %}
        v0 = fma(v0, a, b);
        v1 = fma(v1, a, b);
{%- endfor %}
    }
    y[(block.y * blocks.x + block.x) * 256u + thread] = dot(v0 + v1, vec4(1.0));
}
