//! WGSL that loads from textures.

use super::accesses::{accesses, declared};

/// Texels of a row: a tensor's vector `i` lies in row `i / TEXELS_OF_A_ROW`.
pub const TEXELS_OF_A_ROW: usize = 4096;

/// The same kernel with textures in place of the tensors of four numbers, `vec4<f32>`, that it only reads at these bindings: a driver
/// that computes on a CPU goes through the lanes of a load from a buffer one by one, and transposes what it loads from a texture,
/// which takes a tenth of the time.
pub fn by_texels(text: &str, bindings: &[bool]) -> String {
    let number = |line: &str| line.split_once("@binding(")?.1.split_once(')')?.0.parse::<usize>().ok();
    let is_texture = |line: &&str| {
        line.contains("var<storage, read>") && number(line).is_some_and(|number| bindings.get(number) == Some(&true))
    };
    let tensors: Vec<&str> = text.lines().filter(is_texture).filter_map(|line| declared(line, "f32")).collect();
    if tensors.is_empty() {
        return text.to_owned();
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for name in tensors {
        let declaration = format!("var<storage, read> {name}: array<vec4<f32>>;");
        for line in &mut lines {
            *line = line.replace(&declaration, &format!("var {name}: texture_storage_2d<rgba32float, read>;"));
            *line = loaded(line, name);
        }
    }
    let function = format!(
        "fn texel(at: u32) -> vec2<u32> {{\n    return vec2(at % {TEXELS_OF_A_ROW}u, at / {TEXELS_OF_A_ROW}u);\n}}\n"
    );
    lines.join("\n") + "\n\n" + &function
}

/// A line that loads `name[at]` from a texture.
fn loaded(line: &str, name: &str) -> String {
    let (mut text, mut done) = (String::new(), 0);
    for (start, end) in accesses(line, name) {
        let at = &line[start + name.len() + 1..end - 1];
        text += &format!("{}textureLoad({name}, texel({at}))", &line[done..start]);
        done = end;
    }
    text + &line[done..]
}

#[cfg(test)]
mod tests {
    use super::by_texels;

    #[test]
    fn what_is_bound_to_a_texture_is_loaded_from_it() {
        let text = "\
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bits: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
// y[i] = x[i] + w[i]
    let v = max_x[i] + x[(i + at[2]) / 4u] * x[bits[i]].xxxx; // x[i]
    y[i] = v + w[i][i % 4u];
";
        let want = "\
@group(0) @binding(0) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bits: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
// y[i] = x[i] + w[i]
    let v = max_x[i] + textureLoad(x, texel((i + at[2]) / 4u)) * textureLoad(x, texel(bits[i])).xxxx; // x[i]
    y[i] = v + w[i][i % 4u];

fn texel(";
        let got = by_texels(text, &[true, false, true, true]);
        assert!(got.starts_with(want), "{got}");
        assert_eq!(by_texels(text, &[false; 4]), text);
    }
}
