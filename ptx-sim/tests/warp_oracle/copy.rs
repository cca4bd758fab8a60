//! `cp.async` with its groups.

use std::collections::VecDeque;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Last {
    None,
    /// That many.
    Size,
    /// None where the predicate holds, or where it does not.
    Ignore(&'static str),
}

impl Last {
    fn size(self, bytes: usize, size: usize) -> usize {
        match self {
            Last::Size => size,
            Last::Ignore("%p") if !size.is_multiple_of(2) => 0,
            Last::Ignore("!%p") if size.is_multiple_of(2) => 0,
            _ => bytes,
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// By a cache operator, of so many bytes, of which a last operand may say how many are read.
    Copy(&'static str, usize, Last),
    Commit,
    /// Until so many groups are left.
    Wait(usize),
    WaitAll,
}

const STEPS: usize = 12;

/// The copies of a lane that are in flight after all steps.
fn in_flight(steps: &[(u32, Step)], lane: usize) -> Vec<usize> {
    let (mut open, mut groups) = (Vec::new(), VecDeque::new());
    for (at, (_, step)) in steps.iter().enumerate().filter(|(_, (lanes, _))| is_in(*lanes, lane)) {
        match step {
            Step::Copy(..) => open.push(at),
            Step::Commit => groups.push_back(std::mem::take(&mut open)),
            Step::Wait(keep) => drop(groups.drain(..groups.len().saturating_sub(*keep))),
            Step::WaitAll => (open, groups) = (Vec::new(), VecDeque::new()),
        }
    }
    groups.into_iter().flatten().chain(open).collect()
}

/// Step i of a lane takes the words 4 i of its share of x: where it copies from, how many bytes, to where in the 16 bytes of
/// shared memory that the lane has for the step; the lanes of `read[i]` leave these in y.
fn copy_body(steps: &[(u32, Step)], read: &[u32]) -> String {
    let of_lanes = |lanes: &u32| predicate("%part", lanes) + "@%part ";
    let mut body = "mad.lo.u32 %s, %t, 16, %s;\n".to_owned();
    for (i, (lanes, step)) in steps.iter().enumerate() {
        body += &format!(
            "st.shared.v4.b32 [%s+{}], {{{KEPT}, {KEPT}, {KEPT}, {KEPT}}}; ld.global.v4.u32 {{%r0, %r1, %r2, %r3}}, [%x+{}];\n\
             cvt.u64.u32 %at, %r0; add.u64 %at, %at, %x0; add.u32 %r2, %r2, %s; and.b32 %k, %r1, 1; setp.ne.u32 %p, %k, 0;\n",
            512 * i,
            16 * i
        );
        body += &of_lanes(lanes);
        body += &match step {
            Step::Copy(cache, bytes, last) => {
                let last = match last {
                    Last::None => String::new(),
                    Last::Size => ", %r1".to_owned(),
                    Last::Ignore(predicate) => format!(", {predicate}"),
                };
                format!("cp.async.{cache}.shared.global [%r2+{}], [%at], {bytes}{last};\n", 512 * i)
            }
            Step::Commit => "cp.async.commit_group;\n".to_owned(),
            Step::Wait(keep) => format!("cp.async.wait_group {keep};\n"),
            Step::WaitAll => "cp.async.wait_all;\n".to_owned(),
        };
    }
    for (i, lanes) in read.iter().enumerate() {
        body += &of_lanes(lanes);
        body += &format!("ld.shared.v4.b32 {{%r0, %r1, %r2, %r3}}, [%s+{}];\n", 512 * i);
        body += &format!("@%part st.global.v4.b32 [%y+{}], {{%r0, %r1, %r2, %r3}};\n", 16 * i);
    }
    body
}

#[test]
fn asynchronous_copies() {
    let lasts = [Last::None, Last::Size, Last::Ignore("%p"), Last::Ignore("!%p")];
    let copies = (select(vec![("ca", 4), ("ca", 8), ("ca", 16), ("cg", 16)]), select(lasts.to_vec()))
        .prop_map(|((cache, bytes), last)| Step::Copy(cache, bytes, last));
    let step = prop_oneof![
        8 => copies,
        4 => Just(Step::Commit),
        2 => (0usize..4).prop_map(Step::Wait),
        1 => Just(Step::WaitAll),
    ];
    let values = (vec((some_lanes(), step), STEPS), vec(any::<u32>(), 64 * 32));
    check(&[()], 192, values, |(), (steps, mut x)| {
        // The last 16 words of each lane's share are data.
        let data: Vec<u8> = x.iter().flat_map(|word| word.to_le_bytes()).collect();
        let kept = [KEPT; 32 * STEPS * 4];
        let mut want = kept.map(u32::to_le_bytes).concat();
        for (lane, i) in (0..32 * STEPS).map(|slot| (slot / STEPS, slot % STEPS)) {
            let (lanes, step) = &steps[i];
            let Step::Copy(_, bytes, last) = step else { continue };
            let random = x[64 * lane + 4 * i] as usize;
            let from = 256 * (random % 32) + 192 + random / 32 % (64 / bytes) * bytes;
            let (to, size) = ((random >> 16) % (16 / bytes) * bytes, (random >> 24) % (bytes + 1));
            x[64 * lane + 4 * i..][..3].copy_from_slice(&[from as u32, size as u32, to as u32]);
            if is_in(*lanes, lane) {
                let size = last.size(*bytes, size);
                let slot = &mut want[16 * (STEPS * lane + i) + to..][..*bytes];
                slot.fill(0);
                slot[..size].copy_from_slice(&data[from..from + size]);
            }
        }
        let flights: Vec<Vec<usize>> = (0..32).map(|lane| in_flight(&steps, lane)).collect();
        let mut read: Vec<u32> = (0..STEPS).map(|i| lanes_where(|lane| !flights[lane].contains(&i))).collect();
        let got = results(32, &copy_body(&steps, &read), &x, &kept)?;
        let got: Vec<u8> = got.iter().flat_map(|word| word.to_le_bytes()).collect();
        for (slot, (got, want)) in got.chunks(16).zip(want.chunks(16)).enumerate() {
            let (lane, i) = (slot / STEPS, slot % STEPS);
            let want = if is_in(read[i], lane) { want } else { &KEPT.to_le_bytes().repeat(4) };
            prop_assert_eq!(got, want, "lane {} step {}", lane, i);
        }
        if let Some(i) = read.iter().position(|lanes| *lanes != !0) {
            let first = read[i].trailing_ones();
            read[i] |= 1 << first;
            let fault = outcome(32, &copy_body(&steps, &read), &x, &kept).expect_err("in flight");
            prop_assert!(matches!(fault.kind, FaultKind::AsyncPending { access: Access::Read, .. }), "{fault}");
            prop_assert_eq!(fault.lane, Some(first));
        }
        Ok(())
    });
}
