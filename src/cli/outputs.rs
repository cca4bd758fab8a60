//! Maps to files: raw arrays, overlays, safetensors and reports, with what it takes to make them again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::args::{Format, Resolution};
use super::failure::Failure;
use super::inputs::Image;
use super::names::{Taken, ranked};
use super::options::{Drawing, ExplainSettings};
use super::table::number;
use crate::explain::{Heatmap, Painter};
use crate::model::Model;
use crate::picture::files::{atomically, write_npy_parts};
use crate::picture::{
    Caption, Colormap, Paint, PictureError, Reduce, Scale, gaussian_smooth, reduce, spread, write_png,
    write_safetensors,
};
use crate::tensor::Tensor;

/// One image of a source with its maps: targets outer, methods inner.
pub struct Explained {
    pub image: Image,
    pub maps: Vec<Heatmap>,
    /// Its share of the time that its batch took.
    pub seconds: f64,
}

/// Files of a source: of every map, of every format, one for each image or one for all.
pub type Names = Vec<Vec<Vec<PathBuf>>>;

/// A shape, and the maps that lie in it one after another.
type Stack<'e> = (Vec<usize>, Vec<Cow<'e, Tensor>>);

/// One written map.
pub struct Written {
    pub files: Vec<PathBuf>,
    /// The line of `--json`.
    pub record: Value,
}

/// Writes results below one folder; several threads may do so at a time.
pub struct Writer<'a> {
    settings: &'a ExplainSettings,
    model: &'a Model,
    painter: &'a Painter,
    hash: String,
}

impl<'a> Writer<'a> {
    /// # Errors
    /// An output folder that cannot be made.
    pub fn new(settings: &'a ExplainSettings, model: &'a Model, painter: &'a Painter) -> Result<Self, Failure> {
        make_folder(&settings.output)?;
        Ok(Self { settings, model, painter, hash: content_hash(&model.path) })
    }

    /// Names the files of a source, none as one that is `taken`.
    pub fn names(&self, taken: &mut Taken, stem: &Path, images: &[Explained]) -> Names {
        let folder = &self.settings.output;
        let mut of_format = |label: &str, format: Format| {
            let mut claim = |stem: &Path| taken.claim(folder, stem, label, format.extension());
            match format {
                Format::Png => images.iter().map(|it| claim(&it.image.stem(stem))).collect(),
                Format::Npy | Format::Safetensors | Format::Json => vec![claim(stem)],
            }
        };
        let mut of_map = |slot: usize| {
            let label = self.label(images, slot);
            self.settings.formats.iter().map(|format| of_format(&label, *format)).collect()
        };
        (0..images.first().map_or(0, |image| image.maps.len())).map(&mut of_map).collect()
    }

    /// Writes the maps of all images of one source; one entry a map, images outer.
    pub fn write(&self, path: &Path, images: &[Explained], names: &Names) -> Result<Vec<Vec<Written>>, Failure> {
        if let Some(folder) = names.iter().flatten().flatten().next().and_then(|file| file.parent()) {
            make_folder(folder)?;
        }
        let mut rows: Vec<Vec<Written>> = images.iter().map(|_| Vec::new()).collect();
        for (slot, names) in names.iter().enumerate() {
            let records: Vec<Value> = images.iter().map(|image| record(path, image, &image.maps[slot])).collect();
            for (format, files) in self.settings.formats.iter().zip(names) {
                if *format == Format::Png {
                    for (file, image) in files.iter().zip(images) {
                        self.png(file, path, image, &image.maps[slot])?;
                    }
                } else {
                    self.together(*format, &files[0], path, (images, slot), &records)?;
                }
            }
            for (i, (row, mut record)) in rows.iter_mut().zip(records).enumerate() {
                let files: Vec<PathBuf> = names.iter().map(|files| files[i.min(files.len() - 1)].clone()).collect();
                record["outputs"] = json!(files);
                row.push(Written { files, record });
            }
        }
        Ok(rows)
    }

    /// `<target>.<method>`; images of one array may differ in their best classes.
    fn label(&self, images: &[Explained], slot: usize) -> String {
        let first = &images[0].maps[slot];
        let rank = slot / self.settings.methods.len();
        let target = ranked(&self.settings.target, images.len(), rank).unwrap_or_else(|| first.target.to_string());
        format!("{target}.{}", first.method)
    }

    /// A file for all images of a source.
    fn together(
        &self,
        format: Format,
        file: &Path,
        path: &Path,
        (images, slot): (&[Explained], usize),
        records: &[Value],
    ) -> Result<(), Failure> {
        let done = match format {
            Format::Png | Format::Npy => self.stack(images, slot).and_then(|(shape, maps)| {
                let parts: Vec<&[f32]> = maps.iter().map(|map| map.data.as_slice()).collect();
                write_npy_parts(file, &shape, &parts)
            }),
            Format::Safetensors => self.stack(images, slot).and_then(|(shape, maps)| {
                let about = self.metadata(path, &images[0].maps[slot]);
                let mut about: BTreeMap<String, String> = about.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
                about.insert("Reports".to_owned(), json!(records).to_string());
                let data = maps.iter().map(|map| map.data.as_slice()).collect::<Vec<_>>().concat();
                write_safetensors(file, &BTreeMap::from([("map".to_owned(), Tensor::new(&shape, data))]), &about)
            }),
            Format::Json => {
                let whole = if images[0].image.index.is_some() { json!(records) } else { records[0].clone() };
                atomically(file, |out| writeln!(out, "{whole:#}"))
            }
        };
        done.map_err(Failure::input)
    }

    /// The maps as they are written: raw, and their shape together, with a leading axis where the input had one.
    fn stack<'e>(&self, images: &'e [Explained], slot: usize) -> Result<Stack<'e>, PictureError> {
        let maps =
            images.iter().map(|it| self.laid_out(&it.image, &it.maps[slot].map)).collect::<Result<Vec<_>, _>>()?;
        let leading = images[0].image.index.map(|_| images.len());
        Ok((leading.into_iter().chain(maps[0].shape.iter().copied()).collect(), maps))
    }

    /// One map, reduced and laid out as asked for.
    fn laid_out<'e>(&self, image: &Image, map: &'e Tensor) -> Result<Cow<'e, Tensor>, PictureError> {
        let map = match self.settings.drawing.reduce {
            None | Some(Reduce::None) => Cow::Borrowed(map),
            Some(how) => {
                let plane = reduce(map, how)?;
                Cow::Owned(Tensor::new(&[1, plane.shape[0], plane.shape[1]], plane.data))
            }
        };
        if self.settings.resolution != Resolution::Original {
            return Ok(map);
        }
        let [height, width] = image.size;
        let area = map.shape[1] * map.shape[2];
        let channels = map.data.chunks_exact(area).map(|plane| {
            let plane = Tensor::new(&map.shape[1..], plane.to_vec());
            spread(&plane, &image.placement, height, width).map(|spread| spread.data)
        });
        let data = channels.collect::<Result<Vec<_>, _>>()?.concat();
        Ok(Cow::Owned(Tensor::new(&[map.shape[0], height, width], data)))
    }

    fn png(&self, file: &Path, path: &Path, explained: &Explained, heatmap: &Heatmap) -> Result<(), Failure> {
        let image = &explained.image;
        let name = image.called(path.file_name().unwrap_or(path.as_os_str()).to_string_lossy());
        let drawn = || {
            let picture = image.shown(self.model.input());
            let drawing = &self.settings.drawing;
            let (plane, paint) = plane(heatmap, drawing, self.model)?;
            let caption = caption(heatmap, &name, drawing, self.model);
            let drawn = self.painter.overlay(&picture, &plane, &image.placement, &paint, &caption)?;
            let mut about = self.metadata(path, heatmap);
            about.extend(image.index.map(|index| ("Image", index.to_string())));
            let about: Vec<(&str, &str)> = about.iter().map(|(key, value)| (*key, value.as_str())).collect();
            write_png(file, &drawn, &about)
        };
        drawn().map_err(Failure::input)
    }

    /// What it takes to make a map again.
    fn metadata(&self, path: &Path, heatmap: &Heatmap) -> Vec<(&'static str, String)> {
        let name = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let options: serde_json::Map<String, Value> =
            self.settings.said.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let mut about = vec![
            ("Software", concat!("fluoroscope ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("Model", name(&self.model.path)),
            ("Model-SHA256", self.hash.clone()),
            ("Input", name(path)),
            ("Method", heatmap.method.to_string()),
            ("Target", heatmap.target.to_string()),
            ("Class", heatmap.class.clone()),
            ("Logit", heatmap.report.logit.to_string()),
            ("Options", Value::Object(options).to_string()),
        ];
        about.extend(heatmap.report.layer.clone().map(|layer| ("Layer", layer)));
        about
    }
}

/// One map as a plane to draw, and how to paint it.
pub fn plane(heatmap: &Heatmap, drawing: &Drawing, model: &Model) -> Result<(Tensor, Paint), PictureError> {
    let of_method = heatmap.method.method.signed();
    let how = match drawing.reduce {
        None | Some(Reduce::None) if of_method => Reduce::Sum,
        None | Some(Reduce::None) => Reduce::MaxAbs,
        Some(how) => how,
    };
    let signed = of_method && matches!(how, Reduce::Sum | Reduce::Mean);
    let reduced = reduce(&heatmap.map, how)?;
    // Sigma counts pixels of the input, whatever the grid of the map.
    let sigma = sigma(heatmap, drawing, model) * reduced.shape[1] as f32 / model.input().width as f32;
    let plane = gaussian_smooth(&reduced, sigma)?;
    let colormap = drawing.colormap.unwrap_or_else(|| Colormap::default_for(signed));
    let symmetric = signed || colormap.is_diverging();
    let scale = if symmetric { Scale::signed(&plane) } else { Scale::unsigned(&plane) };
    Ok((plane, Paint { colormap, scale, alpha: drawing.alpha }))
}

/// By how many pixels of the input the map is smoothed: a CAM is smooth as it is, and of others a pixel alone is not seen.
fn sigma(heatmap: &Heatmap, drawing: &Drawing, model: &Model) -> f32 {
    const OF_WIDTH: f32 = 3.0 / 224.0;
    let is_cam = heatmap.method.method.readout.is_cam();
    drawing.smooth.unwrap_or(if is_cam { 0.0 } else { OF_WIDTH * model.input().width as f32 })
}

/// Method and class, then the numbers, how it is smoothed and the file.
pub fn caption(heatmap: &Heatmap, name: &str, drawing: &Drawing, model: &Model) -> Caption {
    let report = &heatmap.report;
    let title = format!("{}: {}", heatmap.method.title(), heatmap.class);
    let mut subtitle = format!("logit {}, probability {:.3}", number(report.logit), report.probability);
    let sigma = sigma(heatmap, drawing, model);
    if sigma > 0.0 {
        subtitle += &format!("; smoothed by {} px", (10.0 * sigma).round() / 10.0);
    }
    if !name.is_empty() {
        subtitle += &format!("; {name}");
    }
    Caption { title, subtitle }
}

fn record(path: &Path, explained: &Explained, heatmap: &Heatmap) -> Value {
    let mut record = json!({
        "input": path,
        "target": heatmap.target,
        "class": heatmap.class,
        "method": heatmap.method.to_string(),
        "report": heatmap.report,
        "seconds": explained.seconds / explained.maps.len() as f64,
    });
    if let Some(index) = explained.image.index {
        record["image"] = json!(index);
    }
    record
}

/// Makes a folder for results.
pub fn make_folder(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .map_err(|e| Failure::input(format!("{}: cannot make this folder: {e}; set --output", folder.display())))
}

/// SHA-256 of the model file, as `sha256sum` prints it. Weights in external files are not part of it.
fn content_hash(path: &Path) -> String {
    let mut hash = Sha256::new();
    let copied = std::fs::File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut HashWriter(&mut hash)));
    match copied {
        Ok(_) => hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        Err(_) => "unknown".to_owned(),
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
