//! The way by which products of warpgroups read shared memory: what threads wrote is not seen there before a
//! `fence.proxy.async` of theirs, and what is being read must not be written.

use std::ops::Range;

use super::{MAX_WARPS, Observer};

/// What a granule went through.
#[derive(Clone, Copy, Default)]
struct Granule {
    /// Whether something wrote it, and warp and lane of the last write.
    written: bool,
    writer: u16,
    /// How many products in flight read it.
    held: u16,
    /// Tick of the writer's first fence since, 0 before that.
    fenced: u32,
}

pub(super) struct Proxy {
    granules: Vec<Granule>,
    /// By warps: the granules that one of its lanes wrote and has not fenced, and maybe others.
    unfenced: [Vec<u32>; MAX_WARPS],
    /// How often granules are held.
    held: usize,
}

impl Proxy {
    /// Of so many granules.
    pub fn new(granules: usize) -> Self {
        Proxy { granules: vec![Granule::default(); granules], unfenced: Default::default(), held: 0 }
    }

    pub fn clear(&mut self) {
        self.granules.fill(Granule::default());
        self.unfenced.iter_mut().for_each(Vec::clear);
        self.held = 0;
    }

    /// Records the write of granules by a lane.
    pub fn write(&mut self, warp: usize, lane: usize, granules: Range<usize>) {
        let (writer, unfenced) = ((warp << 5 | lane) as u16, &mut self.unfenced[warp]);
        for at in granules {
            let granule = &mut self.granules[at];
            let known = granule.written && granule.writer == writer && granule.fenced == 0;
            if !known {
                (granule.writer, granule.fenced, granule.written) = (writer, 0, true);
                unfenced.push(at as u32);
            }
        }
        if unfenced.len() > 2 * self.granules.len() {
            unfenced.sort_unstable();
            unfenced.dedup();
        }
    }

    /// Records a fence by lanes of a warp.
    pub fn fence(&mut self, by: &Observer<'_>, mask: u32) {
        let granules = &mut self.granules;
        self.unfenced[by.warp].retain(|at| {
            let granule = &mut granules[*at as usize];
            let (warp, lane) = (usize::from(granule.writer >> 5), granule.writer & 31);
            let waits = granule.fenced == 0 && warp == by.warp;
            let fenced = waits && mask >> lane & 1 == 1;
            if fenced {
                granule.fenced = by.now;
            }
            waits && !fenced
        });
    }

    /// Whether the last write of a granule is seen by a product of the observer.
    pub fn is_seen(&self, by: &Observer<'_>, at: usize) -> bool {
        let Granule { writer, fenced, .. } = self.granules[at];
        fenced != 0 && by.has_met(usize::from(writer >> 5), usize::from(writer & 31), fenced)
    }

    /// Records that a product starts to read a granule.
    pub fn hold(&mut self, at: usize) {
        self.granules[at].held += 1;
        self.held += 1;
    }

    /// Records that a product has read a granule.
    pub fn release(&mut self, at: usize) {
        self.granules[at].held -= 1;
        self.held -= 1;
    }

    pub fn is_held(&self, at: usize) -> bool {
        self.granules[at].held != 0
    }

    /// The granules that are held.
    pub fn all_held(&self) -> impl Iterator<Item = usize> {
        let granules = if self.held == 0 { &[][..] } else { &self.granules };
        granules.iter().enumerate().filter(|(_, granule)| granule.held != 0).map(|(at, _)| at)
    }
}
