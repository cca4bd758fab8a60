
// At most 65,535 workgroups fit along x, so the rows of a taller grid follow one another.
@compute @workgroup_size({{ threads | default(256) }})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let block = group.y * groups.x + group.x;
