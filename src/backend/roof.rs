//! What a device can do at most, and how near a step comes to it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::graph::Precision;
use crate::program::{Program, Step};

/// The limits of a kernel, measured on the device itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Roof {
    /// Fused multiply-adds of f32 in registers, two operations each, all of the device.
    pub gflops: f64,
    /// A large copy, bytes read plus bytes written.
    pub gbytes: f64,
    /// Products in the matrix units, summed in f32, by the type of their factors: `tf32`, `f16`, `bf16`. Empty where
    /// there are none, and on the CPU.
    pub matrix_gflops: BTreeMap<&'static str, f64>,
}

impl Roof {
    /// Products of values stored so, by multiply-adds of f32, or by the matrix units where these are faster: those of a
    /// half's own type, or three of tf32 for each of f32. An f64, which only the CPU has, takes two lanes of a vector.
    pub fn gflops_of(&self, stored: Precision) -> f64 {
        let by_units = |of| self.matrix_gflops.get(of).copied().unwrap_or(0.0);
        match stored {
            Precision::F64 => self.gflops / 2.0,
            Precision::F32 => self.gflops.max(by_units("tf32") / 3.0),
            Precision::F16 => self.gflops.max(by_units("f16")),
            Precision::Bf16 => self.gflops.max(by_units("bf16")),
        }
    }

    /// The least seconds that so much work with values stored so can take.
    pub fn seconds(&self, stored: Precision, flops: f64, bytes: f64) -> f64 {
        (flops / self.gflops_of(stored) / 1e9).max(bytes / self.gbytes / 1e9)
    }
}

impl fmt::Display for Roof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "roof {:.0} GFLOP/s", self.gflops)?;
        for (of, gflops) in &self.matrix_gflops {
            write!(f, ", {gflops:.0} by {of} matrix units")?;
        }
        write!(f, ", {:.1} GB/s", self.gbytes)
    }
}

/// How fast a step is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    pub microseconds: f64,
    /// Zero for steps that multiply nothing.
    pub gflops: f64,
    pub gbytes: f64,
    /// Where the roof is known.
    pub percent_of_roof: Option<f64>,
}

impl Rate {
    /// That of a step whose values are stored so and which took so many seconds.
    pub fn of(program: &Program, step: &Step, stored: Precision, seconds: f64, roof: Option<&Roof>) -> Self {
        let flops = program.flops(step) as f64;
        let bytes = program.traffic(step, stored.arithmetic().bytes()) as f64;
        Self {
            microseconds: 1e6 * seconds,
            gflops: flops / seconds / 1e9,
            gbytes: bytes / seconds / 1e9,
            percent_of_roof: roof.map(|roof| 100.0 * roof.seconds(stored, flops, bytes) / seconds),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} us", self.microseconds)?;
        if self.gflops > 0.0 {
            write!(f, ", {:.2} GFLOP/s", self.gflops)?;
        }
        write!(f, ", {:.2} GB/s", self.gbytes)?;
        self.percent_of_roof.map_or(Ok(()), |percent| write!(f, ", {percent:.0}% of the roof"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_go_the_faster_way() {
        let roof = |matrix: &[(&'static str, f64)]| Roof {
            gflops: 60.0,
            gbytes: 4.0,
            matrix_gflops: matrix.iter().copied().collect(),
        };
        let units = roof(&[("tf32", 300.0), ("f16", 800.0), ("bf16", 700.0)]);
        let of_all = [Precision::F64, Precision::F32, Precision::F16, Precision::Bf16];
        assert_eq!(of_all.map(|stored| units.gflops_of(stored)), [30.0, 100.0, 800.0, 700.0]);
        assert_eq!(of_all.map(|stored| roof(&[("tf32", 90.0)]).gflops_of(stored)), [30.0, 60.0, 60.0, 60.0]);
        assert_eq!(of_all.map(|stored| roof(&[]).gflops_of(stored)), [30.0, 60.0, 60.0, 60.0]);
        // 1 s of products in f32, 2 s of copying.
        assert_eq!(units.seconds(Precision::F32, 1e11, 8e9), 2.0);
        let text =
            "roof 60 GFLOP/s, 700 by bf16 matrix units, 800 by f16 matrix units, 300 by tf32 matrix units, 4.0 GB/s";
        assert_eq!(units.to_string(), text);
    }

    #[test]
    fn a_rate_says_what_there_is_to_say() {
        let copy = Rate { microseconds: 12.34, gflops: 0.0, gbytes: 5.678, percent_of_roof: None };
        assert_eq!(copy.to_string(), "12.3 us, 5.68 GB/s");
        let product = Rate { gflops: 9.876, percent_of_roof: Some(45.6), ..copy };
        assert_eq!(product.to_string(), "12.3 us, 9.88 GFLOP/s, 5.68 GB/s, 46% of the roof");
    }
}
