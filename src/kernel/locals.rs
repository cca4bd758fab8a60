//! WGSL that reads its parameters once.

/// The same kernel with its parameters as numbers of each thread, which are read when it begins: a driver that computes on a CPU reads
/// parameters anew wherever they are named, in loops lane by lane. Those that no line names are not read. A kernel with barriers stays
/// as it is: whether they are in uniform control flow, compilers tell by numbers that all threads share.
pub fn by_locals(text: &str) -> String {
    if text.contains("workgroupBarrier()") {
        return text.to_owned();
    }
    let entry = text.find("fn main(").and_then(|start| text[start..].find(") {\n").map(|length| start + length));
    let Some((head, body)) = entry.map(|at| text.split_at(at + ") {\n".len())) else { return text.to_owned() };
    let [head, body] = [head, body].map(|part| part.replace("params.", "own_params."));
    let declared = "var<uniform> params: Params;\n";
    let head = head.replacen(declared, &format!("{declared}var<private> own_params: Params;\n"), 1);
    format!("{head}    own_params = params;\n{body}")
}

#[cfg(test)]
mod tests {
    use super::by_locals;

    #[test]
    fn parameters_are_read_once() {
        let text = "\
@group(0) @binding(1) var<uniform> params: Params;
fn at(i: u32) -> u32 {
    return i * params.places[1].x;
}
@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) thread: u32,
) {
    y[at(thread)] = params.count;
}
";
        let want = "\
@group(0) @binding(1) var<uniform> params: Params;
var<private> own_params: Params;
fn at(i: u32) -> u32 {
    return i * own_params.places[1].x;
}
@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) thread: u32,
) {
    own_params = params;
    y[at(thread)] = own_params.count;
}
";
        assert_eq!(by_locals(text), want);
        let with_barrier = text.replace("    y[", "    workgroupBarrier();\n    y[");
        assert_eq!(by_locals(&with_barrier), with_barrier);
    }
}
