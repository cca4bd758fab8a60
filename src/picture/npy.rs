//! NumPy files in: float32, C order, finite.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use npyz::{DType, NpyFile, Order};

use super::PictureError;
use crate::tensor::{Tensor, first_not_finite};

/// A model input that is preprocessed already: `[C, H, W]` or `[N, C, H, W]`.
///
/// # Errors
/// As [`read_array`], and any other rank.
pub fn read_npy(path: &Path) -> Result<Tensor, PictureError> {
    let tensor = read_array(path)?;
    check_rank(path, &tensor.shape)?;
    Ok(tensor)
}

/// The height and width of a model input; `None` where the file is not one.
pub fn npy_size(path: &Path) -> Option<[usize; 2]> {
    let npy = NpyFile::new(BufReader::new(File::open(path).ok()?)).ok()?;
    match *npy.shape() {
        [_, height, width] | [_, _, height, width] => Some([height as usize, width as usize]),
        _ => None,
    }
}

/// An array of any rank.
///
/// # Errors
/// A file that cannot be read, is cut short, has another type than float32 or Fortran order, or holds NaN or infinity.
pub fn read_array(path: &Path) -> Result<Tensor, PictureError> {
    let (mut values, shape) = open(path)?;
    let data = values.read(shape.iter().product()).map_err(|e| cut_short(path, &e))?;
    check_finite(path, &data, 0, &shape)?;
    Ok(Tensor { shape, data })
}

/// The numbers of a file, of which some may be read already.
struct Values {
    file: BufReader<File>,
    big_endian: bool,
}

impl Values {
    fn read(&mut self, count: usize) -> Result<Vec<f32>, std::io::Error> {
        let mut bytes = vec![0; 4 * count];
        self.file.read_exact(&mut bytes)?;
        let value = if self.big_endian { f32::from_be_bytes } else { f32::from_le_bytes };
        Ok(bytes.as_chunks().0.iter().copied().map(value).collect())
    }
}

/// The images of a model input, one after the other, so that no more than one is held.
pub struct NpyImages {
    path: PathBuf,
    /// `[C, H, W]` or `[N, C, H, W]`.
    pub shape: Vec<usize>,
    values: Values,
    /// Values that are read already.
    at: usize,
}

impl NpyImages {
    /// # Errors
    /// As [`read_npy`], but for what is wrong with the values, which is found as they are read.
    pub fn open(path: &Path) -> Result<Self, PictureError> {
        let (values, shape) = open(path)?;
        check_rank(path, &shape)?;
        Ok(Self { path: path.to_owned(), shape, values, at: 0 })
    }

    /// Values of one image.
    fn len(&self) -> usize {
        self.shape[self.shape.len() - 3..].iter().product()
    }
}

impl Iterator for NpyImages {
    type Item = Result<Vec<f32>, PictureError>;

    fn next(&mut self) -> Option<Self::Item> {
        let len = self.len();
        if self.at >= self.shape.iter().product() {
            return None;
        }
        let values = self.values.read(len).map_err(|e| cut_short(&self.path, &e)).and_then(|values| {
            check_finite(&self.path, &values, self.at, &self.shape)?;
            Ok(values)
        });
        self.at += len;
        Some(values)
    }
}

/// The file behind its header, and the shape, both checked.
fn open(path: &Path) -> Result<(Values, Vec<usize>), PictureError> {
    let read = |source| PictureError::Read { path: path.to_owned(), source };
    let array = |what: String| PictureError::Array { path: path.to_owned(), what };

    let file = File::open(path).map_err(read)?;
    let bytes = file.metadata().map_err(read)?.len();
    if bytes == 0 {
        return Err(PictureError::Empty { path: path.to_owned() });
    }
    let mut reader = BufReader::new(file);
    // Version 2 headers have a 32-bit length, and memory is asked for before it is found to be wrong.
    if let [0x93, b'N', b'U', b'M', b'P', b'Y', 2..=u8::MAX, _, a, b, c, d, ..] = *reader.fill_buf().map_err(read)?
        && u64::from(u32::from_le_bytes([a, b, c, d])) > bytes
    {
        return Err(array("not a .npy file".into()));
    }
    // The parser's own message runs over several lines.
    let npy = NpyFile::new(reader).map_err(|_| array("not a .npy file".into()))?;
    let dtype = npy.dtype();
    let big_endian = match &dtype {
        DType::Plain(t) if t.to_string() == "<f4" => false,
        DType::Plain(t) if t.to_string() == ">f4" => true,
        _ => return Err(array(format!("values of type {}", dtype.descr()))),
    };
    if npy.order() == Order::Fortran && npy.shape().len() > 1 {
        return Err(array("Fortran order".into()));
    }
    let shape: Vec<usize> = npy.shape().iter().map(|&n| n as usize).collect();
    // Before memory is asked for: a damaged header may claim anything.
    let claimed = npy.shape().iter().try_fold(4u64, |n, &d| n.checked_mul(d));
    if claimed.is_none_or(|n| n > bytes) {
        return Err(array(format!("the header says {shape:?}, the file has {bytes} bytes")));
    }
    Ok((Values { file: npy.into_inner(), big_endian }, shape))
}

fn check_rank(path: &Path, shape: &[usize]) -> Result<(), PictureError> {
    if matches!(shape.len(), 3 | 4) && !shape.contains(&0) {
        return Ok(());
    }
    let what = format!("an input has shape [C, H, W] or [N, C, H, W], this has {shape:?}");
    Err(PictureError::Array { path: path.to_owned(), what })
}

/// `data` is that of an array of `shape` from element `first` on.
fn check_finite(path: &Path, data: &[f32], first: usize, shape: &[usize]) -> Result<(), PictureError> {
    let Some(at) = first_not_finite(data) else { return Ok(()) };
    Err(PictureError::NotFinite { path: path.to_owned(), index: unravel(first + at, shape), value: data[at] })
}

fn cut_short(path: &Path, error: &std::io::Error) -> PictureError {
    PictureError::Array { path: path.to_owned(), what: format!("cut short ({error})") }
}

/// The index along each axis of element `at` in C order.
fn unravel(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (i, &n) in index.iter_mut().zip(shape).rev() {
        (*i, at) = (at % n, at / n);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/picture").join(name)
    }

    #[test]
    fn numpys_float32_is_read_in_either_byte_order() {
        let want = Tensor::new(&[2, 3], vec![0.0, 0.1, -0.2, 1e-30, 3.0, 4.5]);
        for name in ["plain.npy", "big-endian.npy"] {
            assert_eq!(read_array(&fixture(name)).unwrap(), want, "{name}");
        }
        assert_eq!(read_npy(&fixture("imagenet-28.npy")).unwrap().shape, [3, 28, 28]);
    }

    #[test]
    fn images_come_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let mut tensor = Tensor::new(&[3, 1, 2, 2], (0..12).map(|i| i as f32).collect());
        super::super::write_npy(&path, &tensor).unwrap();
        let images: Vec<Vec<f32>> = NpyImages::open(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(images, tensor.data.chunks(4).map(<[f32]>::to_vec).collect::<Vec<_>>());

        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        let mut images = NpyImages::open(&path).unwrap();
        assert!(images.next().unwrap().is_ok() && images.next().unwrap().is_ok());
        assert!(images.next().unwrap().unwrap_err().to_string().contains("cut short"));
        assert!(images.next().is_none());

        tensor.data[6] = f32::NAN;
        super::super::write_npy(&path, &tensor).unwrap();
        let message = NpyImages::open(&path).unwrap().nth(1).unwrap().unwrap_err().to_string();
        assert!(message.contains("value NaN at index [1, 0, 1, 0]"), "{message}");
    }

    #[test]
    fn other_files_say_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let whole = std::fs::read(fixture("plain.npy")).unwrap();
        // The same header, claiming 9e9 rows; its length must stay.
        let at = whole.windows(6).position(|w| w == b"(2, 3)").unwrap();
        let mut boastful = whole.clone();
        boastful.splice(at..at + 6, *b"(9000000000, 3)");
        boastful.drain(118..127);
        let endless = b"\x93NUMPY\x02\0\xf0\xff\xff\xff{";
        let made: [(&str, &[u8]); 5] = [
            ("endless.npy", endless),
            ("empty.npy", b""),
            ("text.npy", b"hello"),
            ("cut.npy", &whole[..whole.len() - 3]),
            ("boastful.npy", &boastful),
        ];
        for (name, bytes) in made {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let cases = [
            (fixture("double.npy"), "values of type '<f8'"),
            (fixture("fortran.npy"), "Fortran order"),
            (fixture("not-finite.npy"), "value inf at index [0, 1, 0]"),
            (fixture("plain.npy"), "this has [2, 3]"),
            (folder.path().join("empty.npy"), "empty (0 bytes)"),
            (folder.path().join("text.npy"), "not a .npy file"),
            (folder.path().join("endless.npy"), "not a .npy file"),
            (folder.path().join("cut.npy"), "cut short"),
            (folder.path().join("boastful.npy"), "the header says [9000000000, 3]"),
            (folder.path().join("none.npy"), "cannot read"),
        ];
        for (path, want) in cases {
            let message = read_npy(&path).unwrap_err().to_string();
            // What is wrong with values is found as they are read.
            if !["value inf", "cut short"].iter().any(|fault| message.contains(fault)) {
                assert_eq!(NpyImages::open(&path).err().map(|e| e.to_string()), Some(message.clone()));
            }
            let name = path.file_name().unwrap().to_string_lossy();
            assert!(message.contains(want) && message.contains(&*name), "{message}");
        }
    }
}
