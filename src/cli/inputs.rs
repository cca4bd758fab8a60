//! The images in files.

use std::borrow::Cow;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::graph::Shape;
use crate::picture::{Levels, Picture, Placement};

/// One image, ready for the network.
pub struct Image {
    /// Which of the sources it came from.
    pub source: usize,
    /// Its place in an array of several; `None` for pictures and `[C, H, W]` arrays.
    pub index: Option<usize>,
    /// Images of the source.
    pub of: usize,
    /// What the map is drawn over, where one is to be drawn; the values themselves where there is none.
    pub picture: Option<Picture>,
    /// Height and width of what the map is drawn over.
    pub size: [usize; 2],
    pub placement: Placement,
    /// The brightest level of a file with 16 bits.
    pub brightest: Option<u16>,
    /// `[C, H, W]`, in the network's input space.
    pub values: Arc<Vec<f32>>,
}

impl Image {
    /// What the map is drawn over.
    pub fn shown(&self, shape: Shape) -> Cow<'_, Picture> {
        self.picture.as_ref().map_or_else(|| Cow::Owned(as_picture(&self.values, shape)), Cow::Borrowed)
    }

    /// Lets go of what nobody asks for once the image is explained.
    pub fn release(&mut self, is_drawn: bool) {
        if !is_drawn || self.picture.is_some() {
            self.values = Arc::default();
        }
    }

    /// The file that it came from, and its place there if it is one of several.
    pub fn called(&self, file: impl Display) -> String {
        self.index.map_or_else(|| file.to_string(), |index| format!("{file}, image {index}"))
    }
}

pub fn is_array(path: &Path) -> bool {
    has_extension(path, &["npy"])
}

pub fn has_extension(path: &Path, wanted: &[&str]) -> bool {
    path.extension().is_some_and(|e| wanted.iter().any(|w| e.eq_ignore_ascii_case(w)))
}

/// Some file is a picture, so preprocessing matters.
pub fn any_picture(files: &[PathBuf]) -> bool {
    files.iter().any(|file| !is_array(file))
}

/// A network input to look at: RGB of three channels, else the mean in grey, from the smallest value to the largest.
fn as_picture(values: &[f32], shape: Shape) -> Picture {
    let area = shape.area();
    let channels = if shape.channels == 3 { 3 } else { 1 };
    let shown = |i: usize| match channels {
        3 => values[i % 3 * area + i / 3],
        _ => values.iter().skip(i).step_by(area).sum::<f32>() / shape.channels as f32,
    };
    let data: Vec<f32> = (0..channels * area).map(shown).collect();
    let ends = |(low, high): (f32, f32), v: &f32| (low.min(*v), high.max(*v));
    let (low, high) = data.iter().fold((f32::INFINITY, f32::NEG_INFINITY), ends);
    let width = if high > low { high - low } else { 1.0 };
    let levels = Levels::Fine(data.into_iter().map(|v| (v - low) / width).collect());
    Picture { width: shape.width, height: shape.height, channels, levels }
}
