//! `ld.local` and `st.local`: each thread has bytes of its own.

use super::form::{Form, NARROW, REGISTERS, To, forms, keep, mask, random};
use super::*;
use ptx_sim::Space;

const SIZE: usize = 64;
/// Bytes of a thread's share of x: what its memory holds, four values, an offset.
const X_SHARE: usize = SIZE + 48;
/// Of y: four values after the instruction, and what memory holds then.
const Y_SHARE: usize = 32 + SIZE;

/// How the address is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Wide,
    Narrow,
    /// The same in all lanes.
    Name(i64),
}

fn local_body(form: &Form, active: u32, by: By) -> String {
    let (set, address) = match by {
        By::Wide => ("mov.b64 %base, own; add.s64 %base, %base, %off;", "[%base]".to_owned()),
        By::Narrow => ("cvt.u32.u64 %r, %off; mov.u32 %s, own; add.s32 %r, %r, %s;", "[%r]".to_owned()),
        By::Name(offset) => ("", format!("[own+{offset}]")),
    };
    let operands = if form.store { [address, form.registers()] } else { [form.registers(), address] }.join(", ");
    let name = if form.store { "st" } else { "ld" };
    let words = |text: fn(usize) -> String| (0..SIZE).step_by(8).map(text).collect::<String>();
    format!(
        "{REGISTERS}.local .align 16 .b8 other[16]; .local .align 16 .b8 own[{SIZE}];\n\
         ld.param.u64 %x, [x]; ld.param.u64 %y, [y]; mov.u32 %lane, %laneid;\n\
         mad.wide.u32 %x, %lane, {X_SHARE}, %x; mad.wide.u32 %y, %lane, {Y_SHARE}, %y;\n{}\
         ld.global.v2.b64 {{%q0, %q1}}, [%x+64]; ld.global.v2.b64 {{%q2, %q3}}, [%x+80]; ld.global.b64 %off, [%x+96];\n\
         {NARROW}{set} {}@%part {name}.local{} {operands};\n{}{}ret;",
        words(|at| format!("ld.global.b64 %q0, [%x+{at}]; st.local.b64 [own+{at}], %q0;\n")),
        predicate("%part", active),
        form.suffix(),
        keep(form.file, 0),
        words(|at| format!("ld.local.b64 %q0, [own+{at}]; st.global.b64 [%y+{}], %q0;\n", 32 + at)),
    )
}

#[test]
fn local_memory() {
    let forms: Vec<Form> = forms().into_iter().filter(|form| form.to == To::Global).collect();
    let by = prop_oneof![2 => Just(By::Wide), 2 => Just(By::Narrow), 1 => Just(By::Name(0))];
    let astray = prop_oneof![1i64..16, select(vec![-32, SIZE as i64, 1 << 20])];
    let astray = prop_oneof![5 => Just(None), 1 => (0usize..32, astray).prop_map(Some)];
    let values = (vec(0usize..SIZE, 32), by, astray, some_lanes(), any::<u64>());
    check(&forms, 24, values, |form, (slots, by, astray, active, seed)| {
        let len = form.len();
        let offset = |lane: usize| {
            let lane = if by == By::Name(0) { 0 } else { lane };
            let slot = (slots[lane] % (SIZE / len) * len) as i64;
            match astray {
                Some((which, off)) if which == lane => off + if (1..16).contains(&off) { slot } else { 0 },
                _ => slot,
            }
        };
        let by = if by == By::Name(0) { By::Name(offset(0)) } else { by };
        let bytes = |lane: usize| (0..SIZE).map(move |at| random(seed, SIZE * lane + at) as u8);
        let registers = |lane: usize| [0, 1, 2, 3].map(|i| random(!seed, 4 * lane + i));
        let share = |lane: usize| {
            let values = registers(lane).map(u64::to_le_bytes).concat();
            let offset = [offset(lane) as u64, 0].map(u64::to_le_bytes).concat();
            [bytes(lane).collect(), values, offset].concat()
        };
        let mut memory = Memory::new();
        let [x, y] = [X_SHARE, Y_SHARE].map(|share| memory.alloc(32 * share));
        memory.write(x, &(0..32).flat_map(share).collect::<Vec<u8>>()).unwrap();
        let body = local_body(form, active, by);
        let text = kernel_text(&["x", "y"], &body);
        let ran = run_text(&text, &launch(1, 32, &[x, y]), &mut memory, &Options::default());
        let aligned = |lane: usize| offset(lane).rem_euclid(len as i64) == 0;
        let fits = |lane: usize| offset(lane) >= 0 && offset(lane) as usize + len <= SIZE;
        if let Some(lane) = (0..32).find(|lane| is_in(active, *lane) && !(aligned(*lane) && fits(*lane))) {
            let fault = ran.expect_err(&body);
            let known = match fault.kind {
                FaultKind::Misaligned { space: Space::Local, .. } => !aligned(lane),
                FaultKind::OutOfBounds { space: Space::Local, .. } => aligned(lane),
                _ => false,
            };
            prop_assert!(known && fault.lane == Some(lane as u32), "{fault}\n{body}");
            return Ok(());
        }
        ran.map_err(|fault| TestCaseError::fail(format!("{fault}\n{body}")))?;
        for (lane, got) in memory.read(y, 32 * Y_SHARE).unwrap().chunks(Y_SHARE).enumerate() {
            let mut own: Vec<u8> = bytes(lane).collect();
            let mut values = registers(lane).map(|value| value & mask(form.file_bytes));
            if is_in(active, lane) {
                let place = &mut own[offset(lane) as usize..][..len];
                if form.store {
                    let new = values[..form.count].iter().flat_map(|value| value.to_le_bytes()[..form.bytes].to_vec());
                    place.copy_from_slice(&new.collect::<Vec<u8>>());
                } else {
                    values.iter_mut().zip(form.loaded(place)).for_each(|(value, loaded)| *value = loaded);
                }
            }
            let want = [values.map(u64::to_le_bytes).concat(), own].concat();
            prop_assert_eq!(got, want, "lane {}\n{}", lane, body);
        }
        Ok(())
    });
}
