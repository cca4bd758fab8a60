//! Races, against a clock for each thread.

use super::*;

const WARPS: usize = 4;
/// Lanes of each warp that access memory.
const LANES: usize = 3;
/// The others of a warp do all the same, and count as one.
const SHARE: usize = LANES + 1;
const THREADS: usize = SHARE * WARPS;
/// Barriers are named by the pair that meets; those that a warp only arrives at have a name each.
const PAIRS: usize = WARPS * (WARPS - 1) / 2;
const ARRIVALS: usize = 15 - PAIRS;

/// What the first lanes of warps access: offsets and bytes.
const CELLS: [(usize, usize); 5] = [(0, 4), (4, 4), (0, 1), (1, 1), (0, 8)];
/// How far apart lanes access memory.
const STRIDES: [usize; 4] = [0, 0, 8, 56];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Read,
    Write,
    Atomic,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// By lanes of a warp, of one of [`CELLS`] and at a distance.
    Access(usize, u32, usize, usize, Kind),
    /// Of two warps, of which the first may only arrive.
    Meet(usize, usize, bool),
    MeetAll,
    /// Lanes of a warp, or all.
    Warp(usize, u32),
    /// Of lanes of a warp, for good.
    Exit(usize, u32),
}

const WHOLE: u32 = (1 << LANES) - 1;

/// No atomic operation has a byte.
fn able(kind: Kind, cell: usize) -> Kind {
    if kind == Kind::Atomic && CELLS[cell].1 == 1 { Kind::Read } else { kind }
}

/// Warps access a cell, each may synchronise, and one of their lanes comes back to it, at last in another way.
fn again() -> impl Strategy<Value = Vec<Event>> {
    let kind = || select(vec![Kind::Read, Kind::Atomic]);
    let warps = vec((0..WARPS, 1..=WHOLE, 0..3usize), 1..4);
    let last = prop_oneof![kind(), Just(Kind::Write)];
    (warps, 0..CELLS.len(), kind(), 0..LANES, last).prop_map(|(warps, cell, kind, lane, last)| {
        let access = |warp, lanes, kind| Event::Access(warp, lanes, cell, 0, able(kind, cell));
        let mut events = Vec::new();
        for (warp, lanes, order) in &warps {
            events.push(access(*warp, *lanes, kind));
            events.extend([None, Some(Event::Warp(*warp, WHOLE)), Some(Event::MeetAll)][*order]);
        }
        let warp = warps[0].0;
        events.extend([access(warp, 1 << lane, kind), access(warp, 1 << lane, last)]);
        events
    })
}

/// In half of them each `bar.warp.sync` is for a whole warp, and in half of them no lane exits before the end.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let meet = (0..WARPS, 1..WARPS, any::<bool>()).prop_map(|(a, b, arrives)| Event::Meet(a, (a + b) % WARPS, arrives));
    // Few writes, so that many events come before a race.
    let kind = prop_oneof![6 => Just(Kind::Read), 1 => Just(Kind::Write), 3 => Just(Kind::Atomic)];
    let lanes = prop_oneof![4 => (0..LANES).prop_map(|lane| 1 << lane), 1 => 1..=WHOLE];
    let cell = (0..CELLS.len(), select(STRIDES.to_vec()));
    let access = (0..WARPS, lanes, cell, kind)
        .prop_map(|(warp, lanes, (cell, stride), kind)| Event::Access(warp, lanes, cell, stride, able(kind, cell)));
    let lanes = prop_oneof![1 => Just(WHOLE), 2 => 1..=WHOLE];
    let event = prop_oneof![
        8 => access,
        8 => meet,
        1 => Just(Event::MeetAll),
        4 => (0..WARPS, lanes).prop_map(|(warp, lanes)| Event::Warp(warp, lanes)),
        2 => (0..WARPS, 1..=WHOLE).prop_map(|(warp, lanes)| Event::Exit(warp, lanes)),
    ];
    let events = prop_oneof![20 => event.prop_map(|event| vec![event]), 1 => again()];
    (vec(events, 1..24), any::<bool>(), any::<bool>()).prop_map(|(events, in_part, exits)| {
        let (mut events, mut arrivals) = (events.concat(), 0);
        events.retain(|event| exits || !matches!(event, Event::Exit(..)));
        for event in &mut events {
            match event {
                Event::Warp(_, lanes) if !in_part => *lanes = WHOLE,
                Event::Meet(_, _, arrives) => {
                    *arrives &= arrivals < ARRIVALS;
                    arrivals += usize::from(*arrives);
                }
                _ => {}
            }
        }
        events
    })
}

fn overlap((a, a_bytes): (usize, usize), (b, b_bytes): (usize, usize)) -> bool {
    a < b + b_bytes && b < a + a_bytes
}

/// Whether two threads access the same bytes, not both to read, nor both atomically in one size, and neither comes before
/// the other.
fn has_race(events: &[Event]) -> bool {
    // What of each thread comes before what a thread will do.
    let mut clocks = [[0; THREADS]; THREADS];
    let mut exited = [false; THREADS];
    let mut accesses: Vec<(usize, (usize, usize), Kind, usize)> = Vec::new();
    for (time, event) in (1..).zip(events) {
        let lanes_of = |warp: usize, lanes: u32| {
            (0..LANES).filter(move |lane| is_in(lanes, *lane)).map(move |lane| warp * SHARE + lane)
        };
        let of_warps = |warps: u32| (0..THREADS).filter(move |thread| is_in(warps, thread / SHARE)).collect();
        let (meet, arrives): (Vec<usize>, Option<usize>) = match *event {
            Event::Access(warp, lanes, cell, stride, kind) => {
                let place = |lane: usize| (CELLS[cell].0 + stride * lane, CELLS[cell].1);
                let threads: Vec<usize> = lanes_of(warp, lanes).filter(|thread| !exited[*thread]).collect();
                let races = |thread: usize, (other, of, earlier, at): &(usize, (usize, usize), Kind, usize)| {
                    let place = place(thread % SHARE);
                    let allowed = *earlier == kind && (kind == Kind::Read || (kind == Kind::Atomic && *of == place));
                    overlap(*of, place) && !allowed && *other != thread && clocks[thread][*other] < *at
                };
                if threads.iter().any(|thread| accesses.iter().any(|access| races(*thread, access))) {
                    return true;
                }
                // Lanes of one instruction store one value in one place, or in places apart.
                for thread in threads {
                    accesses.push((thread, place(thread % SHARE), kind, time));
                    clocks[thread][thread] = time;
                }
                continue;
            }
            Event::Meet(a, b, arrives) => (of_warps(1 << a | 1 << b), arrives.then_some(a)),
            Event::MeetAll => (of_warps(!0), None),
            Event::Warp(warp, WHOLE) => (of_warps(1 << warp), None),
            Event::Warp(warp, lanes) => (lanes_of(warp, lanes).collect(), None),
            Event::Exit(warp, lanes) => {
                lanes_of(warp, lanes).for_each(|thread| exited[thread] = true);
                continue;
            }
        };
        let meet: Vec<usize> = meet.into_iter().filter(|thread| !exited[*thread]).collect();
        let mut joined = [0; THREADS];
        for thread in &meet {
            joined.iter_mut().zip(clocks[*thread]).for_each(|(joined, time)| *joined = time.max(*joined));
        }
        meet.iter().filter(|thread| arrives != Some(**thread / SHARE)).for_each(|thread| clocks[*thread] = joined);
    }
    false
}

/// Holds in lanes of a warp.
fn guard(warp: usize, lanes: u32) -> String {
    predicate("%p", lanes) + &format!("setp.eq.and.u32 %p, %r0, {warp}, %p; @%p ")
}

fn race_body(events: &[Event], memory: &str) -> String {
    let mut body = "mad.lo.u32 %r1, %t, 4, %s; st.shared.u32 [%r1], 0; bar.sync 0;\n\
         shr.u32 %r0, %t, 5;\n"
        .to_owned();
    let mut arrivals = 0;
    for (i, event) in events.iter().enumerate() {
        body += &match *event {
            Event::Access(warp, lanes, cell, stride, kind) => {
                let (at, bytes) = CELLS[cell];
                let (base, set) = match memory {
                    "shared" => ("%r3", format!("mad.lo.u32 %r3, %lane, {stride}, %s;")),
                    _ => ("%at", format!("mad.wide.u32 %at, %lane, {stride}, %x0;")),
                };
                let (at, ty) = (format!("[{base}+{at}]"), format!("{memory}.u{}", 8 * bytes));
                let register = if bytes == 8 { "%qa" } else { "%wd" };
                let access = match kind {
                    Kind::Read => format!("ld.{ty} {register}, {at}"),
                    Kind::Write => format!("st.{ty} {at}, 7"),
                    Kind::Atomic => format!("red.{} {at}, 7", ty.replace(".u", ".add.u")),
                };
                set + &guard(warp, lanes) + &access + ";\n"
            }
            Event::Meet(a, b, arrives) => {
                let (low, high) = (a.min(b), a.max(b));
                let (arrive, name) = match arrives {
                    true => ("arrive", 1 + PAIRS + arrivals),
                    false => ("sync", 1 + low * (2 * WARPS - 1 - low) / 2 + high - low - 1),
                };
                arrivals += usize::from(arrives);
                format!(
                    "setp.eq.u32 %p, %r0, {a}; @!%p bra A{i}; bar.{arrive} {name}, 64; A{i}:\n\
                     setp.eq.u32 %p, %r0, {b}; @!%p bra B{i}; bar.sync {name}, 64; B{i}:\n"
                )
            }
            Event::MeetAll => "bar.sync 0;\n".to_owned(),
            Event::Warp(warp, WHOLE) => {
                format!("setp.eq.u32 %p, %r0, {warp}; @!%p bra W{i}; bar.warp.sync 0xffffffff; W{i}:\n")
            }
            Event::Warp(warp, lanes) => guard(warp, lanes) + &format!("bar.warp.sync {lanes};\n"),
            Event::Exit(warp, lanes) => guard(warp, lanes) + "ret;\n",
        };
    }
    body
}

#[test]
fn races() {
    check(&["shared", "global"], 4096, events(), |memory, events| {
        let body = race_body(&events, memory);
        let got = outcome(32 * WARPS, &body, &[0; 32 * WARPS], &[KEPT; 32 * WARPS]);
        match (has_race(&events), got) {
            (false, Ok(_)) => Ok(()),
            (true, Err(Fault { kind: FaultKind::Race { .. }, .. })) => Ok(()),
            (true, Ok(_)) => Err(TestCaseError::fail(format!("no race found\n{body}"))),
            (_, Err(fault)) => Err(TestCaseError::fail(format!("{fault}\n{body}"))),
        }
    });
}
