//! What the tiles of convolutions cost the memories, after their results are checked.

use fluoroscope::backend::gpu::{Chip, MatrixUnits};
use fluoroscope::program::ConvParams;

use crate::bench::Setting;
use crate::convolutions::{Geometry, convolution};
use crate::sim::Simulator;
use crate::{GROUPS, MANY_GROUPS, MANY_UNITS, UNITS};

/// Layers as networks have them, on small maps.
fn layers() -> Vec<Geometry> {
    let plain = ConvParams { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pads: [1; 4], groups: 1 };
    let point = ConvParams { kernel: [1, 1], pads: [0; 4], ..plain };
    let g = Geometry::new;
    vec![
        g("64 to 64, 3x3", [64, 14, 14], 64, plain),
        g("128 to 32, 3x3", [128, 14, 14], 32, plain),
        g("128 to 128, 3x3, stride 2", [128, 14, 14], 128, ConvParams { stride: [2, 2], ..plain }),
        g("256 to 64, 1x1", [256, 14, 14], 64, point),
        g("512 to 1000, dense", [512, 1, 1], 1000, point),
        g("128 to 128, 3x3, 4 groups", [128, 14, 14], 128, ConvParams { groups: 4, ..plain }),
        g("stem", [3, 42, 42], 64, ConvParams { kernel: [7, 7], stride: [2, 2], pads: [3; 4], ..plain }),
    ]
}

#[test]
fn tiles_meet_no_bank_twice_and_fetch_no_sector_in_vain() {
    let setting = Setting { images: 2, references: 1, messages: 1, nested: false };
    println!("{:<60} instructions a product, sectors of ideal, shared cycles of ideal", "");
    for case in layers().into_iter().flat_map(|layer| convolution(layer).into_iter().take(2)) {
        let bench = case.bench(setting);
        for chip in [Chip::default(), UNITS, MANY_UNITS, GROUPS, MANY_GROUPS] {
            let simulator = Simulator::of(chip);
            let outputs = bench.try_run(&simulator, &bench.inputs).unwrap_or_else(|e| panic!("{}: {e}", case.name));
            assert_eq!(bench.check(&outputs, 2e-5, true), [""; 0], "{}", case.name);
            for (stem, total, products) in simulator.traffic() {
                let ratio = |a: u64, b: u64| a as f64 / b.max(1) as f64;
                let instructions = ratio(total.executed, products);
                let sectors = ratio(total.sectors, total.ideal_sectors);
                let cycles = ratio(total.shared_waves, total.ideal_shared_waves);
                println!("{:<38} {:<21} {instructions:.2} {sectors:.2} {cycles:.2}", &case.name[7..], stem);
                if [".tile", ".slim", ".groups", ".mma", ".wgmma"].iter().any(|ending| stem.ends_with(ending)) {
                    assert_eq!(total.shared_waves, total.ideal_shared_waves, "{}", case.name);
                    assert!(sectors <= 1.05, "{}: {sectors:.3} times the sectors", case.name);
                    // The units' products are none of the lanes'.
                    let bound = if chip.matrix_units > MatrixUnits::None { f64::INFINITY } else { 1.75 };
                    assert!(instructions <= bound, "{}: {instructions:.3} instructions a product", case.name);
                }
            }
        }
    }
}
