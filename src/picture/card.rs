//! Model cards: a JSON file beside the model that says how to feed it and what its outputs are called.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::PictureError;
use super::preprocess::{Channels, Filter, Mode, Preprocess, Resize};

/// What `MODEL.card.json` says; fields it does not know are passed over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Card {
    pub title: Option<String>,
    /// To be shown with every result.
    pub warning: Option<String>,
    /// One name per output, or empty.
    pub classes: Vec<String>,
    /// The name of the value that CAM methods should read.
    pub cam_layer: Option<String>,
    /// The section `preprocess`, or what could be read from the section `input`.
    pub preprocess: Option<Preprocess>,
}

#[derive(Deserialize)]
struct CardFile {
    title: Option<String>,
    warning: Option<String>,
    output: Option<Output>,
    cam_layer: Option<Value>,
    preprocess: Option<Preprocess>,
    input: Option<Input>,
}

#[derive(Deserialize)]
struct Output {
    classes: Option<Classes>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Classes {
    Names(Vec<String>),
    /// A text file with one name per line, relative to the card.
    File(String),
}

/// The part of a card written for people; read when there is no `preprocess`.
#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    shape: Vec<Value>,
    #[serde(default)]
    channels: String,
    value_range: Option<[f32; 2]>,
    #[serde(default)]
    mean: Vec<f32>,
    #[serde(default)]
    std: Vec<f32>,
    #[serde(default)]
    resize: String,
}

impl Card {
    /// The card of the model at `model` (`x.onnx` has `x.card.json`), or `None` where there is none.
    ///
    /// # Errors
    /// A card, or the class names it points to, that cannot be read or understood; the message names the file.
    pub fn beside(model: &Path) -> Result<Option<Card>, PictureError> {
        let path = model.with_extension("card.json");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(PictureError::Read { path, source }),
        };
        let file: CardFile = serde_json::from_str(&text)
            .map_err(|e| PictureError::Card { path: path.clone(), what: format!("not a model card: {e}") })?;
        let classes = match file.output.and_then(|o| o.classes) {
            None => Vec::new(),
            Some(Classes::Names(names)) => names,
            Some(Classes::File(relative)) => read_names(&path.with_file_name(relative))?,
        };
        let cam_layer = file.cam_layer.and_then(|c| Some(c.get("value")?.as_str()?.to_owned()));
        let preprocess = file.preprocess.or_else(|| file.input.and_then(Input::preprocess));
        Ok(Some(Card { title: file.title, warning: file.warning, classes, cam_layer, preprocess }))
    }
}

fn read_names(path: &Path) -> Result<Vec<String>, PictureError> {
    let text = std::fs::read_to_string(path).map_err(|source| PictureError::Read { path: path.to_owned(), source })?;
    Ok(text.trim_end().lines().map(|line| line.trim().to_owned()).collect())
}

impl Input {
    /// The machine-readable form, where the text is one of the phrases that are understood.
    fn preprocess(self) -> Option<Preprocess> {
        let [.., height, width] = self.shape.as_slice() else { return None };
        let size = [height.as_u64()? as usize, width.as_u64()? as usize];
        let starts = |words: &[&str]| words.iter().any(|word| self.channels.starts_with(word));
        let channels = match () {
            () if starts(&["RGB"]) => Channels::Rgb,
            () if starts(&["BGR"]) => Channels::Bgr,
            () if starts(&["grey", "gray"]) => Channels::L,
            () => return None,
        };
        if !self.resize.starts_with("stretch") {
            return None;
        }
        let filters = [("bicubic", Filter::Bicubic), ("lanczos", Filter::Lanczos), ("nearest", Filter::Nearest)];
        let filter = filters.iter().find(|(word, _)| self.resize.contains(word)).map_or(Filter::Bilinear, |(_, f)| *f);
        let resize = Resize { mode: Mode::Stretch, to: None, filter, antialias: self.resize.contains("antialias") };
        let range = self.value_range.unwrap_or([0.0, 1.0]);
        let (mean, std) = (self.mean, self.std);
        Some(Preprocess { channels, size, square: false, resize, crop: None, range, mean, std, preset: false })
    }
}
