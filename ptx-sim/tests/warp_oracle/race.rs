//! Races, against a clock for each thread.

use super::*;

const WARPS: usize = 4;
/// Two lanes of each warp access memory.
const THREADS: usize = 2 * WARPS;
/// Barriers are named by the pair that meets; those that a warp only arrives at have a name each.
const PAIRS: usize = WARPS * (WARPS - 1) / 2;
const ARRIVALS: usize = 15 - PAIRS;

/// What threads access: offsets and bytes.
const CELLS: [(usize, usize); 4] = [(0, 4), (4, 4), (0, 1), (1, 1)];

#[derive(Clone, Copy, Debug)]
enum Event {
    /// By a thread, of one of [`CELLS`]; whether it writes.
    Access(usize, usize, bool),
    /// Of two warps, of which the first may only arrive.
    Meet(usize, usize, bool),
    MeetAll,
    /// The lanes of a warp.
    Warp(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let meet = (0..WARPS, 1..WARPS, any::<bool>()).prop_map(|(a, b, arrives)| Event::Meet(a, (a + b) % WARPS, arrives));
    // Few writes, so that many events come before a race.
    let writes = prop_oneof![5 => Just(false), 1 => Just(true)];
    let access =
        (0..THREADS, 0..CELLS.len(), writes).prop_map(|(thread, cell, write)| Event::Access(thread, cell, write));
    let event = prop_oneof![
        8 => access,
        8 => meet,
        1 => Just(Event::MeetAll),
        2 => (0..WARPS).prop_map(Event::Warp),
    ];
    vec(event, 1..24)
}

fn overlap(a: usize, b: usize) -> bool {
    let ((a, a_bytes), (b, b_bytes)) = (CELLS[a], CELLS[b]);
    a < b + b_bytes && b < a + a_bytes
}

/// Whether two threads access a cell, one of them to write, and neither comes before the other.
fn has_race(events: &[Event]) -> bool {
    // What of each thread comes before what a thread will do.
    let mut clocks = [[0; THREADS]; THREADS];
    let mut accesses: Vec<(usize, usize, bool, usize)> = Vec::new();
    for (time, event) in (1..).zip(events) {
        let warps = match *event {
            Event::Access(thread, cell, write) => {
                let meets = |(other, of, wrote, at): &(usize, usize, bool, usize)| {
                    overlap(*of, cell) && (*wrote || write) && *other != thread && clocks[thread][*other] < *at
                };
                if accesses.iter().any(meets) {
                    return true;
                }
                accesses.push((thread, cell, write, time));
                clocks[thread][thread] = time;
                continue;
            }
            Event::Meet(a, b, _) => 1 << a | 1 << b,
            Event::MeetAll => !0,
            Event::Warp(warp) => 1 << warp,
        };
        let mut joined = [0; THREADS];
        for clock in (0..THREADS).filter(|thread| is_in(warps, thread / 2)).map(|thread| clocks[thread]) {
            joined.iter_mut().zip(clock).for_each(|(joined, time)| *joined = time.max(*joined));
        }
        let waits = |warp: usize| is_in(warps, warp) && !matches!(event, Event::Meet(a, _, true) if *a == warp);
        (0..THREADS).filter(|thread| waits(thread / 2)).for_each(|thread| clocks[thread] = joined);
    }
    false
}

fn race_body(events: &[Event], memory: &str) -> String {
    let cells = if memory == "shared" { "tile" } else { "%x0" };
    let mut body = "setp.lt.u32 %p, %t, 2; mad.lo.u32 %r1, %t, 4, %s; @%p st.shared.u32 [%r1], 0; bar.sync 0;\n\
         shr.u32 %r0, %t, 5;\n"
        .to_owned();
    let mut arrivals = 0;
    for (i, event) in events.iter().enumerate() {
        body += &match event {
            Event::Access(thread, cell, write) => {
                let (at, bytes) = CELLS[*cell];
                let (at, ty) = (format!("[{cells}+{at}]"), format!("u{}", 8 * bytes));
                let access =
                    if *write { format!("st.{memory}.{ty} {at}, %k") } else { format!("ld.{memory}.{ty} %wd, {at}") };
                format!("setp.eq.u32 %p, %t, {}; @%p {access};\n", thread / 2 * 32 + thread % 2)
            }
            Event::Meet(a, b, arrives) => {
                let (low, high) = (a.min(b), a.max(b));
                let (arrive, name) = match arrives {
                    true => ("arrive", 1 + PAIRS + arrivals),
                    false => ("sync", 1 + low * (2 * WARPS - 1 - low) / 2 + high - low - 1),
                };
                arrivals += usize::from(*arrives);
                format!(
                    "setp.eq.u32 %p, %r0, {a}; @!%p bra A{i}; bar.{arrive} {name}, 64; A{i}:\n\
                     setp.eq.u32 %p, %r0, {b}; @!%p bra B{i}; bar.sync {name}, 64; B{i}:\n"
                )
            }
            Event::MeetAll => "bar.sync 0;\n".to_owned(),
            Event::Warp(warp) => {
                format!("setp.eq.u32 %p, %r0, {warp}; @!%p bra W{i}; bar.warp.sync 0xffffffff; W{i}:\n")
            }
        };
    }
    body
}

#[test]
fn races() {
    check(&["shared", "global"], 2048, events(), |memory, mut events| {
        let mut arrivals = 0;
        for event in &mut events {
            if let Event::Meet(_, _, arrives) = event {
                *arrives &= arrivals < ARRIVALS;
                arrivals += usize::from(*arrives);
            }
        }
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
