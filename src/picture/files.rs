//! Results out. Every file appears whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use image::RgbImage;
use npyz::{AutoSerialize, WriterBuilder};

use super::PictureError;
use crate::tensor::Tensor;

/// Writes an 8-bit RGB PNG with text chunks for `metadata` (key and value; keys of 1 to 79 Latin-1 characters).
///
/// # Errors
/// Names the path; nothing is left behind.
pub fn write_png(path: &Path, image: &RgbImage, metadata: &[(&str, &str)]) -> Result<(), PictureError> {
    atomically(path, |file| {
        let mut encoder = png::Encoder::new(file, image.width(), image.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        // A tenth of the time that the third level of zlib takes, for two percent more bytes of a photo under a map.
        encoder.set_deflate_compression(png::DeflateCompression::FdeflateUltraFast);
        encoder.set_filter(png::Filter::Adaptive);
        for (key, value) in metadata {
            // tEXt holds Latin-1 only; other text goes into the UTF-8 kind.
            if value.chars().all(|c| (c as u32) < 256 && c != '\0') {
                encoder.add_text_chunk((*key).to_owned(), (*value).to_owned())?;
            } else {
                encoder.add_itxt_chunk((*key).to_owned(), (*value).to_owned())?;
            }
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(image.as_raw())?;
        Ok(writer.finish()?)
    })
}

/// Writes a float32 array in C order.
///
/// # Errors
/// Names the path; nothing is left behind.
pub fn write_npy(path: &Path, tensor: &Tensor) -> Result<(), PictureError> {
    write_npy_parts(path, &tensor.shape, &[&tensor.data])
}

/// The same for an array whose values lie in several places.
pub(crate) fn write_npy_parts(path: &Path, shape: &[usize], parts: &[&[f32]]) -> Result<(), PictureError> {
    let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    // The type in this machine's byte order.
    let dtype = f32::default_dtype();
    atomically(path, |file| {
        npyz::WriteOptions::new_header_only().dtype(dtype).shape(&shape).writer(&mut *file).write_header_only()?;
        parts.iter().try_for_each(|part| file.write_all(bytemuck::cast_slice(part)))
    })
}

/// Writes named float32 tensors and text metadata.
///
/// The bytes depend on the content only, so equal results are equal files; that is why the header (a length, JSON,
/// spaces up to a multiple of 8) is written here and not by the crate, which orders metadata at random.
///
/// # Errors
/// Names the path; nothing is left behind.
pub fn write_safetensors(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), PictureError> {
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), serde_json::json!(metadata));
    }
    let mut end = 0;
    for (name, tensor) in tensors {
        let start = end;
        end += 4 * tensor.data.len();
        let about = serde_json::json!({ "dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end] });
        header.insert(name.clone(), about);
    }
    let mut header = serde_json::Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    atomically(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for tensor in tensors.values() {
            let bytes: Vec<u8> = tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect();
            file.write_all(&bytes)?;
        }
        Ok(())
    })
}

/// Writes beside `path` and renames, so that readers never see half a file.
pub(crate) fn atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), PictureError> {
    let unfinished = Unfinished(beside(path));
    let attempt = || {
        let mut file = BufWriter::new(File::create_new(&unfinished.0)?);
        write(&mut file)?;
        file.flush()?;
        drop(file);
        fs::rename(&unfinished.0, path)
    };
    attempt().map_err(|source| PictureError::Write { path: path.to_owned(), source })
}

/// A name in the same folder that no other writer uses.
fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".fluoroscope-{}-{n}.part", std::process::id()))
}

/// Removes the file when writing stopped half-way; after the rename there is nothing to remove.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::read_array;

    fn names_in(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn arrays_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        for shape in [&[1][..], &[7, 1], &[2, 3, 5], &[1, 1, 2, 2], &[0, 3]] {
            let n = shape.iter().product::<usize>();
            let tensor = Tensor::new(shape, (0..n).map(|i| i as f32 * 0.1 - 1e-30).collect());
            write_npy(&path, &tensor).unwrap();
            assert_eq!(read_array(&path).unwrap(), tensor);
        }
        assert_eq!(names_in(folder.path()), ["a.npy"]);
    }

    #[test]
    fn bytes_are_those_of_numpy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write_npy(&path, &Tensor::new(&[2, 3], vec![0.0, 0.1, -0.2, 1e-30, 3.0, 4.5])).unwrap();
        let numpy = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/picture/plain.npy");
        let [ours, theirs] = [path, numpy].map(|p: PathBuf| fs::read(p).unwrap());
        // Apart from a comma in the shape, which Python takes either way.
        let header = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..128]).replace([',', ' '], "");
        assert_eq!((header(&ours), &ours[128..]), (header(&theirs), &theirs[128..]));
    }

    #[test]
    fn pngs_carry_their_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let image = RgbImage::from_raw(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
        write_png(&path, &image, &[("Method", "LRP epsilon"), ("Class", "Σ")]).unwrap();
        assert_eq!(image::open(&path).unwrap().to_rgb8(), image);
        let decoder = png::Decoder::new(io::BufReader::new(File::open(&path).unwrap()));
        let reader = decoder.read_info().unwrap();
        let about = reader.info();
        let plain = &about.uncompressed_latin1_text[0];
        assert_eq!((plain.keyword.as_str(), plain.text.as_str()), ("Method", "LRP epsilon"));
        assert_eq!(about.utf8_text[0].get_text().unwrap(), "Σ");
    }

    #[test]
    fn safetensors_are_readable_and_reproducible() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.safetensors", "b.safetensors"].map(|n| folder.path().join(n));
        let tensors = BTreeMap::from([
            ("map".to_owned(), Tensor::new(&[2, 1], vec![0.5, -3.0])),
            ("input".to_owned(), Tensor::new(&[1, 1, 1], vec![7.0])),
        ]);
        let metadata: BTreeMap<String, String> = (0..9).map(|i| (format!("key {i}"), format!("\"{i}\""))).collect();
        for path in &paths {
            write_safetensors(path, &tensors, &metadata).unwrap();
        }
        let bytes = fs::read(&paths[0]).unwrap();
        assert_eq!(bytes, fs::read(&paths[1]).unwrap());
        let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let map = read.tensor("map").unwrap();
        assert_eq!((map.shape(), map.data()), (&[2, 1][..], &[0.5f32, -3.0].map(f32::to_le_bytes).concat()[..]));
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()["key 4"], "\"4\"");
    }

    #[test]
    fn failures_name_the_path_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, "before").unwrap();
        let broken = atomically(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("the disk is full"))
        });
        let message = broken.unwrap_err().to_string();
        assert!(message.contains("a.txt") && message.contains("the disk is full"), "{message}");
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names_in(folder.path()).len()), ("before", 1));

        let missing = folder.path().join("no/such/folder.npy");
        let message = write_npy(&missing, &Tensor::zeros(&[1])).unwrap_err().to_string();
        assert!(message.contains("folder.npy") && message.contains("is the folder there"), "{message}");
    }
}
