//! `ldmatrix`, `stmatrix` and `mma`.

use super::*;

/// Two of them are a word, the lower first.
fn half(words: &[u32], at: usize) -> u32 {
    words[at / 2] >> (16 * (at % 2)) & 0xffff
}

/// A thread's share of x is two rows of 16 bytes of shared memory, the row that it gives the address of, and a register of
/// each matrix; of y, those two rows and the registers after the instruction.
fn matrix_body(instruction: &str) -> String {
    format!(
        "ld.global.v4.b32 {{%r0, %r1, %r2, %r3}}, [%x]; ld.global.v4.b32 {{%r4, %r5, %r6, %r7}}, [%x+16];\n\
         mad.lo.u32 %r8, %t, 32, %s; st.shared.v4.b32 [%r8], {{%r0, %r1, %r2, %r3}}; st.shared.v4.b32 [%r8+16], {{%r4, %r5, %r6, %r7}};\n\
         ld.global.u32 %r9, [%x+32]; mad.lo.u32 %r9, %r9, 16, %s; cvt.u64.u32 %at, %r9; cvta.shared.u64 %at, %at; ld.global.v4.b32 {{%r0, %r1, %r2, %r3}}, [%x+48];\n\
         bar.sync 0; {instruction}; bar.sync 0; st.global.v4.b32 [%y+32], {{%r0, %r1, %r2, %r3}};\n\
         ld.shared.v4.b32 {{%r0, %r1, %r2, %r3}}, [%r8]; ld.shared.v4.b32 {{%r4, %r5, %r6, %r7}}, [%r8+16];\n\
         st.global.v4.b32 [%y], {{%r0, %r1, %r2, %r3}}; st.global.v4.b32 [%y+16], {{%r4, %r5, %r6, %r7}};"
    )
}

#[test]
fn matrices_of_shared_memory() {
    let forms = [false, true].into_iter().flat_map(|store| [1, 2, 4].map(|count| (store, count)));
    let rows = forms.flat_map(|form| ["", ".trans"].map(|trans| (form, trans)));
    let rows: Vec<_> = rows.flat_map(|row| [".shared", ".shared::cta", ""].map(|space| (row, space))).collect();
    let distinct = Just((0..64u32).collect::<Vec<_>>()).prop_shuffle();
    let values = (vec(any::<u32>(), 256), vec(any::<u32>(), 128), distinct, vec(0u32..64, 32), any::<u32>());
    check(&rows, 64, values, |(((store, count), trans), space), (mut tile, mut registers, distinct, any, unread)| {
        let names = ["%r0", "%r1", "%r2", "%r3"][..*count].join(", ");
        let address = if space.is_empty() { "%at" } else { "%r9" };
        let instruction = match store {
            true => format!("stmatrix.sync.aligned.m8n8.x{count}{trans}{space}.b16 [{address}], {{{names}}}"),
            false => format!("ldmatrix.sync.aligned.m8n8.x{count}{trans}{space}.b16 {{{names}}}, [{address}]"),
        };
        let places = if *store { &distinct } else { &any };
        let share = |lane: usize| {
            let place = if lane < 8 * count { places[lane] } else { unread };
            [&tile[8 * lane..8 * lane + 8], &[place, 0, 0, 0], &registers[4 * lane..4 * lane + 4]].concat()
        };
        let x: Vec<u32> = (0..32).flat_map(share).collect();
        let (old_tile, old_registers) = (tile.clone(), registers.clone());
        for (matrix, row, column) in (0..*count).flat_map(|i| (0..64).map(move |at| (i, at / 8, at % 8))) {
            // Element (g, 2 t + h) of a fragment is half h of the register of lane 4 g + t.
            let (g, column_there) = if trans.is_empty() { (row, column) } else { (column, row) };
            let register = 4 * (4 * g + column_there / 2) + matrix;
            let in_tile = 8 * places[8 * matrix + row] as usize + column;
            let (from, to, from_at, to_at) = match store {
                true => (&old_registers, &mut tile, 2 * register + column_there % 2, in_tile),
                false => (&old_tile, &mut registers, in_tile, 2 * register + column_there % 2),
            };
            let shift = 16 * (to_at % 2);
            to[to_at / 2] = to[to_at / 2] & !(0xffff << shift) | half(from, from_at) << shift;
        }
        let y = results(32, &matrix_body(&instruction), &x, &[KEPT; 32 * 12])?;
        for (lane, got) in y.chunks(12).enumerate() {
            let want = [&tile[8 * lane..8 * lane + 8], &registers[4 * lane..4 * lane + 4]].concat();
            prop_assert_eq!(got, want, "{} lane {}", instruction, lane);
        }
        Ok(())
    });
}

/// Types of the factors of a product, 16 x k and k x 8, and the bits of their mantissas.
const FACTORS: &[(&str, usize, u32)] =
    &[("tf32", 8, 10), ("f16", 16, 10), ("f16", 8, 10), ("bf16", 16, 7), ("bf16", 8, 7)];

/// The bits of a number that a type holds, which is a normal one of f16; the lower 13 bits of a tf32 are not read.
fn factor_bits(ty: &str, value: f32, unread: u32) -> u32 {
    let bits = value.to_bits();
    match ty {
        "tf32" => bits | unread & 0x1fff,
        "bf16" => bits >> 16,
        _ if value == 0.0 => 0,
        _ => bits >> 16 & 0x8000 | ((bits >> 23 & 0xff) - 112) << 10 | bits >> 13 & 0x3ff,
    }
}

/// Where element k of a row of a is, or from line 16 on that of a column of b: lane, register from the first of a, half.
fn place(ty: &str, line: usize, k: usize) -> (usize, usize, usize) {
    let (first, step) = if line < 16 { (line / 8, 2) } else { (4, 1) };
    match ty {
        "tf32" => (line % 8 * 4 + k % 4, first + step * (k / 4), 0),
        _ => (line % 8 * 4 + k % 8 / 2, first + step * (k / 8), k % 2),
    }
}

/// A thread's share of x is its fragments: four registers of a, two of b, two unused, four of c; of y, those of d.
fn product_body(ty: &str, k: usize, in_place: bool) -> String {
    let (a, b) = match (ty, k) {
        ("f16" | "bf16", 8) => ("%r0, %r1", "%r4"),
        _ => ("%r0, %r1, %r2, %r3", "%r4, %r5"),
    };
    let d = if in_place { "%r8, %r9, %r10, %r11" } else { "%r12, %r13, %r14, %r15" };
    format!(
        "ld.global.v4.b32 {{%r0, %r1, %r2, %r3}}, [%x]; ld.global.v4.b32 {{%r4, %r5, %r6, %r7}}, [%x+16];\n\
         ld.global.v4.b32 {{%r8, %r9, %r10, %r11}}, [%x+32];\n\
         mma.sync.aligned.m16n8k{k}.row.col.f32.{ty}.{ty}.f32 {{{d}}}, {{{a}}}, {{{b}}}, {{%r8, %r9, %r10, %r11}};\n\
         st.global.v4.b32 [%y], {{{d}}};"
    )
}

#[test]
fn products() {
    let values = (vec(any::<u32>(), 24 * 16 + 16 * 8), any::<bool>(), any::<bool>());
    check(FACTORS, 64, values, |(ty, depth, mantissa), (random, integers, in_place)| {
        let number = |random: u32, mantissa: u32| match integers {
            true => f32::from(random as i8),
            false => {
                let kept = 1 << 31 | ((1 << mantissa) - 1) << (23 - mantissa);
                f32::from_bits(random & kept | (113 + random % 30) << 23)
            }
        };
        let factor = |line: usize, k: usize| number(random[16 * line + k], *mantissa);
        let c = |row: usize, column: usize| number(random[24 * 16 + 8 * row + column], 23);
        let mut x = [0; 32 * 12];
        for (line, k) in (0..24 * depth).map(|at| (at / depth, at % depth)) {
            let (lane, register, half) = place(ty, line, k);
            x[12 * lane + register] |= factor_bits(ty, factor(line, k), random[16 * line + k] >> 8) << (16 * half);
        }
        // Elements of c and d, their lanes and registers.
        let cells = (0..128).map(|at| (at / 8, at % 8, 4 * (at / 8 % 8) + at % 8 / 2, 2 * (at / 64) + at % 2));
        cells.clone().for_each(|(row, column, lane, i)| x[12 * lane + 8 + i] = c(row, column).to_bits());
        let y = results(32, &product_body(ty, *depth, in_place), &x, &[KEPT; 128])?;
        for (row, column, lane, i) in cells {
            let product = |k| f64::from(factor(row, k)) * f64::from(factor(16 + column, k));
            let terms: Vec<f64> = (0..*depth).map(product).chain([c(row, column).into()]).collect();
            let (want, size) = (terms.iter().sum::<f64>(), terms.iter().map(|term| term.abs()).sum::<f64>());
            // In any order each of k sums is off by half a unit in the last place of at most the size.
            let tolerance = if integers { 0.0 } else { 1.001 * *depth as f64 * size * 2f64.powi(-24) };
            let got = f64::from(f32::from_bits(y[4 * lane + i]));
            prop_assert!((got - want).abs() <= tolerance, "{ty} k{depth} {row}, {column}: {got}, not {want}");
        }
        Ok(())
    });
}

#[test]
fn products_that_are_no_numbers_are_one_nan() {
    for (ty, depth, _) in FACTORS {
        // a is zero but for an infinite first element, b is zero: the sums of row 0 are no numbers, nor is one of row 1.
        let mut x = [0; 32 * 12];
        let (lane, register, half) = place(ty, 0, 0);
        let infinity = if *ty == "f16" { 0x7c00 } else { f32::INFINITY.to_bits() };
        x[12 * lane + register] = if *ty == "bf16" { infinity >> 16 } else { infinity } << (16 * half);
        x[12 * 4 + 8] = 0xffc1_2345;
        let y = results(32, &product_body(ty, *depth, false), &x, &[KEPT; 128]).unwrap();
        for (at, got) in y.into_iter().enumerate() {
            let (lane, register) = (at / 4, at % 4);
            let is_number = !(lane < 4 && register < 2 || (lane, register) == (4, 0));
            assert_eq!(got, if is_number { 0 } else { 0x7fff_ffff }, "{ty} k{depth} lane {lane} register {register}");
        }
    }
}

#[test]
fn before_sm_80_each_lane_gives_an_address() {
    let body = "mad.lo.u32 %r0, %t, 16, %s; st.shared.v4.b32 [%r0], {1, 2, 3, 4}; bar.sync 0; setp.lt.u32 %p, %t, 8;\n\
         mov.u32 %r1, 8192; selp.u32 %r1, %r0, %r1, %p; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r2}, [%r1];";
    let on = |target: &str, body: &str| {
        let body = format!(
            ".reg .b32 %t, %s, %r<3>; .reg .pred %p; .shared .align 16 .b8 tile[8192]; mov.u32 %s, tile; mov.u32 %t, %tid.x;\n{body}"
        );
        let text = kernel_text(&[], &body).replace("sm_90", target);
        run_text(&text, &launch(1, 32, &[]), &mut Memory::new(), &Options::default())
    };
    on("sm_80", body).unwrap();
    let fault = on("sm_75", body).unwrap_err();
    assert!(matches!(fault.kind, FaultKind::OutOfBounds { access: Access::Read, .. }), "{fault}");
    assert_eq!(fault.lane, Some(8));
    // They are not read from.
    on("sm_75", &body.replace("8192;", "4096;")).unwrap();
}

#[test]
fn matrices_of_other_memory_and_on_older_devices_are_refused() {
    let load = "ldmatrix.sync.aligned.m8n8.x1.b16 {%r0}, [%at]";
    let fault = outcome(32, &format!("mov.u64 %at, %x0;\n{load};"), &[0; 32], &[0; 32]).expect_err("global memory");
    assert!(matches!(fault.kind, FaultKind::NotShared { instruction: "ldmatrix", .. }), "{fault}");
    assert_eq!(fault.lane, Some(0));
    let cases = [
        ("8.0", "sm_80", "stmatrix.sync.aligned.m8n8.x1.shared.b16 [%s], {%r0}", false),
        ("7.7", "sm_90", "stmatrix.sync.aligned.m8n8.x1.shared.b16 [%s], {%r0}", false),
        ("8.0", "sm_90a", "stmatrix.sync.aligned.m8n8.x1.shared.b16 [%s], {%r0}", true),
        ("7.0", "sm_70", load, false),
        ("6.5", "sm_75", load, true),
        ("7.0", "sm_75", "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%r0}, {%r0}, {%r0}, {%r0}", false),
        ("7.0", "sm_75", "cp.async.ca.shared.global [%s], [%at], 4", false),
        ("7.4", "sm_80", "cp.async.ca.shared.global [%s], [%at], 4, %p", false),
        ("7.5", "sm_80", "cp.async.ca.shared.global [%s], [%at], 4, %p", true),
        ("6.2", "sm_70", "atom.global.cas.b16 %h, [%at], %h, %h", false),
    ];
    for (version, target, text, accepted) in cases {
        let body = format!(".reg .b64 %at; .reg .b32 %s, %r0; .reg .b16 %h; .reg .pred %p;\n{text};");
        let module = kernel_text(&[], &body).replace("8.0", version).replace("sm_90", target);
        match Module::parse(&module) {
            Ok(_) => assert!(accepted, "{version} {target} {text}"),
            Err(refused) => {
                let known = refused.message.contains("needs .version") && refused.line == common::BODY + 1;
                assert!(known && !accepted, "{version} {target} {text}: {refused}");
            }
        }
    }
}
