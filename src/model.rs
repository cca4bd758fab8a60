//! A model as a user has it: an ONNX file and, beside it, perhaps a card.

use std::path::{Path, PathBuf};

use crate::graph::{Graph, Precision, Shape, UnknownLayer, ValueId};
use crate::onnx::{self, ImportError, ImportOptions};
use crate::picture::{Card, PictureError, Preprocess};

/// How logits become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probability {
    /// Classes exclude each other.
    Softmax,
    /// Every class is a question of its own.
    Sigmoid,
}

/// What can go wrong while a model is opened.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Card(#[from] PictureError),
    #[error("{card} names {names} classes, the model has {outputs} outputs")]
    Classes { card: String, names: usize, outputs: usize },
}

/// A `cam_layer` of a model card that names nothing in the graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: cam_layer.value: {layer}, and --layer chooses another", card.display())]
pub struct UnknownCamLayer {
    pub card: PathBuf,
    pub layer: UnknownLayer,
}

/// A network ready to be explained.
///
/// ```
/// use fluoroscope::model::Model;
///
/// let model = Model::open("data/models/rnet.onnx")?;
/// assert_eq!(model.input().to_string(), "3x24x24");
/// assert_eq!(model.classes, ["not a face", "face"]);
/// println!("{} parameters", model.graph.parameters());
/// # Ok::<(), fluoroscope::model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    pub path: PathBuf,
    pub graph: Graph,
    pub card: Option<Card>,
    /// One name per logit; empty where nothing says.
    pub classes: Vec<String>,
    pub probability: Probability,
}

impl Model {
    /// Reads an ONNX file and the card `MODEL.card.json` beside it, constants in f32.
    ///
    /// # Errors
    /// [`ModelError`] names the file, node or tensor at fault.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::open_with(path, Precision::F32)
    }

    /// The same with constants (and everything folded into them) in `precision`.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn open_with(path: impl AsRef<Path>, precision: Precision) -> Result<Self, ModelError> {
        Self::import(path, ImportOptions { precision, ..ImportOptions::default() })
    }

    /// The same with every option of the import; without an `input_size` the card's is taken.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn import(path: impl AsRef<Path>, options: ImportOptions) -> Result<Self, ModelError> {
        let path = path.as_ref();
        let read = |options: &ImportOptions| onnx::load(path, options);
        Self::made(path, Card::beside(path)?, options, read)
    }

    /// The same of the bytes of a file with that name, whose weights are in it, and the text of its card.
    ///
    /// ```
    /// use fluoroscope::model::Model;
    /// use fluoroscope::onnx::ImportOptions;
    ///
    /// let [onnx, card] = ["onnx", "card.json"].map(|end| std::fs::read(format!("data/models/rnet.{end}")).unwrap());
    /// let card = String::from_utf8(card)?;
    /// let model = Model::from_bytes("rnet.onnx", onnx, Some(&card), ImportOptions::default())?;
    /// assert_eq!(model.classes, ["not a face", "face"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_bytes(
        name: impl AsRef<Path>,
        onnx: Vec<u8>,
        card: Option<&str>,
        options: ImportOptions,
    ) -> Result<Self, ModelError> {
        let name = name.as_ref();
        let card = card.map(|text| Card::parse(&name.with_extension("card.json"), text)).transpose()?;
        Self::made(name, card, options, |options| onnx::parse(name, onnx, options))
    }

    fn made(
        path: &Path,
        mut card: Option<Card>,
        options: ImportOptions,
        read: impl FnOnce(&ImportOptions) -> Result<Graph, ImportError>,
    ) -> Result<Self, ModelError> {
        let of_card = card.as_ref().and_then(|card| card.preprocess.as_ref()).and_then(Preprocess::fixed_size);
        let options = ImportOptions { input_size: options.input_size.or(of_card), ..options };
        let mut graph = read(&options)?;
        graph.average_output();
        let outputs = graph.shape(graph.output).len();
        let mut classes = card.as_ref().map_or_else(Vec::new, |card| card.classes.clone());
        if options.output.is_some() && classes.len() != outputs {
            // The card speaks of another output.
            classes.clear();
        }
        if let (Some(_), Some(card)) = (&options.output, &mut card) {
            // So it does where its layer is no part of the graph.
            card.cam_layer = card.cam_layer.take().filter(|name| graph.find(name).is_ok());
        }
        if !classes.is_empty() && classes.len() != outputs {
            let card = path.with_extension("card.json").display().to_string();
            return Err(ModelError::Classes { card, names: classes.len(), outputs });
        }
        let of_card = card.as_ref().is_some_and(|card| card.independent_outputs);
        let independent = of_card || graph.notes.iter().any(|note| note.to_lowercase().contains("sigmoid"));
        let probability = if independent { Probability::Sigmoid } else { Probability::Softmax };
        Ok(Self { path: path.to_owned(), graph, card, classes, probability })
    }

    /// Shape of one input image.
    pub fn input(&self) -> Shape {
        self.graph.shape(self.graph.input)
    }

    /// The preprocessing that the card asks for, fitted to the input; `None` without a card.
    ///
    /// # Errors
    /// A card that does not fit the model.
    pub fn preprocess(&self) -> Result<Option<Preprocess>, PictureError> {
        let shape = self.input();
        let of_card = self.card.as_ref().and_then(|card| card.preprocess.clone());
        of_card.map(|p| p.for_input(shape.channels, shape.height, shape.width)).transpose()
    }

    /// The value that CAM methods read unless told otherwise: the card's, else the last spatial activation.
    ///
    /// # Errors
    /// A card that names a layer which the graph does not have.
    pub fn cam_layer(&self) -> Result<Option<ValueId>, UnknownCamLayer> {
        let Some(name) = self.card.as_ref().and_then(|card| card.cam_layer.as_deref()) else {
            return Ok(self.graph.last_spatial_activation());
        };
        let card = self.path.with_extension("card.json");
        self.graph.find(name).map(Some).map_err(|layer| UnknownCamLayer { card, layer })
    }

    /// The same, where a card that names another graph's layer is as one that names none.
    pub fn default_layer(&self) -> Option<ValueId> {
        self.cam_layer().unwrap_or_else(|_| self.graph.last_spatial_activation())
    }

    /// The name of a class, or its number.
    pub fn class_name(&self, class: usize) -> String {
        self.classes.get(class).cloned().unwrap_or_else(|| format!("class {class}"))
    }

    /// The probability of one class.
    pub fn probability_of(&self, logits: &[f64], class: usize) -> f64 {
        match self.probability {
            Probability::Sigmoid => 1.0 / (1.0 + (-logits[class]).exp()),
            Probability::Softmax => 1.0 / logits.iter().map(|l| (l - logits[class]).exp()).sum::<f64>(),
        }
    }
}
