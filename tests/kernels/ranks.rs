//! Seeds at the greatest logits.

use fluoroscope::graph::{Constant, Precision};
use fluoroscope::program::{Element, Kernel, Per};

use crate::bench::Bench;
use crate::cases::{Case, case, quantised};
use crate::oracle::Array;

/// Logits of which many are equal, zeros of both signs among them.
pub fn ranks(cases: &mut Vec<Case>) {
    for classes in [1, 2, 7, 255, 257, 1001] {
        cases.push(case(format!("rank_seeds: {classes} classes"), move |b| rank(b, classes)));
    }
}

fn rank(b: &mut Bench, classes: usize) {
    let (view, logits) = quantised(b, Per::Image, [classes, 1, 1]);
    let seeds = Array::from_fn(b.count(Per::Message), [classes, 1, 1], |[n, c, ..]| {
        let (image, rank) = (b.item(Per::Image, Per::Message, n), n % b.setting.messages);
        let logit = |c: usize| logits.at([image, c, 0, 0]);
        let precedes = |other: &usize| logit(c).total_cmp(&logit(*other)).then(other.cmp(&c)).is_lt();
        f64::from(u8::from((0..classes).filter(precedes).count() == rank))
    });
    let mask = b.channel_weight(&Constant::new(vec![1.0; classes], Precision::F32), classes);
    let out = b.expect(Per::Message, Element::Float, seeds);
    b.step(Kernel::RankSeeds, vec![view], vec![mask], out, vec![]);
}
