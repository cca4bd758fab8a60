//! NumPy files in: float32, C order, finite.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};
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
    let array = Array::open(path)?;
    let data = array.read(0, array.shape.iter().product())?;
    Ok(Tensor { shape: array.shape, data })
}

/// A file of numbers behind its header.
struct Array {
    path: PathBuf,
    file: File,
    shape: Vec<usize>,
    big_endian: bool,
    /// Bytes before the first number.
    header: u64,
}

impl Array {
    /// Some numbers, all finite, from the `first` on.
    fn read(&self, first: usize, count: usize) -> Result<Vec<f32>, PictureError> {
        let mut values = vec![0.0f32; count];
        let at = self.header + 4 * first as u64;
        read_at(&self.file, bytemuck::cast_slice_mut(&mut values), at).map_err(|e| cut_short(&self.path, &e))?;
        if self.big_endian != cfg!(target_endian = "big") {
            values.iter_mut().for_each(|v| *v = f32::from_bits(v.to_bits().swap_bytes()));
        }
        match first_not_finite(&values) {
            None => Ok(values),
            Some(at) => {
                let index = unravel(first + at, &self.shape);
                Err(PictureError::NotFinite { path: self.path.clone(), index, value: values[at] })
            }
        }
    }
}

/// Fills `bytes` with those of a file from `at` on. Any number of threads may do so at a time.
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, bytes, at);
    #[cfg(windows)]
    {
        let mut done = 0;
        while done < bytes.len() {
            match std::os::windows::fs::FileExt::seek_read(file, &mut bytes[done..], at + done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(())
    }
    #[cfg(not(any(unix, windows)))]
    {
        let mut file = file;
        io::Seek::seek(&mut file, io::SeekFrom::Start(at))?;
        io::Read::read_exact(&mut file, bytes)
    }
}

/// The images of a model input, read one by one, by any number of threads at a time.
pub struct NpyImages(Array);

impl NpyImages {
    /// # Errors
    /// As [`read_npy`], but for what is wrong with the values, which is found as they are read.
    pub fn open(path: &Path) -> Result<Self, PictureError> {
        let array = Array::open(path)?;
        check_rank(path, &array.shape)?;
        Ok(Self(array))
    }

    /// `[C, H, W]` or `[N, C, H, W]`.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// Values of one image, `[C, H, W]`.
    ///
    /// # Errors
    /// A file that is cut short, or NaN or infinity among the values.
    ///
    /// # Panics
    /// Where there is no such image.
    pub fn read(&self, image: usize) -> Result<Vec<f32>, PictureError> {
        let (several, of_one) = self.shape().split_at(self.shape().len() - 3);
        assert!(image < several.iter().product(), "image {image} of {several:?}");
        let len = of_one.iter().product::<usize>();
        self.0.read(image * len, len)
    }
}

impl Array {
    /// The file behind its header, and the shape, both checked.
    fn open(path: &Path) -> Result<Self, PictureError> {
        let read = |source| PictureError::Read { path: path.to_owned(), source };
        let array = |what: String| PictureError::Array { path: path.to_owned(), what };

        let file = File::open(path).map_err(read)?;
        let bytes = file.metadata().map_err(read)?.len();
        if bytes == 0 {
            return Err(PictureError::Empty { path: path.to_owned() });
        }
        let mut reader = BufReader::new(file);
        // Version 2 headers have a 32-bit length, and memory is asked for before it is found to be wrong.
        if let [0x93, b'N', b'U', b'M', b'P', b'Y', 2..=u8::MAX, _, a, b, c, d, ..] =
            *reader.fill_buf().map_err(read)?
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
        let mut reader = npy.into_inner();
        let header = reader.stream_position().map_err(read)?;
        Ok(Self { path: path.to_owned(), file: reader.into_inner(), shape, big_endian, header })
    }
}

fn check_rank(path: &Path, shape: &[usize]) -> Result<(), PictureError> {
    if matches!(shape.len(), 3 | 4) && !shape.contains(&0) {
        return Ok(());
    }
    let what = format!("an input has shape [C, H, W] or [N, C, H, W], this has {shape:?}");
    Err(PictureError::Array { path: path.to_owned(), what })
}

fn cut_short(path: &Path, error: &io::Error) -> PictureError {
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
        let images = NpyImages::open(&path).unwrap();
        for image in [2, 0, 1] {
            assert_eq!(images.read(image).unwrap(), tensor.data[4 * image..][..4]);
        }

        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        let images = NpyImages::open(&path).unwrap();
        assert!(images.read(0).is_ok() && images.read(1).is_ok());
        assert!(images.read(2).unwrap_err().to_string().contains("cut short"));

        tensor.data[6] = f32::NAN;
        super::super::write_npy(&path, &tensor).unwrap();
        let message = NpyImages::open(&path).unwrap().read(1).unwrap_err().to_string();
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
