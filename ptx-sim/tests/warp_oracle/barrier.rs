//! Barriers that reduce.

use super::*;

/// From how many of how many threads vote for: the values of `%wd` and `%q`.
type Reduction = fn(u32, u32) -> (u32, u32);

const REDUCTIONS: &[(&str, Reduction)] = &[
    ("bar.red.popc.u32 %wd, %r1, %r2, %p", |ayes, _| (ayes, 0)),
    ("bar.red.popc.u32 %wd, %r1, %r2, !%p", |ayes, all| (all - ayes, 0)),
    ("barrier.red.and.aligned.pred %q, %r1, %r2, %p", |ayes, all| (KEPT, u32::from(ayes == all))),
    ("bar.red.and.pred %q, %r1, %r2, !%p", |ayes, _| (KEPT, u32::from(ayes == 0))),
    ("bar.red.or.pred %q, %r1, %r2, %p", |ayes, _| (KEPT, u32::from(ayes != 0))),
    ("barrier.cta.red.or.pred %q, %r1, %r2, !%p", |ayes, all| (KEPT, u32::from(ayes != all))),
];

#[test]
fn barriers_that_reduce() {
    // Two barriers, each for some of the warps, of which the last may be partial.
    let threads = (1usize..=5, 0usize..32).prop_map(|(warps, missing)| 32 * warps - missing);
    let votes = prop_oneof![Just(vec![0; 5]), Just(vec![!0; 5]), vec(any::<u32>(), 5), vec(select(vec![0, 1 << 7]), 5)];
    let ids = (0u32..16, 1u32..16).prop_map(|(id, other)| [id, (id + other) % 16]);
    check(REDUCTIONS, 64, (threads, votes, ids, 0u32..32), |(instruction, model), (threads, votes, ids, second)| {
        let barrier = |thread: usize| usize::from(is_in(second, thread / 32));
        let vote = |thread: usize| u32::from(is_in(votes[thread / 32], thread % 32));
        let of = |which: usize| (0..threads).filter(move |thread| barrier(*thread) == which);
        let counts = [0, 1].map(|which| of(which).filter(|thread| thread % 32 == 0).count() as u32 * 32);
        let share = |thread: usize| [votes[thread / 32], ids[barrier(thread)], counts[barrier(thread)], 0];
        let x: Vec<u32> = (0..threads).flat_map(share).collect();
        // Without a count the barrier is for all threads.
        let instruction =
            if counts.contains(&0) { instruction.replace(" %r2,", "") } else { (*instruction).to_owned() };
        let body = format!(
            "ld.global.v4.u32 {{%r0, %r1, %r2, %r3}}, [%x]; {}mov.u32 %wd, {KEPT}; setp.ne.u32 %q, %t, %t;\n{instruction};\n\
             selp.u32 %k, 1, 0, %q; st.global.v2.u32 [%y], {{%wd, %k}};",
            predicate("%p", "%r0")
        );
        let wants = [0, 1].map(|which| model(of(which).map(vote).sum(), of(which).count() as u32));
        let got = results(threads, &body, &x, &vec![KEPT; 2 * threads])?;
        for (thread, got) in got.chunks(2).enumerate() {
            let (d, q) = wants[barrier(thread)];
            prop_assert_eq!(got, [d, q], "{} thread {}", instruction, thread);
        }
        Ok(())
    });
}
