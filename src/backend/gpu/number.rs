//! Numbers as the device stores them.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::kernel::Type;

/// The bytes of `values`, rounded to the nearest, ties to even; halves beyond the largest become the largest.
pub fn stored(mut values: Vec<f32>, stored: Type) -> Vec<u8> {
    let largest = match stored {
        Type::F32 => return bytemuck::cast_slice(&values).to_vec(),
        Type::F16 => f16::MAX.to_f32(),
        Type::Bf16 => bf16::MAX.to_f32(),
    };
    values.iter_mut().for_each(|v| *v = v.clamp(-largest, largest));
    match stored {
        Type::F16 => bytemuck::cast_slice(&halves::<f16>(&values)).to_vec(),
        _ => bytemuck::cast_slice(&halves::<bf16>(&values)).to_vec(),
    }
}

fn halves<T: Clone + Default>(values: &[f32]) -> Vec<T>
where
    [T]: HalfFloatSliceExt,
{
    let mut halves = vec![T::default(); values.len()];
    halves.convert_from_f32_slice(values);
    halves
}

/// The upper 11 bits of a number, rounded to the nearest, and what is left of it.
pub fn split(v: f32) -> (f32, f32) {
    let upper = f32::from_bits(v.to_bits().wrapping_add(0x1000) & 0xffff_e000);
    (upper, v - upper)
}

/// The numbers that `bytes` store.
pub fn floats(bytes: &[u8], stored: Type) -> Vec<f32> {
    let words = bytes.chunks_exact(2).map(|word| u16::from_le_bytes([word[0], word[1]]));
    match stored {
        Type::F32 => bytemuck::pod_collect_to_vec(bytes),
        Type::F16 => words.map(|word| f16::from_bits(word).to_f32()).collect(),
        Type::Bf16 => words.map(|word| bf16::from_bits(word).to_f32()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_to_even_and_never_become_infinite() {
        let values = vec![1.0, -0.1, 1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, 1e9, -1e9, 0.0];
        let back = floats(&stored(values.clone(), Type::F16), Type::F16);
        assert_eq!(back, [1.0, -0.099_975_586, 1.0, 1.0 + 4.0 / 2048.0, 65504.0, -65504.0, 0.0]);
        let back = floats(&stored(vec![1.0 + 1.0 / 256.0, 3.4e38, f32::MIN], Type::Bf16), Type::Bf16);
        assert_eq!(back, [1.0, bf16::MAX.to_f32(), bf16::MIN.to_f32()]);
        assert!(floats(&stored(vec![f32::NAN], Type::F16), Type::F16)[0].is_nan(), "not a number stays so");
        assert_eq!(floats(&stored(values.clone(), Type::F32), Type::F32), values);
    }
}
