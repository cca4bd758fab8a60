//! Who touched memory last, and whether that was ordered before the access at hand.
//!
//! A *tick* passes at each barrier. An access by a warp is stamped with the tick it happens at; a warp knows, for each
//! warp of its block, up to which tick that warp's accesses are ordered before its own. Ticks go on from block to block,
//! so that a stamp older than the block's first tick is one of another block, which nothing orders.
//!
//! Lanes of a warp are threads like others: only barriers and `bar.warp.sync` order their accesses. Where one is for some
//! lanes only, these know more of their warp than the others do. A barrier promises that what its threads did before is done;
//! it does not wait for threads that have exited, of which it promises nothing: what these did since they last came to one is
//! ordered before no access of another thread.

mod cell;
mod clock;
mod global;
mod lines;
mod log;
mod past;
mod proxy;
mod shared;

pub(crate) use cell::{Cell, Conflict};
pub(crate) use clock::{Clock, MAX_WARPS, Observer};
pub(crate) use global::GlobalShadow;
pub(crate) use past::{Kind, Lists};
pub(crate) use shared::{Extent, Shared};

/// The set bits, from the lowest.
pub(crate) fn bits(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (at < 32).then_some(at)
    })
}
