//! What a device can do at most.

use std::collections::BTreeMap;

use serde::Serialize;

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
    /// Products of f32 by multiply-adds, or by the matrix units, as three of tf32 each, where these are faster.
    pub fn f32_gflops(&self) -> f64 {
        self.matrix_gflops.get("tf32").map_or(self.gflops, |tf32| self.gflops.max(tf32 / 3.0))
    }

    /// The least seconds that so much work in f32 can take.
    pub fn seconds(&self, flops: f64, bytes: f64) -> f64 {
        (flops / self.f32_gflops() / 1e9).max(bytes / self.gbytes / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_f32_go_the_faster_way() {
        let roof = |tf32: &[f64]| Roof {
            gflops: 60.0,
            gbytes: 4.0,
            matrix_gflops: tf32.iter().map(|gflops| ("tf32", *gflops)).collect(),
        };
        assert_eq!([&[][..], &[90.0], &[300.0]].map(|tf32| roof(tf32).f32_gflops()), [60.0, 60.0, 100.0]);
        // 1 s of products, 2 s of copying.
        assert_eq!(roof(&[300.0]).seconds(1e11, 8e9), 2.0);
    }
}
