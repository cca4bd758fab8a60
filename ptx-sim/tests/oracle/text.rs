//! Opcodes and operands as texts.

/// All opcodes of a form: `|` separates alternatives, parts in brackets may be absent.
pub fn opcodes(form: &str) -> Vec<String> {
    form.split('.').fold(vec![String::new()], |opcodes, part| {
        let optional = part.strip_prefix('[').and_then(|part| part.strip_suffix(']'));
        let names: Vec<&str> = optional.map(|_| "").into_iter().chain(optional.unwrap_or(part).split('|')).collect();
        let with = |opcode: &String, name: &str| match (opcode.as_str(), name) {
            (_, "") => opcode.clone(),
            ("", name) => name.to_owned(),
            _ => format!("{opcode}.{name}"),
        };
        opcodes.iter().flat_map(|opcode| names.iter().map(move |name| with(opcode, name))).collect()
    })
}

/// Of an opcode.
pub fn has(opcode: &str, part: &str) -> bool {
    opcode.split('.').any(|other| other == part)
}

pub fn last(opcode: &str) -> &str {
    opcode.rsplit('.').next().unwrap_or_default()
}

/// Bits of a value of a type.
pub fn bits(ty: &str) -> u32 {
    match ty {
        "pred" => 1,
        "f16x2" | "bf16x2" => 32,
        _ => ty.trim_start_matches(|c: char| c.is_ascii_lowercase()).parse().expect("a type"),
    }
}

/// The letter of the registers that hold a type.
pub fn file(ty: &str) -> char {
    match bits(ty) {
        1 => 'p',
        8 | 16 => 'h',
        32 => 'w',
        _ => 'q',
    }
}

/// A value of an integer type, from bits of which only the lower may be its.
pub fn integer(ty: &str, value: u64) -> i128 {
    let modulus = 1i128 << bits(ty);
    let value = i128::from(value) % modulus;
    if ty.starts_with('s') && value >= modulus / 2 { value - modulus } else { value }
}

/// The lower bits of an integer.
pub fn lower(value: i128, bits: u32) -> u64 {
    value.rem_euclid(1 << bits) as u64
}
