//! `atom` and `red`.

use super::*;

/// What memory holds after an operation, of what it held and the operands; higher bits than the type's are ignored.
type Update = fn(u64, u64, u64) -> u64;

const ATOMICS: &[(&str, Update)] = &[
    ("add.u32", |old, a, _| old + a),
    ("add.s32", |old, a, _| old + a),
    ("add.u64", |old, a, _| (u128::from(old) + u128::from(a)) as u64),
    ("add.f32", |old, a, _| u64::from((f(old) + f(a)).to_bits())),
    ("min.u32", |old, a, _| old.min(a)),
    ("max.u32", |old, a, _| old.max(a)),
    ("min.s32", |old, a, _| (old as i32).min(a as i32) as u64),
    ("max.s32", |old, a, _| (old as i32).max(a as i32) as u64),
    ("min.u64", |old, a, _| old.min(a)),
    ("max.u64", |old, a, _| old.max(a)),
    ("min.s64", |old, a, _| (old as i64).min(a as i64) as u64),
    ("max.s64", |old, a, _| (old as i64).max(a as i64) as u64),
    ("and.b32", |old, a, _| old & a),
    ("and.b64", |old, a, _| old & a),
    ("or.b32", |old, a, _| old | a),
    ("or.b64", |old, a, _| old | a),
    ("xor.b32", |old, a, _| old ^ a),
    ("xor.b64", |old, a, _| old ^ a),
    ("inc.u32", |old, a, _| if old >= a { 0 } else { old + 1 }),
    ("dec.u32", |old, a, _| if old == 0 || old > a { a } else { old - 1 }),
    ("exch.b32", |_, a, _| a),
    ("exch.b64", |_, a, _| a),
    ("cas.b32", |old, a, b| if old == a { b } else { old }),
    ("cas.b64", |old, a, b| if old == a { b } else { old }),
    ("cas.b16", |old, a, b| if old == a { b } else { old }),
];

fn f(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

/// An opcode with its state space, and whether it works on shared memory.
fn atomic_texts(op: &str) -> Vec<(String, bool)> {
    let spaces = [(".global", false), (".shared", true), ("", false), ("", true)];
    let has_result_only = op.starts_with("exch") || op.starts_with("cas");
    let names = if has_result_only { &["atom"][..] } else { &["atom", "red"] };
    names.iter().flat_map(|name| spaces.map(|(space, shared)| (format!("{name}{space}.{op}"), shared))).collect()
}

/// A thread's share of x is a, b, its word's number and the lanes that take part; of y, what its operation returns, and a
/// word of memory.
fn atomic_body(opcode: &str, shared: bool) -> String {
    let (file, convert) = match &opcode[opcode.len() - 2..] {
        "64" => ("q", ""),
        "16" => ("h", "cvt.u64.u16 %qd, %hd;"),
        _ => ("w", "cvt.u64.u32 %qd, %wd;"),
    };
    let result = if opcode.starts_with("atom") { format!("%{file}d, ") } else { String::new() };
    let second = if opcode.contains("cas") { format!(", %{file}b") } else { String::new() };
    let address = if opcode.contains(".shared") { "%r2" } else { "%at" };
    let (before, after) = match shared {
        true => (
            "ld.global.b64 %qd, [%y+8]; mad.lo.u32 %r3, %t, 16, %s; st.shared.b64 [%r3], %qd; bar.sync 0;\n\
             mad.lo.u32 %r2, %r0, 16, %s; cvt.u64.u32 %at, %r2; cvta.shared.u64 %at, %at;",
            "bar.sync 0; ld.shared.b64 %qa, [%r3]; st.global.b64 [%y+8], %qa;",
        ),
        false => ("mad.wide.u32 %at, %r0, 16, %y0; add.u64 %at, %at, 8;", ""),
    };
    format!(
        "ld.global.v2.b64 {{%qa, %qb}}, [%x]; ld.global.v2.u32 {{%r0, %r1}}, [%x+16];\n\
         {}cvt.u32.u64 %wa, %qa; cvt.u32.u64 %wb, %qb; {before} mov.u32 %wd, {KEPT}; mov.u64 %qd, {KEPT};\n\
         cvt.u16.u32 %ha, %wa; cvt.u16.u32 %hb, %wb; cvt.u16.u32 %hd, %wd;\n\
         @%part {opcode} {result}[{address}], %{file}a{second};\n{convert} st.global.b64 [%y], %qd;\n{after}",
        predicate("%part", "%r1")
    )
}

/// Often one of few values, so that comparisons meet equal ones.
fn operand() -> impl Strategy<Value = u64> {
    let borders = [0, 1, 2, 3, 1 << 31, (1 << 31) - 1, u64::from(u32::MAX), 1 << 63, i64::MAX as u64, u64::MAX];
    // Infinities, a NaN, and numbers about the least that is normal.
    let floats =
        [0x3f80_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0x007f_ffff, 0x0080_0000, 0x8080_0001, 0x8000_0001];
    prop_oneof![any::<u64>(), select(borders.to_vec()), select(floats.to_vec()), 0u64..4]
}

fn words_of(values: impl Iterator<Item = u64>) -> Vec<u32> {
    values.flat_map(|value| [value as u32, (value >> 32) as u32]).collect()
}

#[test]
fn atomics() {
    let rows: Vec<_> = ATOMICS
        .iter()
        .flat_map(|(op, update)| atomic_texts(op).into_iter().map(|(opcode, shared)| (opcode, shared, *update)))
        .collect();
    let lanes = vec((operand(), operand(), 0usize..32), 32);
    let values = (lanes, vec(operand(), 32), 1usize..=32, some_lanes());
    check(&rows, 24, values, |(opcode, shared, update), (lanes, before, count, active)| {
        let mask = match &opcode[opcode.len() - 2..] {
            "64" => !0,
            "16" => 0xffff,
            _ => u64::from(!0u32),
        };
        let float = opcode.ends_with("f32");
        // Sums in global memory take subnormal numbers for zeros.
        let flushes = |bits| float && !shared && f(bits).is_subnormal();
        let flushed = |bits| if flushes(bits) { bits & 1 << 31 } else { bits };
        let (mut memory, mut olds) = (before.clone(), [u64::from(KEPT) & mask; 32]);
        for (lane, (a, b, word)) in lanes.iter().enumerate().filter(|(lane, _)| is_in(active, *lane)) {
            let cell = &mut memory[word % count];
            let old = *cell & mask;
            let new = flushed(update(flushed(old), flushed(a & mask), b & mask));
            *cell = *cell & !mask | new & mask;
            if opcode.starts_with("atom") {
                olds[lane] = old;
            }
        }
        let share = |(a, b, word): &(u64, u64, usize)| [*a, *b, (word % count) as u64 | u64::from(active) << 32, 0];
        let x = words_of(lanes.iter().flat_map(share));
        let y = words_of(before.iter().flat_map(|value| [u64::from(KEPT), *value]));
        let got = results(32, &atomic_body(opcode, *shared), &x, &y)?;
        let want = words_of(olds.iter().zip(&memory).flat_map(|(old, value)| [*old, *value]));
        for (at, (got, want)) in got.into_iter().zip(want).enumerate() {
            // PTX promises no payload of a NaN.
            let nans = float && at % 2 == 0 && f(got.into()).is_nan() && f(want.into()).is_nan();
            prop_assert!(got == want || nans, "{opcode}, lane or word {}: {got:#x}, not {want:#x}", at / 4);
        }
        Ok(())
    });
}

#[test]
fn atomics_on_other_types_are_refused() {
    let texts = [
        "atom.global.add.s64 %qd, [%x], %qa",
        "red.shared.add.s64 [%s], %qa",
        "red.global.add.b32 [%x], %wa",
        "atom.global.min.b64 %qd, [%x], %qa",
        "atom.global.max.f32 %wd, [%x], %wa",
        "atom.global.and.u32 %wd, [%x], %wa",
        "red.global.inc.s32 [%x], %wa",
        "atom.global.dec.u64 %qd, [%x], %qa",
        "atom.global.exch.s32 %wd, [%x], %wa",
        "red.global.exch.b32 [%x], %wa",
        "red.global.cas.b16 [%x], %ha, %ha",
        "atom.global.exch.b16 %ha, [%x], %ha",
        "atom.global.cas.u16 %ha, [%x], %ha, %ha",
    ];
    for text in texts {
        let body = format!(".reg .b64 %x, %qa, %qd; .reg .b32 %s, %wa, %wd; .reg .b16 %ha;\n{text};");
        let refused = Module::parse(&kernel_text(&["x"], &body)).expect_err(text);
        assert!(refused.message.contains("unknown instruction"), "{text}: {refused}");
    }
}
