//! Where a WGSL text declares tensors of four numbers, and where it loads from them and stores.

/// The tensor of four numbers that a line declares.
pub fn declared<'a>(line: &'a str, number: &str) -> Option<&'a str> {
    let (head, _) = line.split_once(&format!(": array<vec4<{number}>>;"))?;
    let (qualifiers, name) = head.rsplit_once("> ")?;
    qualifiers.contains("var<storage").then_some(name)
}

/// Where `name[...]` begins and ends in the code of a line.
pub fn accesses<'a>(line: &'a str, name: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
    let code = if line.contains(name) { line.split("//").next().unwrap_or_default() } else { "" };
    code.match_indices(name).filter_map(move |(start, _)| {
        let is_part_of_a_word = code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
        let rest = code[start + name.len()..].strip_prefix('[').filter(|_| !is_part_of_a_word)?;
        let mut depth = 1;
        let length = rest.find(|c| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            depth == 0
        })?;
        Some((start, start + name.len() + 1 + length + 1))
    })
}
