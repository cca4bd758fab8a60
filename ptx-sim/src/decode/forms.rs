//! The opcodes that PTX has, of instructions whose types and modifiers do not all go together.

/// Opcodes by parts, of which `|` separates alternatives; a part in brackets may be absent. A name that is in no row has any form
/// that its decoder takes.
const FORMS: &[&str] = &[
    "add|sub.WORD",
    "add|sub.sat.s32",
    "add|sub|mul.[ROUND].[ftz].[sat].f32",
    "add|sub|mul.[rn].[ftz].[sat].f16|f16x2",
    "add|sub|mul.[rn].bf16|bf16x2",
    "mul|mad.lo.WORD",
    "mul.hi.u32|u64|s32|s64",
    "mad.hi.u32|s32",
    "mul|mad.wide.u16|u32|s16|s32",
    "fma|mad.ROUND.[ftz].[sat].f32",
    "fma.rn.[ftz].[sat].f16|f16x2",
    "fma.rn.[ftz].relu.f16|f16x2",
    "fma.rn.[relu].bf16|bf16x2",
    "div|rem.u16|u32|u64|s32|s64",
    "div|rcp|sqrt.ROUND.[ftz].f32",
    "div.full.[ftz].f32",
    "div|rcp|sqrt|rsqrt|ex2|lg2|sin|cos.approx.[ftz].f32",
    "ex2.approx.f16|f16x2",
    "ex2.approx.ftz.bf16|bf16x2",
    "tanh.approx.f32|f16|f16x2|bf16|bf16x2",
    "min|max.WORD",
    "min|max.[ftz].[NaN].f32|f16|f16x2",
    "min|max.[NaN].bf16|bf16x2",
    "neg|abs.s16|s32|s64",
    "neg|abs.[ftz].f32|f16|f16x2",
    "neg|abs.bf16|bf16x2",
    "copysign.f32",
    "and|or|xor|not.pred|b16|b32|b64",
    "lop3|bfi|prmt.b32",
    "bfe.u32|s32",
    "popc|clz|brev.b32|b64",
    "shl|shr.b16|b32|b64",
    "shr.WORD",
    "shf.l|r.clamp|wrap.b32",
    "mov|selp.b16|b32|b64|f32",
    "mov|selp.WORD",
    "mov.pred",
    "setp.eq|ne.[LOGIC].b16|b32|b64",
    "setp.eq|ne|lt|le|gt|ge.[LOGIC].WORD",
    "setp.lo|ls|hi|hs.[LOGIC].u16|u32|u64",
    "setp.ORDER.[LOGIC].[ftz].f32|f16",
    "setp.ORDER.[LOGIC].bf16",
    "cvt.INTEGER.INTEGER",
    // Those whose range does not hold that of what is converted.
    "cvt.sat.u8|u16|u32|u64.s8|s16|s32|s64",
    "cvt.sat.u8.u16|u32|u64",
    "cvt.sat.u16.u32|u64",
    "cvt.sat.u32.u64",
    "cvt.sat.s8.u8|u16|u32|u64|s16|s32|s64",
    "cvt.sat.s16.u16|u32|u64|s32|s64",
    "cvt.sat.s32.u32|u64|s64",
    "cvt.sat.s64.u64",
    "cvt.WHOLE.[ftz].[sat].INTEGER.f32",
    "cvt.WHOLE.[sat].INTEGER.f16",
    "cvt.WHOLE.WORD.bf16",
    "cvt.ROUND.[ftz].[sat].f32.INTEGER",
    "cvt.ROUND.[sat].f16.INTEGER",
    "cvt.ROUND.bf16.WORD",
    "cvt.[WHOLE].[ftz].[sat].f32.f32",
    "cvt.[WHOLE].[sat].f16.f16",
    "cvt.WHOLE.bf16.bf16",
    "cvt.[ftz].[sat].f32.f16",
    "cvt.[ftz].f32.bf16",
    "cvt.ROUND.[ftz].[sat].f16.f32",
    "cvt.ROUND.f16.bf16",
    "cvt.ROUND.bf16.f16",
    "cvt.rn|rz.[relu].[satfinite].f16|bf16|f16x2|bf16x2|tf32.f32",
    "cvt.rna.[satfinite].tf32.f32",
    "cvta.[to].global|shared|shared::cta|local|param.u64",
    "prefetch.[global|local].L1|L2",
    "prefetch.global.L2::evict_last|L2::evict_normal",
    "prefetchu.L1",
    "membar.cta|gl|sys",
    "fence.[sc|acq_rel].cta|gpu|sys",
    "fence.proxy.async",
    "fence.proxy.async.shared::cta",
];

/// What a part stands for, by its name.
const SETS: &[(&str, &str)] = &[
    ("INTEGER", "u8|u16|u32|u64|s8|s16|s32|s64"),
    ("WORD", "u16|u32|u64|s16|s32|s64"),
    ("ROUND", "rn|rz|rm|rp"),
    ("WHOLE", "rni|rzi|rmi|rpi"),
    ("LOGIC", "and|or|xor"),
    ("ORDER", "eq|ne|lt|le|gt|ge|equ|neu|ltu|leu|gtu|geu|num|nan"),
];

/// Whether an opcode is of a form that PTX has, or its name in none.
pub(super) fn has(opcode: &str) -> bool {
    let name = opcode.split('.').next().unwrap_or_default();
    let mut of_name = FORMS.iter().filter(|form| is_any(form.split('.').next().unwrap_or_default(), name)).peekable();
    of_name.peek().is_none() || of_name.any(|form| fits(form, opcode))
}

/// As with ptxas, what comes before the types may stand in any order.
fn fits(form: &str, opcode: &str) -> bool {
    let mut parts: Vec<&str> = opcode.split('.').skip(1).collect();
    let mut wanted: Vec<&str> = form.split('.').skip(1).collect();
    let types = if form.starts_with("cvt.") { 2 } else { 1 };
    for _ in 0..types {
        match (wanted.pop(), parts.pop()) {
            (Some(names), Some(part)) if is_any(names, part) => {}
            _ => return false,
        }
    }
    wanted.iter().all(|names| {
        let optional = names.strip_prefix('[').and_then(|names| names.strip_suffix(']'));
        let at = parts.iter().position(|part| is_any(optional.unwrap_or(names), part));
        at.map(|at| parts.remove(at)).is_some() || optional.is_some()
    }) && parts.is_empty()
}

fn is_any(names: &str, part: &str) -> bool {
    let names = SETS.iter().find(|(set, _)| *set == names).map_or(names, |(_, names)| names);
    names.split('|').any(|name| name == part)
}
