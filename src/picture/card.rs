//! Model cards: a JSON file beside the model that says how to feed it and what its outputs are called.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::PictureError;
use super::preprocess::{Channels, Filter, Mode, Open, Preprocess, Resize, Rounding};
use super::section::{is_alone, remarks};

/// What `MODEL.card.json` says; fields it does not know are passed over, those of `preprocess` with a remark.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Card {
    pub title: Option<String>,
    /// To be shown with every result.
    pub warning: Option<String>,
    /// One name per output, or empty.
    pub classes: Vec<String>,
    /// The name of the value that CAM methods should read.
    pub cam_layer: Option<String>,
    /// Every class is a question of its own: probabilities are sigmoids, not a softmax.
    pub independent_outputs: bool,
    /// The section `preprocess`, or what could be read from the section `input`.
    pub preprocess: Option<Preprocess>,
    /// What the writer of the card should know; each names the file.
    pub remarks: Vec<String>,
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
    /// In words, such as `softmax` or `independent logits (sigmoid gives each probability)`.
    #[serde(default)]
    kind: String,
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
        if path.exists() { Self::open(&path).map(Some) } else { Ok(None) }
    }

    /// The card in the file `path`.
    ///
    /// # Errors
    /// As [`Card::beside`], and a missing file.
    pub fn open(path: &Path) -> Result<Card, PictureError> {
        Self::made(path, &read(path)?, |relative| read_names(&path.with_file_name(relative)))
    }

    /// The card with this text, which is called `path`. No file is read: names of classes are in the text.
    ///
    /// # Errors
    /// A text that is not understood, or points to another file; the message has the card's name.
    pub fn parse(path: &Path, text: &str) -> Result<Card, PictureError> {
        let refuse = |file: String| {
            let what = format!("the classes are in the file {file:?}; give a card that has their names in it");
            Err(PictureError::Card { path: path.to_owned(), what })
        };
        Self::made(path, text, refuse)
    }

    fn made(
        path: &Path,
        text: &str,
        names: impl FnOnce(String) -> Result<Vec<String>, PictureError>,
    ) -> Result<Card, PictureError> {
        let file: CardFile = parsed(path, text)?;
        let kind = file.output.as_ref().map_or_else(String::new, |output| output.kind.to_lowercase());
        let independent_outputs = ["sigmoid", "independent"].iter().any(|word| kind.contains(word));
        let classes = match file.output.and_then(|o| o.classes) {
            None => Vec::new(),
            Some(Classes::Names(names)) => names,
            Some(Classes::File(relative)) => names(relative)?,
        };
        let cam_layer = file.cam_layer.and_then(|c| Some(c.get("value")?.as_str()?.to_owned()));
        let preprocess = file.preprocess.or_else(|| file.input.and_then(Input::preprocess));
        let remarks = parsed::<Value>(path, text)?.get("preprocess").map_or_else(Vec::new, |it| named(path, it));
        let CardFile { title, warning, .. } = file;
        Ok(Card { title, warning, classes, cam_layer, independent_outputs, preprocess, remarks })
    }

    /// The same, where the file may be the section `preprocess` alone.
    ///
    /// # Errors
    /// As [`Card::open`].
    pub fn open_or_section(path: &Path) -> Result<Card, PictureError> {
        let text = read(path)?;
        let file: Value = parsed(path, &text)?;
        if !is_alone(&file) {
            return Self::open(path);
        }
        Ok(Card { preprocess: Some(parsed(path, &text)?), remarks: named(path, &file), ..Card::default() })
    }
}

fn read(path: &Path) -> Result<String, PictureError> {
    std::fs::read_to_string(path).map_err(|source| PictureError::Read { path: path.to_owned(), source })
}

fn parsed<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, PictureError> {
    serde_json::from_str(text)
        .map_err(|e| PictureError::Card { path: path.to_owned(), what: format!("not a model card: {e}") })
}

/// Remarks on a section of the file `path`.
fn named(path: &Path, section: &Value) -> Vec<String> {
    remarks(section).into_iter().map(|remark| format!("{}: {remark}", path.display())).collect()
}

fn read_names(path: &Path) -> Result<Vec<String>, PictureError> {
    Ok(read(path)?.trim_end().lines().map(|line| line.trim().to_owned()).collect())
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
        let resize = Resize {
            mode: Mode::Stretch,
            to: None,
            long_side: Rounding::Nearest,
            filter,
            antialias: self.resize.contains("antialias"),
        };
        let range = self.value_range.unwrap_or([0.0, 1.0]);
        let (mean, std) = (self.mean, self.std);
        let open = Open::default();
        Some(Preprocess { channels, size, square: false, resize, crop: None, range, mean, std, open })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The card with `json` beside a model, and two class names in a file.
    fn beside(json: &str) -> Result<Option<Card>, PictureError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("names.txt"), "cat\r\nEgyptian cat\n\n").unwrap();
        std::fs::write(folder.path().join("net.v2.card.json"), json).unwrap();
        Card::beside(&folder.path().join("net.v2.onnx"))
    }

    #[test]
    fn everything_is_optional_and_unknown_fields_pass() {
        assert_eq!(beside("{}").unwrap(), Some(Card::default()));
        let card =
            beside(r#"{"title": "T", "warning": "W", "later": {"x": [1]}, "cam_layer": "the last one"}"#).unwrap();
        let want = Card { title: Some("T".into()), warning: Some("W".into()), ..Card::default() };
        assert_eq!(card, Some(want));
        assert_eq!(Card::beside(Path::new("no/such.onnx")).unwrap(), None);
    }

    #[test]
    fn classes_are_a_list_or_a_file() {
        let list = beside(r#"{"output": {"classes": ["a", "b"]}, "cam_layer": {"value": "relu_7"}}"#).unwrap().unwrap();
        assert_eq!((list.classes, list.cam_layer.as_deref()), (vec!["a".to_owned(), "b".into()], Some("relu_7")));
        let file = beside(r#"{"output": {"classes": "names.txt"}}"#).unwrap().unwrap();
        assert_eq!(file.classes, ["cat", "Egyptian cat"]);
        let message = beside(r#"{"output": {"classes": "none.txt"}}"#).unwrap_err().to_string();
        assert!(message.contains("none.txt: cannot read"), "{message}");
        let text = r#"{"output": {"classes": "names.txt"}}"#;
        let message = Card::parse(Path::new("net.card.json"), text).unwrap_err().to_string();
        assert!(message.starts_with("net.card.json: ") && message.contains("names.txt"), "{message}");
    }

    #[test]
    fn the_section_preprocess_comes_first() {
        let json = r#"{
            "preprocess": {
                "channels": "RGB", "size": [8, 9], "crop": [8, 9], "range": [0, 255], "mean": [1, 2, 3], "std": [4],
                "resize": {"mode": "short-side", "to": 12, "filter": "bicubic", "antialias": false}
            },
            "input": {"shape": ["n", 1, 2, 2], "channels": "grey", "resize": "stretch"}
        }"#;
        let preprocess = beside(json).unwrap().unwrap().preprocess.unwrap();
        assert_eq!((preprocess.size, preprocess.crop, preprocess.range), ([8, 9], Some([8, 9]), [0.0, 255.0]));
        let resize = preprocess.resize;
        assert_eq!((resize.mode, resize.to, resize.filter), (Mode::ShortSide, Some(12), Filter::Bicubic));
        assert!(!resize.antialias);
    }

    #[test]
    fn slips_are_remarked_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed.json");
        for (json, is_card) in [
            (r#"{"preprocess": {"size": [8, 8], "meen": 0.5, "std": 0.5}}"#, true),
            (r#"{"size": [8, 8], "meen": 0.5, "std": 0.5}"#, false),
        ] {
            std::fs::write(&path, json).unwrap();
            let card = Card::open_or_section(&path).unwrap();
            let remark = "feed.json: preprocess.meen is not known and is passed over; did you mean mean?";
            assert!(card.remarks.len() == 1 && card.remarks[0].ends_with(remark), "{:?}", card.remarks);
            assert_eq!(card.preprocess.unwrap().std, [0.5]);
            assert_eq!(Card::open(&path).unwrap().preprocess.is_some(), is_card);
        }
        std::fs::write(&path, r#"{"size": [8], "std": 1}"#).unwrap();
        let message = Card::open_or_section(&path).unwrap_err().to_string();
        assert!(message.contains("feed.json: not a model card") && message.contains("line 1"), "{message}");
    }

    #[test]
    fn the_section_input_is_read_where_it_can_be() {
        let of = |channels: &str, resize: &str| {
            let json = r#"{"input": {"shape": ["n", 3, 24, 32], "channels": "CH", "value_range": [0, 255],
                "mean": [127.5], "std": [128], "resize": "HOW"}}"#;
            beside(&json.replace("CH", channels).replace("HOW", resize)).unwrap().unwrap().preprocess
        };
        let face = of("RGB (grey repeated)", "stretch to 24x32, bilinear, half-pixel centres").unwrap();
        assert_eq!((face.channels, face.size, face.range), (Channels::Rgb, [24, 32], [0.0, 255.0]));
        assert_eq!((face.mean.as_slice(), face.std.as_slice()), (&[127.5][..], &[128.0][..]));
        assert_eq!((face.resize.filter, face.resize.antialias), (Filter::Bilinear, false));
        assert_eq!(of("BGR", "stretch, antialiased bicubic").unwrap().resize.filter, Filter::Bicubic);
        assert_eq!(of("grey", "stretch").unwrap().channels, Channels::L);
        assert_eq!(of("CMYK", "stretch"), None);
        assert_eq!(of("RGB", "however you like"), None);
    }

    #[test]
    fn bad_cards_are_named() {
        for json in ["", "[1]", r#"{"title": 7}"#, r#"{"preprocess": {"channels": "HSV"}}"#] {
            let message = beside(json).unwrap_err().to_string();
            assert!(message.contains("net.v2.card.json: not a model card") && message.contains("line"), "{message}");
        }
    }
}
