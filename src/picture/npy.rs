//! NumPy files in: float32, C order, finite.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use npyz::{DType, NpyFile, Order};

use super::PictureError;
use crate::tensor::Tensor;

/// A model input that is preprocessed already: `[C, H, W]` or `[N, C, H, W]`.
///
/// # Errors
/// As [`read_array`], and any other rank.
pub fn read_npy(path: &Path) -> Result<Tensor, PictureError> {
    let tensor = read_array(path)?;
    if !matches!(tensor.shape.len(), 3 | 4) || tensor.data.is_empty() {
        let what = format!("an input has shape [C, H, W] or [N, C, H, W], this has {:?}", tensor.shape);
        return Err(PictureError::Array { path: path.to_owned(), what });
    }
    Ok(tensor)
}

/// An array of any rank.
///
/// # Errors
/// A file that cannot be read, is cut short, has another type than float32 or Fortran order, or holds NaN or infinity.
pub fn read_array(path: &Path) -> Result<Tensor, PictureError> {
    let read = |source| PictureError::Read { path: path.to_owned(), source };
    let array = |what: String| PictureError::Array { path: path.to_owned(), what };

    let file = File::open(path).map_err(read)?;
    let bytes = file.metadata().map_err(read)?.len();
    if bytes == 0 {
        return Err(PictureError::Empty { path: path.to_owned() });
    }
    let npy = NpyFile::new(BufReader::new(file)).map_err(|e| array(format!("not a .npy file ({e})")))?;
    let dtype = npy.dtype();
    if !matches!(&dtype, DType::Plain(t) if ["<f4", ">f4"].contains(&t.to_string().as_str())) {
        return Err(array(format!("values of type {}", dtype.descr())));
    }
    if npy.order() == Order::Fortran && npy.shape().len() > 1 {
        return Err(array("Fortran order".into()));
    }
    let shape: Vec<usize> = npy.shape().iter().map(|&n| n as usize).collect();
    // Before memory is asked for: a damaged header may claim anything.
    let claimed = npy.shape().iter().try_fold(4u64, |n, &d| n.checked_mul(d));
    if claimed.is_none_or(|n| n > bytes) {
        return Err(array(format!("the header says {shape:?}, the file has {bytes} bytes")));
    }
    let data: Vec<f32> = npy.into_vec().map_err(|e| array(format!("cut short ({e})")))?;
    if let Some(at) = data.iter().position(|v| !v.is_finite()) {
        return Err(PictureError::NotFinite { path: path.to_owned(), index: unravel(at, &shape), value: data[at] });
    }
    Ok(Tensor { shape, data })
}

/// The index along each axis of element `at` in C order.
fn unravel(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (i, &n) in index.iter_mut().zip(shape).rev() {
        (*i, at) = (at % n, at / n);
    }
    index
}
