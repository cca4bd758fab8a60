//! What a device can do at most.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::graph::Precision;

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
    }
}
