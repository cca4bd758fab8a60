//! `ld` and `st`, against memory as bytes.

use super::form::{Form, NARROW, REGISTERS, To, forms, keep, mask, random};
use super::*;

/// Bytes of each memory, and with a last word that nothing has written: no access of more bytes fits there.
const SIZE: usize = 512;
const LEN: usize = SIZE + 4;
const STEPS: usize = 4;
/// Bytes of a thread's share of x: 16 bytes of shared memory and which are written, before and after; then for each step an
/// offset and four values.
const X_SHARE: usize = 32 + 48 * STEPS;
/// Of y: four values for each step, and what becomes of the 16 bytes.
const Y_SHARE: usize = 32 * STEPS + 16;

/// What is wrong with an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Misaligned,
    Outside,
    Unwritten,
    Conflict,
}

fn wrong(kind: &FaultKind) -> Option<(Wrong, Option<(Access, u32)>)> {
    Some(match *kind {
        FaultKind::Misaligned { access, bytes, .. } => (Wrong::Misaligned, Some((access, bytes))),
        FaultKind::OutOfBounds { access, bytes, .. } | FaultKind::NoAllocation { access, bytes, .. } => {
            (Wrong::Outside, Some((access, bytes)))
        }
        FaultKind::Uninitialised { bytes, .. } => (Wrong::Unwritten, Some((Access::Read, bytes))),
        FaultKind::ConflictingStores { .. } => (Wrong::Conflict, None),
        _ => return None,
    })
}

/// One access of some lanes.
#[derive(Clone, Debug)]
struct Step {
    form: Form,
    active: u32,
    random: usize,
    /// Lanes whose generic addresses are in shared memory.
    mixed: u32,
    /// Multiples of the access's bytes, and what is added to a lane's, or instead of it where it is no place between two.
    slots: Vec<usize>,
    astray: Option<(usize, i64)>,
    immediate: i32,
    /// What the registers of each lane come from.
    seed: u64,
    same: bool,
}

impl Step {
    /// Whether the address is `[tile+immediate]`.
    fn is_named(&self) -> bool {
        self.form.to == To::Shared && (self.random / 32).is_multiple_of(4)
    }

    fn target(&self, lane: usize) -> i64 {
        let lane = if self.is_named() { 0 } else { lane };
        let len = self.form.len();
        let slot = (self.slots[lane] % (SIZE / len) * len) as i64;
        match self.astray {
            Some((which, by)) if which == lane => by + if (1..16).contains(&by) { slot } else { 0 },
            _ => slot,
        }
    }

    fn values(&self, lane: usize) -> [u64; 4] {
        [0, 1, 2, 3].map(|i| random(self.seed, if self.same { i } else { 4 * lane + i }))
    }

    /// The place in [`Model::memories`].
    fn memory(&self, lane: usize) -> usize {
        match self.form.to {
            To::Global => 0,
            To::NonCoherent => 1,
            To::Shared => 2,
            To::Generic => 2 * usize::from(is_in(self.mixed, lane)),
        }
    }
}

fn steps(forms: &[Form]) -> impl Strategy<Value = Step> + use<> {
    let permuted = (0usize..64, 0usize..64).prop_map(|(a, b)| (0..32).map(|lane| (2 * a + 1) * lane + b).collect());
    let slots = prop_oneof![4 => permuted, 1 => vec(0usize..64, 32)];
    let astray = prop_oneof![1i64..16, select(vec![-16, SIZE as i64, 1 << 20])];
    let astray = prop_oneof![9 => Just(None), 1 => (0usize..32, astray).prop_map(Some)];
    let immediate = select(vec![0, 0, 4, -4, 1, -13, 256, i32::MAX, i32::MIN]);
    let values = (any::<u64>(), prop_oneof![4 => Just(false), 1 => Just(true)]);
    let lanes = (some_lanes(), any::<usize>(), any::<u32>(), slots, astray);
    (select(forms.to_vec()), lanes, immediate, values).prop_map(|(form, lanes, immediate, (seed, same))| {
        let (active, random, mixed, slots, astray) = lanes;
        let mut step = Step { form, active, random, mixed, slots, astray, immediate, seed, same };
        if step.is_named() {
            step.immediate = step.target(0) as i32;
        }
        step
    })
}

/// Bytes, where they have been written.
type Cells = Vec<Option<u8>>;

#[derive(Clone)]
struct Model {
    /// Global, constant and shared memory.
    memories: [Cells; 3],
}

impl Model {
    /// What the lanes of a step do wrong, or the values of its registers after it.
    fn run(&mut self, step: &Step) -> Result<Vec<[u64; 4]>, Vec<(usize, Wrong)>> {
        let before = self.clone();
        let mut faults = Vec::new();
        let mut values: Vec<_> = (0..32).map(|lane| step.values(lane)).collect();
        for value in values.iter_mut().flatten() {
            *value &= mask(step.form.file_bytes);
        }
        for lane in (0..32).filter(|lane| is_in(step.active, *lane)) {
            if let Err(wrong) = self.access(&before, step, lane, &mut values[lane]) {
                faults.push((lane, wrong));
            }
        }
        if faults.is_empty() { Ok(values) } else { Err(faults) }
    }

    fn access(&mut self, before: &Self, step: &Step, lane: usize, values: &mut [u64; 4]) -> Result<(), Wrong> {
        let Form { store, bytes, count, .. } = step.form;
        let (target, memory, len) = (step.target(lane), step.memory(lane), step.form.len());
        if target.rem_euclid(len as i64) != 0 {
            return Err(Wrong::Misaligned);
        }
        if target < 0 || target as usize + len > LEN {
            return Err(Wrong::Outside);
        }
        let cells = &mut self.memories[memory][target as usize..][..len];
        if store {
            let new: Vec<_> = values[..count].iter().flat_map(|value| value.to_le_bytes()[..bytes].to_vec()).collect();
            let earlier = (0..lane).filter(|lane| is_in(step.active, *lane) && step.memory(*lane) == memory);
            let meets = earlier.into_iter().any(|lane| step.target(lane) == target);
            if meets && cells.iter().zip(&new).any(|(cell, new)| *cell != Some(*new)) {
                return Err(Wrong::Conflict);
            }
            cells.iter_mut().zip(new).for_each(|(cell, new)| *cell = Some(new));
            return Ok(());
        }
        let cells = &before.memories[memory][target as usize..][..len];
        let bytes: Option<Vec<u8>> = cells.iter().copied().collect();
        let bytes = bytes.ok_or(Wrong::Unwritten)?;
        values.iter_mut().zip(step.form.loaded(&bytes)).for_each(|(value, loaded)| *value = loaded);
        Ok(())
    }
}

/// The text of all steps, and their lines; `unit` are the bytes by which shared memory is written before.
fn steps_body(steps: &[Step], unit: usize) -> (String, Vec<u32>) {
    let (file, mut lines) = (if unit < 4 { "%h0" } else { "%w0" }, Vec::new());
    let mut body = format!(
        "{REGISTERS}.shared .align 16 .b8 tile[{LEN}];\n\
         ld.param.u64 %x, [x]; ld.param.u64 %y, [y]; ld.param.u64 %m, [m]; ld.param.u64 %c, [c];\n\
         mov.u32 %t, %tid.x; mov.u32 %lane, %laneid; mad.wide.u32 %x, %t, {X_SHARE}, %x; mad.wide.u32 %y, %t, {Y_SHARE}, %y;\n\
         mov.u32 %s, tile; cvt.u64.u32 %g, %s; cvta.shared.u64 %g, %g; mad.lo.u32 %r, %t, 16, %s;\n"
    );
    let of_units = |word: usize, text: &dyn Fn(usize) -> String| {
        let moves = (0..16)
            .step_by(unit)
            .map(|at| format!("shr.u32 %k, %w1, {at}; and.b32 %k, %k, 1; setp.ne.u32 %part, %k, 0;\n{}\n", text(at)));
        format!("ld.global.u32 %w1, [%x+{word}];\n{}", moves.collect::<String>())
    };
    let bits = 8 * unit;
    body += &of_units(16, &|at| {
        format!("@%part ld.global.b{bits} {file}, [%x+{at}];\n@%part st.shared.b{bits} [%r+{at}], {file};")
    });
    body += "bar.sync 0;\n";
    for (i, step) in steps.iter().enumerate() {
        let at = 32 + 48 * i;
        body += &format!(
            "ld.global.b64 %off, [%x+{at}]; ld.global.v2.b64 {{%q0, %q1}}, [%x+{}]; ld.global.v2.b64 {{%q2, %q3}}, [%x+{}];\n",
            at + 16,
            at + 32
        );
        body += NARROW;
        let (text, base) = address(step);
        body += &(text + &predicate("%part", step.active));
        lines.push(body.lines().count() as u32 + common::BODY);
        let (registers, address) = (step.form.registers(), format!("[{base}+{}]", step.immediate));
        let operands = if step.form.store { [address, registers] } else { [registers, address] }.join(", ");
        body += &format!("@%part {} {operands};\n", step.form.text(step.random));
        body += &(keep(step.form.file, 32 * i) + "bar.sync 0;\n");
    }
    body += "mad.lo.u32 %r, %t, 16, %s;\n";
    body += &of_units(20, &|at| {
        format!(
            "@%part ld.shared.b{bits} {file}, [%r+{at}];\n@%part st.global.b{bits} [%y+{}], {file};",
            32 * STEPS + at
        )
    });
    (body + "ret;", lines)
}

/// The address register of a step, and what sets it: offset in `%off`.
fn address(step: &Step) -> (String, &'static str) {
    let narrow = (step.random / 128).is_multiple_of(2);
    match step.form.to {
        To::Global => ("add.s64 %base, %m, %off;\n".into(), "%base"),
        To::NonCoherent => ("add.s64 %base, %c, %off;\n".into(), "%base"),
        To::Shared if step.is_named() => (String::new(), "tile"),
        To::Shared if narrow => ("cvt.u32.u64 %r, %off; add.u32 %r, %r, %s;\n".into(), "%r"),
        To::Shared => ("cvt.u64.u32 %base, %s; add.s64 %base, %base, %off;\n".into(), "%base"),
        To::Generic => {
            let base = "selp.b64 %base, %g, %m, %part; add.s64 %base, %base, %off;\n";
            (predicate("%part", step.mixed) + base, "%base")
        }
    }
}

/// Runs the steps; gives y and global memory.
fn run_steps(body: &str, x: &[u8], global: &[Cells]) -> Result<(Vec<u8>, Cells), Box<Fault>> {
    let mut memory = Memory::new();
    let [x_at, y_at] = [x.len(), 32 * Y_SHARE].map(|bytes| memory.alloc(bytes));
    memory.write(x_at, x).unwrap();
    memory.write(y_at, &KEPT.to_le_bytes().repeat(8 * Y_SHARE)).unwrap();
    let at: Vec<u64> = global.iter().map(|_| memory.alloc(LEN)).collect();
    for (start, cells) in at.iter().zip(global) {
        for (i, cell) in cells.iter().enumerate() {
            cell.iter().for_each(|byte| memory.write(start + i as u64, &[*byte]).unwrap());
        }
    }
    let text = kernel_text(&["x", "y", "m", "c"], body);
    run_text(&text, &launch(1, 32, &[x_at, y_at, at[0], at[1]]), &mut memory, &Options::default())?;
    let byte = |at| memory.is_initialised(at, 1).unwrap().then(|| memory.read(at, 1).unwrap()[0]);
    let after = (0..LEN as u64).map(|i| byte(at[0] + i)).collect();
    Ok((memory.read(y_at, 32 * Y_SHARE).unwrap().to_vec(), after))
}

/// The bytes of x, of memory before and after the steps.
fn input(before: &Model, after: &Model, steps: &[Step]) -> Vec<u8> {
    let mut x = Vec::new();
    for lane in 0..32 {
        let cells = |model: &Model| model.memories[2][16 * lane..][..16].to_vec();
        let written = |model: &Model| lanes_where(|i| cells(model).get(i).is_some_and(Option::is_some));
        x.extend(cells(before).iter().map(|cell| cell.unwrap_or(0)));
        x.extend([written(before), written(after), 0, 0].map(u32::to_le_bytes).concat());
        for step in steps {
            x.extend((step.target(lane) - i64::from(step.immediate)).to_le_bytes());
            x.extend([0; 8]);
            x.extend(step.values(lane).map(u64::to_le_bytes).concat());
        }
    }
    x
}

#[test]
fn loads_and_stores() {
    let forms = forms();
    // Holes of up to 8 bytes.
    let holes = prop_oneof![2 => Just(Vec::new()), 1 => vec((0..3usize, 0..SIZE, 1usize..=8), 1..4)];
    let values = (vec(steps(&forms), STEPS), 0..STEPS, any::<u64>(), holes);
    check(&forms, 12, values, |form, (mut steps, which, seed, holes)| {
        steps[which].form = *form;
        if steps[which].is_named() {
            steps[which].immediate = steps[which].target(0) as i32;
        }
        let in_shared = |step: &&Step| matches!(step.form.to, To::Shared | To::Generic);
        let unit = steps.iter().filter(in_shared).map(|step| step.form.bytes).min().map_or(4, |bytes| bytes.min(4));
        let is_hole = |memory: usize, at: usize| {
            holes.iter().any(|(which, from, len)| *which == memory && (at / unit * unit).abs_diff(*from) < *len)
        };
        let is_written = |memory: usize, at: usize| at < SIZE && !is_hole(memory, at);
        let cells = |memory: usize| {
            (0..LEN).map(|at| is_written(memory, at).then(|| random(seed, LEN * memory + at) as u8)).collect()
        };
        let before = Model { memories: [0, 1, 2].map(cells) };
        let mut model = before.clone();
        let wants: Vec<_> = steps.iter().map(|step| model.run(step)).collect();
        let x = input(&before, &model, &steps);
        let (body, lines) = steps_body(&steps, unit);
        let got = run_steps(&body, &x, &before.memories[..2]);
        if let Some((i, faults)) = wants.iter().enumerate().find_map(|(i, want)| Some((i, want.as_ref().err()?))) {
            let Err(fault) = got else { return Err(TestCaseError::fail(format!("no fault of {faults:?}\n{body}"))) };
            let Fault { kind, line, lane, .. } = *fault;
            prop_assert_eq!(line, lines[i], "{}\n{}", kind, body);
            let Some((wrong, access)) = wrong(&kind) else {
                return Err(TestCaseError::fail(format!("{kind}\n{body}")));
            };
            let found = lane.is_some_and(|lane| faults.contains(&(lane as usize, wrong)));
            prop_assert!(found, "{kind} in lane {lane:?}, not one of {faults:?}\n{body}");
            let kind_of_access = if steps[i].form.store { Access::Write } else { Access::Read };
            let want = (wrong != Wrong::Conflict).then(|| (kind_of_access, steps[i].form.len() as u32));
            prop_assert_eq!(access, want, "{}\n{}", kind, body);
            return Ok(());
        }
        let (y, global) = got.map_err(|fault| TestCaseError::fail(format!("{fault}\n{body}")))?;
        prop_assert!(global == model.memories[0], "global memory after\n{body}");
        for (lane, y) in y.chunks(Y_SHARE).enumerate() {
            for (i, (got, want)) in y.chunks(32).zip(&wants).enumerate() {
                let want = want.as_ref().map(|values| values[lane].map(u64::to_le_bytes).concat());
                prop_assert_eq!(Ok(got), want.as_deref(), "lane {} of step {}\n{}", lane, i, body);
            }
            let kept = KEPT.to_le_bytes().repeat(4);
            let cells = model.memories[2][16 * lane..][..16].iter().zip(kept);
            let want: Vec<u8> = cells.map(|(cell, kept)| cell.unwrap_or(kept)).collect();
            prop_assert_eq!(&y[32 * STEPS..], want, "shared memory of lane {} after\n{}", lane, body);
        }
        Ok(())
    });
}
