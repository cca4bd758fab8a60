//! Results out. Every file appears whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use image::RgbImage;
use npyz::WriterBuilder;

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
    let shape: Vec<u64> = tensor.shape.iter().map(|&n| n as u64).collect();
    atomically(path, |file| {
        let options = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file);
        let mut writer = options.begin_nd()?;
        writer.extend(tensor.data.iter().copied())?;
        writer.finish()
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
        for value in tensors.values().flat_map(|t| &t.data) {
            file.write_all(&value.to_le_bytes())?;
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
