//! Where a map is evaluated: the nodes of a path integral, and noise that does not depend on batching.

/// Nodes and weights of Gauss-Legendre quadrature on (0, 1), by Newton's method on the Legendre polynomial.
pub fn gauss_legendre(count: usize) -> Vec<(f64, f64)> {
    let mut rule = Vec::with_capacity(count);
    for i in 0..count {
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (count as f64 + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (value, derivative) = legendre(count, x);
            slope = derivative;
            let step = value / derivative;
            x -= step;
            if step.abs() < 1e-16 {
                slope = legendre(count, x).1;
                break;
            }
        }
        // From (-1, 1), where the weight is 2 / ((1 - x^2) P'(x)^2), to (0, 1).
        rule.push((0.5 * (1.0 - x), 1.0 / ((1.0 - x * x) * slope * slope)));
    }
    rule
}

/// `P_n(x)` and its derivative.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for k in 2..=n {
        let k = k as f64;
        (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
    }
    (value, n as f64 * (x * value - before) / (x * x - 1.0))
}

/// Standard normal values, a function of (seed, image, sample, element) alone.
pub struct Noise {
    key: u64,
}

impl Noise {
    pub fn new(seed: u64, image: u64, sample: u64) -> Self {
        Self { key: mix(mix(mix(seed) ^ image) ^ sample) }
    }

    /// Box-Muller on two counters.
    pub fn normal(&self, element: u64) -> f64 {
        let uniform = |i: u64| ((mix(self.key ^ mix(i)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let (u, v) = (uniform(2 * element), uniform(2 * element + 1));
        (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }
}

/// SplitMix64's finaliser.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quadrature_is_exact_to_its_degree() {
        for count in [1, 2, 7, 32, 50] {
            let rule = gauss_legendre(count);
            for degree in 0..2 * count {
                let integral: f64 = rule.iter().map(|(x, w)| w * x.powi(degree as i32)).sum();
                assert!((integral - 1.0 / (degree as f64 + 1.0)).abs() < 1e-13, "{count} nodes, degree {degree}");
            }
        }
    }

    #[test]
    fn noise_is_standard_normal_and_keyed() {
        let noise = Noise::new(1, 2, 3);
        let values: Vec<f64> = (0..100_000).map(|i| noise.normal(i)).collect();
        let mean = values.iter().sum::<f64>() / 1e5;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "mean {mean}, variance {variance}");
        assert!(Noise::new(1, 2, 4).normal(0) != noise.normal(0));
    }
}
