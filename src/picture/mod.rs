//! From image files to model inputs, and from maps back to pictures.

mod bar;
pub mod card;
pub mod colour;
pub mod decode;
pub mod files;
mod levels;
pub mod npy;
pub mod overlay;
pub mod preprocess;
pub mod reduce;
mod resize;
mod section;
pub mod sheet;
mod text;

use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;

pub use card::Card;
pub use colour::{Colormap, Extent, Palette, Scale};
pub use files::{write_npy, write_png, write_safetensors};
pub use levels::Levels;
pub use npy::{NpyImages, npy_size, read_array, read_npy};
pub use overlay::{Caption, Paint, overlay, spread};
pub use preprocess::{Placement, Preprocess};
pub use reduce::{Reduce, gaussian_smooth, reduce};
pub use sheet::{Panel, sheet, stacked};

/// A decoded picture: values in `0..=1`, row-major, channels interleaved (`[height, width, channels]`).
///
/// 8-bit files give `v / 255`, 16-bit files `v / 65535` unless another level is white, so nothing is lost on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    pub levels: Levels,
}

impl Picture {
    /// The pixel at column `x`, row `y`: one value per channel.
    pub fn pixel(&self, x: usize, y: usize) -> Cow<'_, [f32]> {
        let at = (y * self.width + x) * self.channels;
        self.levels.part(at..at + self.channels)
    }

    /// The picture as grey, with the luma weights of ITU-R 601 (those of Pillow's `convert("L")`).
    pub fn to_grey(&self) -> Cow<'_, Picture> {
        if self.channels == 1 {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Picture { channels: 1, levels: levels::luma(&self.levels), ..*self })
    }

    /// The picture as RGB; grey is repeated.
    pub fn to_rgb(&self) -> Cow<'_, Picture> {
        if self.channels == 3 {
            return Cow::Borrowed(self);
        }
        let levels = match &self.levels {
            Levels::Eight(levels) => Levels::Eight(repeated(levels)),
            Levels::Fine(values) => Levels::Fine(repeated(values)),
        };
        Cow::Owned(Picture { channels: 3, levels, ..*self })
    }

    /// The `width` x `height` rectangle whose top left pixel is (`x`, `y`); it must lie inside the picture.
    fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Cow<'_, Picture> {
        if [width, height] == [self.width, self.height] {
            return Cow::Borrowed(self);
        }
        let (pitch, columns) = (self.width * self.channels, x * self.channels..(x + width) * self.channels);
        let levels = match &self.levels {
            Levels::Eight(levels) => Levels::Eight(cut(levels, pitch, y..y + height, columns)),
            Levels::Fine(values) => Levels::Fine(cut(values, pitch, y..y + height, columns)),
        };
        Cow::Owned(Picture { width, height, levels, ..*self })
    }

    /// 8-bit RGB, rounded to nearest.
    pub(crate) fn to_image(&self) -> image::RgbImage {
        let levels = match &self.levels {
            Levels::Eight(levels) => Cow::Borrowed(levels),
            Levels::Fine(values) => Cow::Owned(values.iter().copied().map(levels::level).collect()),
        };
        let bytes = if self.channels == 1 { repeated(&levels) } else { levels.into_owned() };
        image::RgbImage::from_raw(self.width as u32, self.height as u32, bytes).expect("width x height x 3 bytes")
    }
}

/// Every value three times.
fn repeated<T: Copy>(values: &[T]) -> Vec<T> {
    values.iter().map(|v| [*v; 3]).collect::<Vec<_>>().into_flattened()
}

/// Some columns of some rows of `pitch` values.
fn cut<T: Copy>(values: &[T], pitch: usize, rows: Range<usize>, columns: Range<usize>) -> Vec<T> {
    let rows = &values[rows.start * pitch..rows.end * pitch];
    let mut data = Vec::with_capacity(rows.len() / pitch * columns.len());
    rows.chunks_exact(pitch).for_each(|row| data.extend_from_slice(&row[columns.clone()]));
    data
}

/// What can go wrong between a file and a model input, or between a map and a picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    #[error("{}: cannot read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: cannot write: {source}; is the folder there, and writable?", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{}: the file is empty (0 bytes)", path.display())]
    Empty { path: PathBuf },
    #[error("{}: not a PNG, JPEG, TIFF or WebP picture; {hint}", path.display())]
    Format { path: PathBuf, hint: &'static str },
    #[error(
        "{}: {width} x {height} pixels are too many; up to {} x {} and {} MiB decoded are read: scale it down first",
        path.display(), decode::MAX_SIDE, decode::MAX_SIDE, decode::MAX_BYTES >> 20
    )]
    TooLarge { path: PathBuf, width: u32, height: u32 },
    #[error("{}: cannot decode: {reason}", path.display())]
    Decode { path: PathBuf, reason: String },
    #[error(
        "{}: float values run from {low} to {high}, expected 0 to 1; rescale the file, or give the model input as .npy",
        path.display()
    )]
    Values { path: PathBuf, low: f32, high: f32 },
    #[error("{}: {what}; wanted a C-order float32 array: numpy.save(path, numpy.ascontiguousarray(a, 'float32'))", path.display())]
    Array { path: PathBuf, what: String },
    #[error("{}: value {value} at index {index:?}; only finite numbers can be explained", path.display())]
    NotFinite { path: PathBuf, index: Vec<usize>, value: f32 },
    #[error("{}: {what}", path.display())]
    Card { path: PathBuf, what: String },
    #[error("preprocess: {what}")]
    Preprocess { what: String },
    #[error("preprocess {name:?} is unknown; there are {}{}", known.join(", "), did_you_mean(nearest))]
    Preset { name: String, known: Vec<&'static str>, nearest: Option<String> },
    #[error("colour map {name:?} is unknown; there are {}{}", known.join(", "), did_you_mean(nearest))]
    Colormap { name: String, known: Vec<&'static str>, nearest: Option<String> },
    #[error("smoothing by {sigma} pixels is not possible; give a finite number, 0 or more")]
    Sigma { sigma: f32 },
    #[error("{what}: expected shape {want}, got {got:?}")]
    Shape { what: &'static str, want: &'static str, got: Vec<usize> },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or(String::new(), |name| format!("; did you mean {name}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crop_takes_the_rectangle() {
        let cut = |levels, [x, y, width, height]: [usize; 4]| {
            Picture { width: 3, height: 2, channels: 1, levels }.crop(x, y, width, height).into_owned().levels
        };
        let fine = Levels::Fine(vec![0.0, 0.1, 0.2, 0.3, 0.4, 0.5]);
        assert_eq!(cut(fine, [1, 0, 2, 2]), Levels::Fine(vec![0.1, 0.2, 0.4, 0.5]));
        assert_eq!(cut(Levels::Eight(vec![0, 1, 2, 3, 4, 5]), [2, 1, 1, 1]), Levels::Eight(vec![5]));
    }
}
