//! What a PTX kernel declares: lines of a form that leaves no choice.

use super::{Field, Interface, OWN_BYTES, PARAM_BYTES, Problem, THREADS, line_of, problem};

/// Reads the header of a PTX kernel and its loads of own parameters.
pub fn interface(file: &str, stem: &str, text: &str) -> Result<Interface, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut bad = |line: usize, reason: String| problems.push(problem(file, line, reason));
    let mut interface = Interface::default();
    let (mut entries, mut in_header, mut has_params, mut has_threads) = (0, false, false, false);

    for (at, raw) in text.lines().enumerate() {
        let line = at + 1;
        let (code, comment) = raw.split_once("//").unwrap_or((raw, ""));
        let (code, comment) = (code.trim(), comment.trim());
        if let Some(entry) = code.split(".entry ").nth(1) {
            entries += 1;
            in_header = true;
            let name = entry.trim_end_matches('(');
            if name != stem {
                bad(line, format!("the entry is `{name}`, the file `{stem}`"));
            }
        } else if in_header && code.starts_with(".param") {
            if has_params {
                bad(line, "`params` must be the last argument".to_owned());
            }
            for param in code.split(',').map(str::trim).filter(|param| !param.is_empty()) {
                let name = param.split_whitespace().last().unwrap_or_default().to_owned();
                let is_pointer = param.starts_with(".param .u64 .ptr .global .align 16 ");
                match comment {
                    "inputs" if is_pointer && interface.outputs.is_empty() => interface.inputs.push(name),
                    "outputs" if is_pointer => interface.outputs.push(name),
                    "params" if param == format!(".param .align 4 .b8 params[{PARAM_BYTES}]") => has_params = true,
                    _ => bad(
                        line,
                        format!(
                            "`{param}`: lines marked inputs, then outputs, of `.param .u64 .ptr .global .align 16 name`, \
                             then one marked params of `.param .align 4 .b8 params[{PARAM_BYTES}]` are wanted"
                        ),
                    ),
                }
            }
        } else if in_header && code.starts_with(')') {
            in_header = false;
            has_threads = code.starts_with(&format!(") .maxntid {THREADS}, 1, 1"));
            if !has_threads {
                bad(line, format!("`) .maxntid {THREADS}, 1, 1` is wanted"));
            }
        } else if let Some(load) = code.strip_prefix("ld.param.").filter(|load| load.contains("[params")) {
            match field(load) {
                Some(field) if field.offset < OWN_BYTES => interface.params.push(field),
                Some(_) => {}
                None => bad(line, "a parameter is loaded as `ld.param.u32 %name, [params+offset]`".to_owned()),
            }
        }
    }
    if entries != 1 {
        bad(1, format!("{entries} entries, one is wanted"));
    } else if !has_params || !has_threads {
        bad(line_of(text, ".entry"), "the header is not complete".to_owned());
    }
    interface.params.sort_by(|a, b| (a.offset, &a.name).cmp(&(b.offset, &b.name)));
    interface.params.dedup();
    if problems.is_empty() { Ok(interface) } else { Err(problems) }
}

/// `u32 %name, [params+offset];`
fn field(load: &str) -> Option<Field> {
    let (scalar, rest) = load.split_once(' ')?;
    let (register, address) = rest.split_once(',')?;
    let name = register.trim().strip_prefix('%')?.to_owned();
    let offset = address.trim().strip_prefix("[params+")?.strip_suffix("];")?.parse().ok()?;
    ["u32", "f32"].contains(&scalar).then(|| Field { name, scalar: scalar.to_owned(), offset })
}
