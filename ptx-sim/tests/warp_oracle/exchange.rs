//! Exchanges between the lanes of a warp: `shfl`, `vote`, `match`, `activemask`.

use super::*;

/// How lanes that do not take part miss an instruction.
#[derive(Clone, Copy, Debug)]
enum Way {
    Guard,
    /// Late lanes come by a detour.
    Branch,
    Exit,
}

impl Way {
    fn around(self, instruction: &str) -> String {
        match self {
            Way::Guard => format!("@%part {instruction};"),
            Way::Branch => format!(
                "@!%part bra END; bra START; DETOUR: bra MEET; START: @%late bra FAR;\n\
                 MEET: {instruction}; bra END; FAR: bra DETOUR; END:"
            ),
            Way::Exit => format!("@!%part ret; {instruction};"),
        }
    }
}

#[derive(Debug)]
struct Warp {
    a: Vec<u32>,
    b: Vec<u32>,
    c: Vec<u32>,
    /// Lanes where the predicates `%p`, and at first `%q`, hold.
    p: u32,
    q: u32,
    lanes: u32,
    late: u32,
    /// Lanes that have nothing to do with the others.
    apart: u32,
    way: Way,
}

impl Warp {
    /// A lane's share of x; exited lanes may be members.
    fn share(&self, lane: usize) -> [u32; 8] {
        let members = if let Way::Exit = self.way { self.lanes | self.late } else { self.lanes };
        [self.a[lane], self.b[lane], self.c[lane], members & self.side(lane), self.p, self.q, self.lanes, self.late]
    }

    /// The lanes that a lane may have to do with.
    fn side(&self, lane: usize) -> u32 {
        if is_in(self.apart, lane) { self.apart } else { !self.apart }
    }

    /// Those that take part with it.
    fn group(&self, lane: usize) -> u32 {
        self.lanes & self.side(lane)
    }

    /// What a lane gets from a source, of its number, the operand, and the first lane and the width of its segment, and
    /// whether that is in range of the clamp; none where the source takes no part.
    fn shuffled(&self, lane: usize, source: Source, is_in_range: fn(&i32, &i32) -> bool) -> Option<(u32, bool)> {
        let [own, by, c] = [lane as i32, (self.b[lane] % 32) as i32, self.c[lane] as i32];
        let width = 32 - (c >> 8 & 31);
        let first = own / width * width;
        let from = source(own, by, (first, width));
        let in_range = is_in_range(&from, &(first + (c & 31) % width));
        let from = if in_range { from as usize } else { lane };
        is_in(self.group(lane), from).then(|| (self.a[from], in_range))
    }

    fn same_word(&self, lane: usize) -> u32 {
        self.group(lane) & lanes_where(|other| self.a[other] == self.a[lane])
    }

    fn same_pair(&self, lane: usize) -> u32 {
        self.same_word(lane) & lanes_where(|other| self.b[other] == self.b[lane])
    }

    fn all_or_none(&self, lane: usize, same: u32) -> (u32, bool) {
        if same == self.group(lane) { (same, true) } else { (0, false) }
    }
}

type Source = fn(i32, i32, (i32, i32)) -> i32;

/// The values of `%wd` and `%q` in a lane.
type Exchange = fn(&Warp, usize) -> Option<(u32, bool)>;

/// Tested without `|%q` and with `!%p`, too.
const EXCHANGES: &[(&str, Exchange)] = &[
    ("shfl.sync.up.b32 %wd|%q, %wa, %wb, %wc, %m", |w, lane| w.shuffled(lane, |own, by, _| own - by, i32::ge)),
    ("shfl.sync.down.b32 %wd|%q, %wa, %wb, %wc, %m", |w, lane| w.shuffled(lane, |own, by, _| own + by, i32::le)),
    ("shfl.sync.bfly.b32 %wd|%q, %wa, %wb, %wc, %m", |w, lane| w.shuffled(lane, |own, by, _| own ^ by, i32::le)),
    ("shfl.sync.idx.b32 %wd|%q, %wa, %wb, %wc, %m", |w, lane| w.shuffled(lane, |_, by, (at, n)| at + by % n, i32::le)),
    ("vote.sync.all.pred %q, %p, %m", |w, lane| Some((0, w.group(lane) & !w.p == 0))),
    ("vote.sync.any.pred %q, %p, %m", |w, lane| Some((0, w.group(lane) & w.p != 0))),
    ("vote.sync.uni.pred %q, %p, %m", |w, lane| Some((0, [0, w.group(lane)].contains(&(w.group(lane) & w.p))))),
    ("vote.sync.ballot.b32 %wd, %p, %m", |w, lane| Some((w.group(lane) & w.p, false))),
    ("match.any.sync.b32 %wd, %wa, %m", |w, lane| Some((w.same_word(lane), false))),
    ("match.any.sync.b64 %wd, %qa, %m", |w, lane| Some((w.same_pair(lane), false))),
    ("match.all.sync.b32 %wd|%q, %wa, %m", |w, lane| Some(w.all_or_none(lane, w.same_word(lane)))),
    ("match.all.sync.b64 %wd|%q, %qa, %m", |w, lane| Some(w.all_or_none(lane, w.same_pair(lane)))),
    ("activemask.b32 %wd", |w, _| Some((w.lanes, false))),
];

fn warps() -> impl Strategy<Value = Warp> {
    // The clamp, a mask for segments of 1 to 32 lanes, and bits that are not read.
    let segments = |c: Vec<u32>| c.iter().map(|c| c & !0x1f00 | (32 - (1 << ((c >> 13) % 6))) << 8).collect();
    let votes = prop_oneof![Just(0), Just(!0), any::<u32>()];
    let way = select(&[Way::Guard, Way::Branch, Way::Exit][..]);
    let apart = prop_oneof![Just(0), any::<u32>()];
    (words(), words(), words().prop_map(segments), votes, any::<u32>(), some_lanes(), any::<u32>(), apart, way)
        .prop_map(|(a, b, c, p, q, lanes, late, apart, way)| Warp { a, b, c, p, q, lanes, late, apart, way })
}

#[test]
fn exchanges() {
    let forms = |text: &str| [text.to_owned(), text.replace("|%q", ""), text.replace("%p", "!%p")];
    let rows: Vec<_> = EXCHANGES.iter().flat_map(|(text, model)| forms(text).map(|text| (text, *model))).collect();
    check(&rows, 96, warps(), |(instruction, model), mut warp| {
        if instruction.starts_with("activemask") {
            // It waits for no lane.
            warp.late = 0;
        }
        let body = format!(
            "ld.global.v4.u32 {{%wa, %wb, %wc, %m}}, [%x]; ld.global.v4.u32 {{%r0, %r1, %r2, %r3}}, [%x+16];\n{}{}{}{}\
             mov.b64 %qa, {{%wa, %wb}}; mov.u32 %wd, {KEPT};\n{}\n\
             selp.u32 %k, 1, 0, %q; st.global.v2.u32 [%y], {{%wd, %k}};",
            predicate("%p", "%r0"),
            predicate("%q", "%r1"),
            predicate("%part", "%r2"),
            predicate("%late", "%r3"),
            warp.way.around(instruction)
        );
        let x: Vec<u32> = (0..32).flat_map(|lane| warp.share(lane)).collect();
        let got = outcome(32, &body, &x, &[KEPT; 64]);
        if instruction.contains('!') {
            warp.p = !warp.p;
        }
        let takes_part = |lane: &usize| is_in(warp.lanes, *lane);
        let has_no_source = |lane: &usize| takes_part(lane) && model(&warp, *lane).is_none();
        if (0..32).any(|lane| has_no_source(&lane)) {
            let fault = got.expect_err("a source that takes no part");
            prop_assert!(matches!(fault.kind, FaultKind::InactiveSource { .. }), "{fault}");
            prop_assert!(fault.lane.is_some_and(|lane| has_no_source(&(lane as usize))), "{fault}");
            return Ok(());
        }
        let got = got.map_err(|fault| TestCaseError::fail(format!("{fault}\n{body}")))?;
        for (lane, got) in got.chunks(2).enumerate() {
            let mut want = [KEPT, warp.q >> lane & 1];
            match model(&warp, lane) {
                Some((d, q)) if takes_part(&lane) => {
                    want[0] = if instruction.contains("%wd") { d } else { want[0] };
                    want[1] = if instruction.contains("%q,") { q.into() } else { want[1] };
                }
                _ if matches!(warp.way, Way::Exit) => want = [KEPT; 2],
                _ => {}
            }
            prop_assert_eq!(got, want, "{} lane {}", instruction, lane);
        }
        Ok(())
    });
}
