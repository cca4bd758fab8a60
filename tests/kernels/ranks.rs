//! Seeds at the greatest logits.

use fluoroscope::graph::{Constant, Precision};
use fluoroscope::program::{Element, Kernel, Per};

use crate::bench::Bench;
use crate::cases::{Case, case};
use crate::oracle::Array;

pub fn ranks(cases: &mut Vec<Case>) {
    for classes in [1, 2, 7, 255, 257, 1001] {
        cases.push(case(format!("rank_seeds: {classes} classes"), move |b| rank(b, classes)));
    }
}

/// Logits in turn: zeros of both signs and else negative ones; equal ones in fours, of which a run of four lanes has the last or the
/// first three; the greatest in the last classes.
fn logit(image: usize, classes: usize, class: usize) -> f64 {
    let quarter = |i: usize| (i % 8) as f64 / 4.0;
    match image % 3 {
        0 if class.is_multiple_of(3) => [-0.0, 0.0][class / 3 % 2],
        0 => -0.25 - quarter(class),
        1 => quarter(class.div_ceil(4) * 5 + 1) - 1.0,
        _ => -quarter(classes - 1 - class),
    }
}

fn rank(b: &mut Bench, classes: usize) {
    let images = b.count(Per::Image);
    let logits = Array::from_fn(images, [classes, 1, 1], |[image, class, ..]| logit(image, classes, class));
    let view = b.given(Per::Image, Element::Float, logits.clone());
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
