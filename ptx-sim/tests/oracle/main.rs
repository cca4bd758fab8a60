//! Each instruction against a small independent model: tables of opcodes and closures, random operands that are the same in each
//! run. No opcode is accepted that has no row.

#[path = "../common/mod.rs"]
mod common;
mod compare;
mod convert;
mod coverage;
mod float;
mod integer;
mod number;
mod text;

use common::{kernel_text, launch, run_text};
use number::Format;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};
use ptx_sim::{Memory, Options};

/// Of a block.
const THREADS: u32 = 256;

/// What registers of 64 bits hold that have nothing to do with the operands.
const OTHER: u64 = 0xdead_beef_dead_beef;

/// An instruction, or a few, and what they give for a, b and c.
///
/// Operands are `w` (32 bits), `h` (16) and `q` (64) registers a, b and c of the same random 64 bits, and predicates `%pc`, which
/// holds where c is odd, and `%x`; the result is the register d of any of the three, or predicate `%p`.
struct Row {
    text: String,
    model: Box<dyn Fn(u64, u64, u64) -> u64>,
    /// The type of a result of which any NaN will do.
    any_nan: Option<String>,
}

impl Row {
    fn new(text: impl Into<String>, model: impl Fn(u64, u64, u64) -> u64 + 'static) -> Self {
        Row { text: text.into(), model: Box::new(model), any_nan: None }
    }

    /// A result with the one NaN for all, where any will do.
    fn canonical(&self, result: u64) -> u64 {
        let Some((ty, format)) = self.any_nan.as_deref().and_then(|ty| Some((ty, Format::named(ty)?))) else {
            return result;
        };
        let one = |bits: u64| if format.is_nan(bits as u32) { format.nan().into() } else { bits };
        match ty {
            "f16x2" | "bf16x2" => one(result & 0xffff) | one(result >> 16 & 0xffff) << 16 | result >> 32 << 32,
            _ if result <= u64::from(u32::MAX) => one(result),
            _ => result,
        }
    }
}

const REGISTERS: &str = ".reg .b64 %d, %qa, %qb, %qc, %qd; .reg .b32 %t, %wa, %wb, %wc, %wd, %wx;\n\
     .reg .b16 %ha, %hb, %hc, %hd, %hx; .reg .pred %p, %pc, %x;\n";

/// A module for what has all instructions but those of one architecture only.
fn module_of(body: &str) -> String {
    kernel_text(&["x"], body).replace(".version 8.0", ".version 8.6").replace("sm_90", "sm_100")
}

/// Loads a, b and c, runs the instruction, stores d.
fn kernel_of(instruction: &str) -> String {
    let mut body = format!(
        "{REGISTERS}ld.param.u64 %qd, [x]; mov.u32 %t, %tid.x; mov.u32 %wx, %ctaid.x; mad.lo.u32 %t, %wx, {THREADS}, %t;\n\
         mad.wide.u32 %d, %t, 32, %qd;\n\
         ld.global.v2.b64 {{%qa, %qb}}, [%d]; ld.global.b64 %qc, [%d+16];\n",
    );
    for name in ["a", "b", "c"] {
        body += &format!("cvt.u32.u64 %w{name}, %q{name}; cvt.u16.u64 %h{name}, %q{name};\n");
    }
    body += &format!(
        "mov.b64 %qd, {OTHER}; mov.b64 {{%wd, %wx}}, %qd; and.b32 %t, %wc, 1; setp.ne.u32 %pc, %t, 0; setp.eq.u32 %x, %t, %t;\n\
         {instruction};\n"
    );
    let result = ["%wd", "%hd", "%qd"].into_iter().find(|name| instruction.contains(name));
    body += match result {
        Some("%wd") => "cvt.u64.u32 %qd, %wd;",
        // A register of 16 bits is also compared with a copy.
        Some("%hd") => {
            "cvt.u32.u16 %t, %hd; cvt.u16.u32 %hx, %t; cvt.u64.u32 %qd, %t;\n\
             setp.eq.u16 %x, %hx, %hd; selp.b64 %qd, %qd, -1, %x;"
        }
        Some(_) => "",
        None => "selp.b64 %qd, 1, 0, %p;",
    };
    module_of(&(body + "st.global.b64 [%d+24], %qd; ret;"))
}

/// Bit patterns near the borders of every format, and random ones.
fn operand() -> impl Strategy<Value = u64> {
    #[rustfmt::skip]
    let special = prop::sample::select(vec![
        0u64, 1, 2, 31, 32, 33, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff,
        // f16 and bf16: infinity, the largest, one, the least that is normal, and below.
        0x7c00, 0xfc00, 0x7bff, 0x3c00, 0xbc00, 0x0400, 0x03ff, 0x8001, 0x7f80, 0xff80, 0x7f7f, 0x0080, 0x807f,
        0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
        0x3f80_0000, 0xbf80_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0x0080_0000, 0x007f_ffff, 0x8000_0001, 0x7f7f_ffff,
        0x7e80_0000, 0x7e80_0001, 0xfe90_0000, 0x4b80_0000, 0x3f00_0000, 0xbfc0_0000, 0x477f_f000, 0x3380_0000, 0x3f80_1000,
        0x3f80_3000,
        !0, 1 << 63, i64::MAX as u64,
    ]);
    let moderate = (-40i32..40, 0u32..1 << 23, any::<bool>()).prop_map(|(exponent, mantissa, negative)| {
        u64::from(((exponent + 127) as u32) << 23 | mantissa | u32::from(negative) << 31)
    });
    // A pair of moderate f16, whose upper bits are a bf16, too.
    let halves = (0x2c00u64..0x4c00, 0x2c00u64..0x4c00, any::<bool>(), any::<bool>())
        .prop_map(|(low, high, s, t)| low | high << 16 | u64::from(s) << 15 | u64::from(t) << 31);
    let word = prop_oneof![2 => any::<u64>(), 2 => special, 3 => moderate, 2 => halves, 1 => 0u64..64];
    // Upper bits that those who read fewer are not to see.
    (word, any::<u32>(), any::<bool>())
        .prop_map(|(word, upper, keep)| if keep || word >> 32 != 0 { word } else { word | u64::from(upper) << 32 })
}

/// Runs each row with some operands; all rows that fail are reported, each with the first operands for which it does.
fn check(rows: &[Row], blocks: u32) {
    let rng_seed = RngSeed::Fixed(0);
    let mut runner = TestRunner::new(ProptestConfig { rng_seed, ..ProptestConfig::default() });
    let lanes = prop::collection::vec((operand(), operand(), operand()), (THREADS * blocks) as usize);
    let lanes = lanes.new_tree(&mut runner).expect("operands").current();
    let bytes: Vec<u8> =
        lanes.iter().flat_map(|(a, b, c)| [*a, *b, *c, OTHER].map(u64::to_le_bytes)).flatten().collect();
    let wrong: Vec<String> = rows.iter().filter_map(|row| wrong(row, &lanes, &bytes, blocks)).collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), rows.len());
}

/// What is wrong with a row, whose operands memory is to hold.
fn wrong(row: &Row, lanes: &[(u64, u64, u64)], bytes: &[u8], blocks: u32) -> Option<String> {
    let text = kernel_of(&row.text);
    let mut memory = Memory::new();
    let x = memory.alloc(bytes.len());
    memory.write(x, bytes).expect("memory");
    let ran = run_text(&text, &launch(blocks, THREADS, &[x]), &mut memory, &Options::default());
    if let Err(fault) = ran {
        return Some(format!("{}: {fault}", row.text));
    }
    let after = memory.read(x, bytes.len()).expect("memory");
    lanes.iter().zip(after.chunks(32)).find_map(|((a, b, c), share)| {
        let got = u64::from_le_bytes(share[24..].try_into().expect("8 bytes"));
        let want = (row.model)(*a, *b, *c);
        let same = row.canonical(got) == row.canonical(want);
        (!same).then(|| format!("{}: {a:#x} {b:#x} {c:#x}: {got:#x}, not {want:#x}", row.text))
    })
}

#[test]
fn integer_instructions() {
    check(&integer::rows(), 8);
}

#[test]
fn float_instructions() {
    check(&float::rows(), 8);
}

#[test]
fn conversions() {
    check(&convert::rows(), 4);
}

#[test]
fn comparisons() {
    check(&compare::rows(), 4);
}
