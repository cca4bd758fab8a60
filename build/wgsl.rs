//! What a WGSL kernel declares, as naga reads it.

use super::{Field, Interface, Language, OWN_BYTES, PRELUDE, Problem, THREADS, line_of, problem};

/// Members of WGSL parameters that follow the own words, arrays of `vec4<u32>`: a place for each pointer, constants.
const TAIL: [(&str, u32); 2] = [("places", 16), ("constants", 12)];

/// The entry of every WGSL kernel.
const ENTRY: &str = "main";

/// How variants end that use subgroups.
const SUBGROUP: &str = ".subgroup";

/// Threads of their workgroups, eight subgroups or one: a CPU passes through the code of those, too, that have no work.
const THREADS_BY_SUBGROUPS: [u32; 2] = [64, 8];

/// Parses, validates and reflects the bare text of a WGSL kernel.
pub fn interface(file: &str, text: &str, prelude: &str) -> Result<Interface, Vec<Problem>> {
    let source = format!("{text}\n{prelude}");
    let own_lines = text.lines().count() + 1;
    let place = |line: usize| if line > own_lines { (PRELUDE, line - own_lines) } else { (file, line) };
    let module = naga::front::wgsl::parse_str(&source).map_err(|e| {
        let (at, line) = place(e.location(&source).map_or(1, |l| l.line_number as usize));
        vec![problem(at, line, e.emit_to_string_with_path(&source, at).trim_end())]
    })?;
    let flags = naga::valid::ValidationFlags::all();
    let is_by_subgroups = file.ends_with(&format!("{SUBGROUP}.{}", Language::Wgsl.extension()));
    let capabilities = if is_by_subgroups { naga::valid::Capabilities::SUBGROUP } else { Default::default() };
    naga::valid::Validator::new(flags, capabilities).validate(&module).map_err(|e| {
        let (at, line) = place(e.location(&source).map_or(1, |l| l.line_number as usize));
        vec![problem(at, line, e.emit_to_string_with_path(&source, at).trim_end())]
    })?;
    let mut problems = Vec::new();
    let mut bad = |word: &str, reason: String| problems.push(problem(file, line_of(text, word), reason));

    match &module.entry_points[..] {
        [entry] => {
            if entry.name != ENTRY {
                bad("@compute", format!("the entry point is `{}`, it must be `{ENTRY}`", entry.name));
            }
            let threads: &[u32] = if is_by_subgroups { &THREADS_BY_SUBGROUPS } else { &[THREADS] };
            let [x, y, z] = entry.workgroup_size;
            if !threads.contains(&x) || [y, z] != [1, 1] || entry.workgroup_size_overrides.is_some() {
                let one_of = threads.iter().map(u32::to_string).collect::<Vec<_>>().join(" or ");
                bad("@workgroup_size", format!("the workgroup size must be the literal {one_of}"));
            }
        }
        entries => bad("@compute", format!("{} entry points, one is wanted", entries.len())),
    }

    let mut interface = Interface::default();
    let mut bound: Vec<_> = module.global_variables.iter().filter_map(|(_, v)| Some((v.binding?, v))).collect();
    bound.sort_by_key(|(binding, _)| (binding.group, binding.binding));
    for (at, (binding, variable)) in bound.iter().enumerate() {
        let name = variable.name.clone().unwrap_or_default();
        let word = format!(" {name}:");
        if (binding.group, binding.binding) != (0, at as u32) {
            bad(&word, format!("`{name}` must be @group(0) @binding({at})"));
        }
        let is_last = at + 1 == bound.len();
        match variable.space {
            naga::AddressSpace::Storage { access } if !is_last => {
                if access.contains(naga::StorageAccess::STORE) {
                    interface.outputs.push(name);
                } else if interface.outputs.is_empty() {
                    interface.inputs.push(name);
                } else {
                    bad(&word, format!("input `{name}` follows an output"));
                }
            }
            naga::AddressSpace::Uniform if is_last && name == "params" => {
                interface.params = fields(&module, variable.ty).unwrap_or_else(|reason| {
                    bad("struct", reason);
                    Vec::new()
                });
            }
            _ => bad(&word, format!("`{name}`: inputs, outputs, then one uniform `params` are wanted")),
        }
    }

    if problems.is_empty() { Ok(interface) } else { Err(problems) }
}

fn fields(module: &naga::Module, ty: naga::Handle<naga::Type>) -> Result<Vec<Field>, String> {
    let naga::TypeInner::Struct { members, .. } = &module.types[ty].inner else {
        return Err("`params` must be a struct".to_owned());
    };
    let (own, tail) = members.split_at(members.len().saturating_sub(TAIL.len()));
    let mut offset = OWN_BYTES;
    let mut is_tail = tail.len() == TAIL.len();
    for (member, (name, count)) in tail.iter().zip(TAIL) {
        let is_array = match module.types[member.ty].inner {
            naga::TypeInner::Array { base, size: naga::ArraySize::Constant(size), .. } => {
                let vector = naga::TypeInner::Vector { size: naga::VectorSize::Quad, scalar: naga::Scalar::U32 };
                module.types[base].inner == vector && size.get() == count
            }
            _ => false,
        };
        is_tail &= is_array && (member.name.as_deref(), member.offset) == (Some(name), offset);
        offset += 16 * count;
    }
    if !is_tail {
        let tail = TAIL.map(|(name, count)| format!("`{name}: array<vec4<u32>, {count}>`"));
        return Err(format!("{} at byte {OWN_BYTES} end the parameters", tail.join(" and ")));
    }
    let fields = own.iter().map(|member| {
        let name = member.name.clone().unwrap_or_default();
        let scalar = match module.types[member.ty].inner {
            naga::TypeInner::Scalar(naga::Scalar::U32) => "u32",
            naga::TypeInner::Scalar(naga::Scalar::F32) => "f32",
            _ => return Err(format!("field `{name}` must be u32 or f32")),
        };
        Ok(Field { name, scalar: scalar.to_owned(), offset: member.offset })
    });
    fields.collect()
}
