//! From paths to images: folders and globs are listed, pictures decoded and preprocessed ahead of the computation.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Display;
use std::iter::once;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use super::failure::Failure;
use crate::graph::Shape;
use crate::picture::{NpyImages, Picture, PictureError, Placement, Preprocess};

const PICTURES: [&str; 6] = ["png", "jpg", "jpeg", "tif", "tiff", "webp"];

/// One image, ready for the network.
pub struct Image {
    /// Which of the sources it came from.
    pub source: usize,
    /// Its place in an array of several; `None` for pictures and `[C, H, W]` arrays.
    pub index: Option<usize>,
    /// Images of the source.
    pub of: usize,
    /// What the map is drawn over; the values themselves where there is none.
    picture: Option<Picture>,
    pub placement: Placement,
    /// `[C, H, W]`, in the network's input space.
    pub values: Vec<f32>,
}

impl Image {
    /// What the map is drawn over.
    pub fn shown(&self, shape: Shape) -> Cow<'_, Picture> {
        self.picture.as_ref().map_or_else(|| Cow::Owned(as_picture(&self.values, shape)), Cow::Borrowed)
    }

    /// Height and width of what the map is drawn over.
    pub fn size(&self, shape: Shape) -> [usize; 2] {
        self.picture.as_ref().map_or([shape.height, shape.width], |picture| [picture.height, picture.width])
    }

    /// Lets go of what nobody asks for once the image is explained.
    pub fn release(&mut self, is_drawn: bool) {
        if !is_drawn || self.picture.is_some() {
            self.values = Vec::new();
        }
    }

    /// The file that it came from, and its place there if it is one of several.
    pub fn called(&self, file: impl Display) -> String {
        self.index.map_or_else(|| file.to_string(), |index| format!("{file}, image {index}"))
    }
}

/// What the loader hands over, in the order of the sources.
pub enum Loaded {
    Image(Box<Image>),
    Failed { source: usize, failure: Failure },
}

/// Images of one source; what follows an error is lost.
type Images = Box<dyn Iterator<Item = Result<Image, Failure>>>;

/// Every file named, each once, and what could not be listed.
pub fn list(named: &[PathBuf]) -> (Vec<PathBuf>, Vec<Failure>) {
    let (mut files, mut failures, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for path in named {
        match expand(path) {
            Ok(found) => {
                let new = |file: &PathBuf| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone()));
                files.extend(found.into_iter().filter(new));
            }
            Err(failure) => failures.push(failure),
        }
    }
    (files, failures)
}

fn expand(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if path.is_dir() {
        return folder(path);
    }
    let text = path.to_string_lossy();
    if path.exists() || !text.contains(['*', '?', '[']) {
        return Ok(vec![path.to_owned()]);
    }
    let matches = glob::glob(&text).map_err(|e| Failure::input(e).about(&text))?;
    let mut found: Vec<PathBuf> = matches.filter_map(Result::ok).filter(|file| is_input(file)).collect();
    found.sort();
    if found.is_empty() {
        return Err(Failure::input(format!("{text}: matches no picture and no .npy file")));
    }
    Ok(found)
}

/// The pictures and arrays directly in a folder, by name.
fn folder(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(path).map_err(|e| Failure::input(e).about(path.display()))?;
    let mut found: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    found.retain(|file| is_input(file));
    found.sort();
    if found.is_empty() {
        let message =
            format!("{}: no picture and no .npy file here; PNG, JPEG, TIFF and WebP are read", path.display());
        return Err(Failure::input(message));
    }
    Ok(found)
}

fn is_input(path: &Path) -> bool {
    path.is_file() && (is_array(path) || has_extension(path, &PICTURES))
}

pub fn is_array(path: &Path) -> bool {
    has_extension(path, &["npy"])
}

fn has_extension(path: &Path, wanted: &[&str]) -> bool {
    path.extension().is_some_and(|e| wanted.iter().any(|w| e.eq_ignore_ascii_case(w)))
}

/// Some file is a picture, so preprocessing matters.
pub fn any_picture(files: &[PathBuf]) -> bool {
    files.iter().any(|file| !is_array(file))
}

/// Reads `files` on a thread of its own, at most `ahead` images before they are taken.
pub fn load(files: Vec<PathBuf>, shape: Shape, preprocess: Option<Arc<Preprocess>>, ahead: usize) -> Receiver<Loaded> {
    let (sender, receiver) = sync_channel(ahead);
    std::thread::spawn(move || {
        for (source, path) in files.iter().enumerate() {
            let images: Images = match &preprocess {
                Some(preprocess) if !is_array(path) => Box::new(once(open_picture(source, path, preprocess))),
                _ => open_array(source, path, shape).unwrap_or_else(|failure| Box::new(once(Err(failure)))),
            };
            for image in images {
                let failed = image.is_err();
                let loaded = match image {
                    Ok(image) => Loaded::Image(Box::new(image)),
                    Err(failure) => Loaded::Failed { source, failure },
                };
                // The receiver is gone after an interrupt.
                if sender.send(loaded).is_err() {
                    return;
                }
                if failed {
                    break;
                }
            }
        }
    });
    receiver
}

fn open_picture(source: usize, path: &Path, preprocess: &Preprocess) -> Result<Image, Failure> {
    let picture = Picture::open(path).map_err(Failure::input)?;
    let (values, placement) = preprocess.apply(&picture).map_err(|e| Failure::input(e).about(path.display()))?;
    Ok(Image { source, index: None, of: 1, picture: Some(picture), placement, values })
}

fn open_array(source: usize, path: &Path, want: Shape) -> Result<Images, Failure> {
    let images = NpyImages::open(path).map_err(Failure::input)?;
    let tail = [want.channels, want.height, want.width];
    if images.shape[images.shape.len() - 3..] != tail {
        let message = format!("{}: the model takes images {want}, this array has {:?}", path.display(), images.shape);
        return Err(Failure::input(message));
    }
    let several = images.shape.len() == 4;
    let of = if several { images.shape[0] } else { 1 };
    let placement = Placement { x: 0.0, y: 0.0, width: want.width as f32, height: want.height as f32 };
    let image = move |(i, values): (usize, Result<Vec<f32>, PictureError>)| {
        let values = values.map_err(Failure::input)?;
        Ok(Image { source, index: several.then_some(i), of, picture: None, placement, values })
    };
    Ok(Box::new(images.enumerate().map(image)))
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
    let data = data.into_iter().map(|v| (v - low) / width).collect();
    Picture { width: shape.width, height: shape.height, channels, eight_bit: false, data }
}
