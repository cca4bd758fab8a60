//! WGSL that loads and stores two numbers at a time.

use super::accesses::{accesses, declared};

/// What the text gains: four numbers of two pairs, and the reverse.
const FUNCTIONS: &str = "
fn four(pairs: vec2<u64>) -> vec4<f32> {
    let low = vec2<u32>(pairs);
    let high = vec2<u32>(pairs >> vec2(32u));
    return bitcast<vec4<f32>>(vec4(low.x, high.x, low.y, high.y));
}

fn pairs(four: vec4<f32>) -> vec2<u64> {
    let bits = bitcast<vec4<u32>>(four);
    return vec2<u64>(bits.xz) | (vec2<u64>(bits.yw) << vec2(32u));
}
";

/// What four numbers are in a tensor, and how those of pairs become them and back.
const NUMBERS: [(&str, [&str; 2], [&str; 2]); 2] = [
    ("f32", ["four(", ")"], ["pairs(", ")"]),
    ("u32", ["bitcast<vec4<u32>>(four(", "))"], ["pairs(bitcast<vec4<f32>>(", "))"]),
];

/// The same kernel with tensors of pairs, `vec2<u64>`, in place of four numbers, `vec4<f32>` or `vec4<u32>`: a driver that
/// computes on a CPU goes through the lanes of a load one by one, and takes as long for 64 bits as for 32. A tensor of which
/// single numbers are read, `x[i][lane]`, stays as it is.
pub fn by_pairs(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut gains = "";
    for (number, load, store) in NUMBERS {
        for (at, name) in text.lines().enumerate().filter_map(|(at, line)| Some((at, declared(line, number)?))) {
            let access = format!("{name}[");
            let accessed: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].contains(&access)).collect();
            let is_read_singly = |line: &String| accesses(line, name).any(|(_, end)| line[end..].starts_with('['));
            if accessed.iter().any(|at| is_read_singly(&lines[*at])) {
                continue;
            }
            lines[at] = lines[at].replace(&format!("vec4<{number}>"), "vec2<u64>");
            accessed.into_iter().for_each(|at| lines[at] = converted(&lines[at], name, load, store));
            gains = FUNCTIONS;
        }
    }
    lines.join("\n") + "\n" + gains
}

/// A line whose accesses to a tensor are converted: loads, and the store with which it begins.
fn converted(line: &str, name: &str, load: [&str; 2], store: [&str; 2]) -> String {
    let mut converted = String::new();
    let mut done = 0;
    for (start, end) in accesses(line, name).filter(|(start, _)| *start >= line.len() - line.trim_start().len()) {
        converted.push_str(&line[done..start]);
        match line[end..].strip_prefix(" = ").and_then(|value| value.strip_suffix(';')) {
            Some(value) => {
                let value = self::converted(value, name, load, store);
                return converted + &format!("{} = {};", &line[start..end], store.join(&value));
            }
            None => converted.push_str(&load.join(&line[start..end])),
        }
        done = end;
    }
    converted + &line[done..]
}

#[cfg(test)]
mod tests {
    use super::by_pairs;

    #[test]
    fn loads_and_stores_are_of_pairs_where_no_single_number_is_read() {
        let text = "\
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bits: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> index: array<vec4<u32>>;
// y[i] = x[i] + w[i]
    let v = max_x[i] + x[(i + at[2]) / 4u] * x[i].xxxx; // x[i]
    let one = w[i / 4u][i % 4u];
    y[i + bits[0]] = v + y[i];
    index[i] = index[i + 1] + vec4(1u);
";
        let want = "\
@group(0) @binding(0) var<storage, read> x: array<vec2<u64>>;
@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bits: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec2<u64>>;
@group(0) @binding(4) var<storage, read_write> index: array<vec2<u64>>;
// y[i] = x[i] + w[i]
    let v = max_x[i] + four(x[(i + at[2]) / 4u]) * four(x[i]).xxxx; // x[i]
    let one = w[i / 4u][i % 4u];
    y[i + bits[0]] = pairs(v + four(y[i]));
    index[i] = pairs(bitcast<vec4<f32>>(bitcast<vec4<u32>>(four(index[i + 1])) + vec4(1u)));
";
        let got = by_pairs(text);
        assert!(got.starts_with(want) && got.contains("fn four"), "{got}");
        assert_eq!(by_pairs("var<workgroup> x: array<vec4<f32>>;\n"), "var<workgroup> x: array<vec4<f32>>;\n");
    }
}
