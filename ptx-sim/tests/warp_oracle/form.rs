//! The forms of `ld` and `st`, loads of parameters, and what is no form.

use super::*;

const TYPES: &[(&str, usize)] = &[
    ("b8", 1),
    ("u8", 1),
    ("s8", 1),
    ("b16", 2),
    ("u16", 2),
    ("s16", 2),
    ("b32", 4),
    ("u32", 4),
    ("s32", 4),
    ("f32", 4),
    ("b64", 8),
    ("u64", 8),
    ("s64", 8),
];

/// Register files by the first letter of their names, and their bytes.
const FILES: &[(char, usize)] = &[('h', 2), ('w', 4), ('q', 8)];

/// Where accesses go; generic ones to global or shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Global,
    NonCoherent,
    Shared,
    Generic,
}

#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub store: bool,
    pub to: To,
    pub ty: &'static str,
    pub bytes: usize,
    pub count: usize,
    pub file: char,
    pub file_bytes: usize,
}

pub fn forms() -> Vec<Form> {
    let mut forms = Vec::new();
    let places = [To::Global, To::NonCoherent, To::Shared, To::Generic].map(|to| [(to, false), (to, true)]);
    for (to, store) in places.into_iter().flatten().filter(|place| *place != (To::NonCoherent, true)) {
        for ((ty, bytes), (file, file_bytes)) in TYPES.iter().flat_map(|ty| FILES.iter().map(move |file| (*ty, *file)))
        {
            let counts = [1, 2, 4].into_iter().filter(|count| file_bytes >= bytes && bytes * count <= 16);
            forms.extend(counts.map(|count| Form { store, to, ty, bytes, count, file, file_bytes }));
        }
    }
    forms
}

impl Form {
    /// Bytes of a lane.
    pub fn len(&self) -> usize {
        self.bytes * self.count
    }

    pub fn text(&self, random: usize) -> String {
        let space = match (self.to, random % 2) {
            (To::Global, _) => ".global",
            (To::NonCoherent, 0) => ".global.nc",
            (To::NonCoherent, _) => ".global.L1::no_allocate.nc",
            (To::Shared, 0) => ".shared",
            (To::Shared, _) => ".shared::cta",
            (To::Generic, _) => "",
        };
        let (loads, stores) = (["ca", "cg", "cs", "lu", "cv", "acquire.cta"], ["wb", "cg", "cs", "wt", "release.gpu"]);
        let both = ["", "volatile", "weak", "relaxed.sys"];
        let hints: Vec<_> = if self.store { &stores[..] } else { &loads }.iter().chain(&both).collect();
        let hint = if self.to == To::NonCoherent { &"" } else { hints[random / 2 % hints.len()] };
        let dot = if hint.is_empty() { "" } else { "." };
        format!("{}{dot}{hint}{space}{}", if self.store { "st" } else { "ld" }, self.suffix())
    }

    pub fn suffix(&self) -> String {
        format!("{}.{}", ["", ".v2", ".v4"][self.count / 2], self.ty)
    }

    /// The values of registers after a load of these bytes.
    pub fn loaded<'b>(&'b self, bytes: &'b [u8]) -> impl Iterator<Item = u64> + 'b {
        bytes.chunks(self.bytes).map(|bytes| {
            let bits = bytes.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
            let is_negative = self.ty.starts_with('s') && bits >> (8 * self.bytes - 1) == 1;
            (bits | if is_negative { !mask(self.bytes) } else { 0 }) & mask(self.file_bytes)
        })
    }

    pub fn registers(&self) -> String {
        let names: Vec<_> = (0..self.count).map(|i| format!("%{}{i}", self.file)).collect();
        if self.count == 1 { names[0].clone() } else { format!("{{{}}}", names.join(", ")) }
    }
}

/// Some number for each place.
pub fn random(seed: u64, at: usize) -> u64 {
    let mixed = (seed ^ at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ mixed >> 32
}

pub fn mask(bytes: usize) -> u64 {
    !0 >> (64 - 8 * bytes)
}

pub const REGISTERS: &str = ".reg .b64 %x, %y, %m, %c, %g, %base, %off, %q<4>; .reg .b32 %t, %lane, %k, %s, %r, %w<4>;\n\
     .reg .b16 %copy, %h<4>; .reg .pred %part, %same;\n";

/// Registers of 64 bits to the others.
pub const NARROW: &str = "cvt.u32.u64 %w0, %q0; cvt.u32.u64 %w1, %q1; cvt.u32.u64 %w2, %q2; cvt.u32.u64 %w3, %q3;\n\
     cvt.u16.u32 %h0, %w0; cvt.u16.u32 %h1, %w1; cvt.u16.u32 %h2, %w2; cvt.u16.u32 %h3, %w3;\n";

/// The four registers of a file to y, as 64 bits. Those of 16 bits are also compared with copies.
pub fn keep(file: char, at: usize) -> String {
    let widen = |j| match file {
        'h' => format!(
            "cvt.u32.u16 %w{j}, %h{j}; cvt.u16.u32 %copy, %w{j}; setp.eq.u16 %same, %copy, %h{j};\n\
             selp.b32 %w{j}, %w{j}, {KEPT}, %same; cvt.u64.u32 %q{j}, %w{j};\n"
        ),
        'w' => format!("cvt.u64.u32 %q{j}, %w{j};\n"),
        _ => String::new(),
    };
    let stores =
        format!("st.global.v2.b64 [%y+{at}], {{%q0, %q1}}; st.global.v2.b64 [%y+{}], {{%q2, %q3}};\n", at + 16);
    (0..4).map(widen).collect::<String>() + &stores
}

#[test]
fn loads_of_parameters() {
    // Declarations, offsets and bytes.
    let params =
        [(".align 16 .b8", "[48]", 0, 48), (".u16", "", 48, 2), (".b64", "", 56, 8), (".align 4 .b8", "[20]", 64, 20)];
    let declared: Vec<_> =
        params.iter().enumerate().map(|(i, (kind, array, ..))| format!(".param {kind} p{i}{array}")).collect();
    let forms: Vec<Form> = forms().into_iter().filter(|form| form.to == To::NonCoherent).collect();
    let places = (select(vec![0usize, 0, 0, 1, 2, 3]), prop_oneof![4 => 0i64..6, 1 => -2i64..60], any::<bool>());
    check(&forms, 32, (places, any::<u64>(), some_lanes()), |form, ((param, at, multiple), seed, active)| {
        let (_, _, param_at, size) = params[param];
        let at = if multiple { at * form.len() as i64 } else { at };
        let load = format!("ld.param{} {}, [p{param}+{at}];", form.suffix(), form.registers());
        let before = [0, 1, 2, 3].map(|i| random(seed, i) & mask(form.file_bytes));
        let set: String = before.iter().enumerate().map(|(i, value)| format!("mov.b64 %q{i}, {value};")).collect();
        let text = format!(
            ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k({}, .param .u64 y) {{\n{REGISTERS}\
             mov.u32 %lane, %laneid; ld.param.u64 %y, [y]; mad.wide.u32 %y, %lane, 32, %y; {set} {NARROW}{}\n\
             @%part {load}\n{}ret;\n}}",
            declared.join(", "),
            predicate("%part", active),
            keep(form.file, 0),
        );
        let (fits, first) = (at >= 0 && at as usize + form.len() <= size, (param_at as i64 + at) as usize);
        if !fits || first % form.len() != 0 {
            let Err(refused) = Module::parse(&text) else { return Err(TestCaseError::fail(text)) };
            let want = if fits { "misaligned" } else { "outside" };
            prop_assert!(refused.message.contains(want), "{refused}: {load}");
            return Ok(());
        }
        let mut bytes: Vec<u8> = (0..88).map(|i| random(!seed, i) as u8).collect();
        let mut memory = Memory::new();
        let y = memory.alloc(32 * 32);
        bytes.extend(y.to_le_bytes());
        let launch = ptx_sim::Launch { params: bytes.clone(), ..launch(1, 32, &[]) };
        let outcome = run_text(&text, &launch, &mut memory, &Options::default());
        outcome.map_err(|fault| TestCaseError::fail(format!("{fault}\n{text}")))?;
        for (lane, got) in memory.read(y, 32 * 32).unwrap().chunks(32).enumerate() {
            let mut want = before;
            if is_in(active, lane) {
                want.iter_mut().zip(form.loaded(&bytes[first..][..form.len()])).for_each(|(want, new)| *want = new);
            }
            prop_assert_eq!(got, want.map(u64::to_le_bytes).concat(), "lane {}: {}", lane, load);
        }
        Ok(())
    });
}

#[test]
fn other_loads_and_stores_are_refused() {
    let cases = [
        ("ld.global.f16 %h, [%x]", "unknown instruction"),
        ("st.global.bf16 [%x], %h", "unknown instruction"),
        ("ld.global.tf32 %w, [%x]", "unknown instruction"),
        ("ld.global.f16x2 %w, [%x]", "unknown instruction"),
        ("ld.global.u32 5, [%x]", "expected a register"),
        ("ld.global.u32 %laneid, [%x]", "expected a register"),
        ("ld.param.u64 tile, [x]", "expected a register"),
        ("ld.global.v2.u32 {%w, 7}, [%x]", "expected a register"),
        ("ld.global.v2.u8 {%h, %w}, [%x]", "one width"),
        ("st.global.v2.u8 [%x], {%w, %q}", "one width"),
        ("st.global.v2.u8 [%x], {%q, 1}", "as many"),
        ("ld.global.u64 %w, [%x]", "does not have 64 bits"),
        ("st.global.u32 [%x], %h", "does not have 32 bits"),
        ("ld.global.v4.u64 {%q, %q, %q, %q}, [%x]", "at most 16 bytes"),
        ("ld.global.v2.u32 %w, [%x]", "takes 2 registers"),
        ("ld.global.u32 %w, [%h]", "cannot hold an address"),
        ("ld.global.u32 %w, [%x+2147483648]", "does not fit"),
        ("ld.param.u32 %w, [x+9223372036854775807]", "are outside"),
        ("ld.global.wb.u32 %w, [%x]", "unknown modifier"),
        ("st.global.ca.u32 [%x], %w", "unknown modifier"),
        ("ld.release.gpu.global.u32 %w, [%x]", "unknown modifier"),
        ("st.global.nc.u32 [%x], %w", "unknown modifier"),
        ("ld.shared.nc.u32 %w, [%w]", "unknown modifier"),
    ];
    for (text, want) in cases {
        let body =
            format!(".reg .b64 %x, %q; .reg .b32 %w; .reg .b16 %h; .reg .pred %p; .shared .b8 tile[8];\n{text};");
        let refused = Module::parse(&kernel_text(&["x"], &body)).expect_err(text);
        assert!(refused.message.contains(want) && refused.line == common::BODY + 1, "{text}: {refused}");
    }
}

/// A constant is stored beside registers of either width.
#[test]
fn constants_are_stored_beside_registers() {
    let body = ".reg .b64 %x; .reg .b32 %w; .reg .b16 %h; ld.param.u64 %x, [x]; mov.b32 %w, 0x1234; mov.b16 %h, 0x5678;
        st.global.v2.b16 [%x], {%w, 7}; st.global.v4.u8 [%x+4], {1, %h, 2, 3}; st.global.v2.b32 [%x+8], {%w, -1};";
    let mut memory = Memory::new();
    let x = memory.alloc(16);
    let outcome = run_text(&kernel_text(&["x"], body), &launch(1, 1, &[x]), &mut memory, &Options::default());
    outcome.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(memory.read(x, 16).unwrap(), [0x34, 0x12, 7, 0, 1, 0x78, 2, 3, 0x34, 0x12, 0, 0, 255, 255, 255, 255]);
}
