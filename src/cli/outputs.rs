//! Maps to files: raw arrays, overlays, safetensors and reports, with what it takes to make them again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use image::RgbImage;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::args::{Format, Resolution};
use super::failure::Failure;
use super::inputs::Image;
use super::names::{Taken, label, ranked, stems_of};
use super::options::ExplainSettings;
use crate::drawing::{caption, heading, panel, plane};
use crate::explain::{Heatmap, Painter};
use crate::model::Model;
use crate::picture::files::{atomically, write_npy_parts};
use crate::picture::{Panel, PictureError, Reduce, reduce, sheet, spread, write_png, write_safetensors};
use crate::tensor::Tensor;

const SOFTWARE: &str = concat!("fluoroscope ", env!("CARGO_PKG_VERSION"));

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

    /// Names the files of a source, none as one that is `taken`. All maps of a target have one sheet.
    pub fn names(&self, taken: &mut Taken, stem: &Path, images: &[Explained]) -> Names {
        let (folder, methods) = (&self.settings.output, self.settings.methods.len());
        let mut of_format = |slot: usize, format: Format| {
            let label = self.label(images, slot, format);
            let stems = stems_of(format, stem, images.len());
            stems.iter().map(|stem| taken.claim(folder, stem, &label, format.extension())).collect()
        };
        let mut names: Names = Vec::new();
        for slot in 0..images.first().map_or(0, |image| image.maps.len()) {
            let first = slot - slot % methods;
            let of_map = self.settings.formats.iter().enumerate().map(|(i, format)| match format {
                Format::Sheet if slot > first => names[first][i].clone(),
                _ => of_format(slot, *format),
            });
            let of_map = of_map.collect();
            names.push(of_map);
        }
        names
    }

    /// Writes the maps of all images of one source; one entry a map, images outer.
    pub fn write(&self, path: &Path, images: &[Explained], names: &Names) -> Result<Vec<Vec<Written>>, Failure> {
        if let Some(folder) = names.iter().flatten().flatten().next().and_then(|file| file.parent()) {
            make_folder(folder)?;
        }
        let mut rows: Vec<Vec<Written>> = images.iter().map(|_| Vec::new()).collect();
        for (slot, names) in names.iter().enumerate() {
            let records: Vec<Value> = images.iter().map(|image| self.record(path, image, &image.maps[slot])).collect();
            for (format, files) in self.settings.formats.iter().zip(names) {
                let each = || files.iter().zip(images);
                let methods = self.settings.methods.len();
                match format {
                    Format::Png => each().try_for_each(|(file, image)| self.png(file, path, image, &image.maps[slot])),
                    Format::Sheet if slot % methods > 0 => Ok(()),
                    Format::Sheet => each()
                        .try_for_each(|(file, image)| self.sheet(file, path, image, &image.maps[slot..][..methods])),
                    Format::Npy => self.npy(&files[0], (images, slot)),
                    Format::Safetensors => self.safetensors(&files[0], path, (images, slot), &records),
                    Format::Json => json(&files[0], &images[0].image, &records),
                }
                .map_err(Failure::input)?;
            }
            for (i, (row, mut record)) in rows.iter_mut().zip(records).enumerate() {
                let files: Vec<PathBuf> = names.iter().map(|files| files[i.min(files.len() - 1)].clone()).collect();
                record["outputs"] = json!(files);
                row.push(Written { files, record });
            }
        }
        Ok(rows)
    }

    /// What tells the files of a map apart; images of one array may differ in their best classes.
    fn label(&self, images: &[Explained], slot: usize, format: Format) -> String {
        let first = &images[0].maps[slot];
        let rank = slot / self.settings.methods.len();
        let target = ranked(&self.settings.target, images.len(), rank).unwrap_or_else(|| first.target.to_string());
        label(&target, &first.method.to_string(), format)
    }

    fn npy(&self, file: &Path, (images, slot): (&[Explained], usize)) -> Result<(), PictureError> {
        let (shape, maps) = self.stack(images, slot)?;
        let parts: Vec<&[f32]> = maps.iter().map(|map| map.data.as_slice()).collect();
        write_npy_parts(file, &shape, &parts)
    }

    fn safetensors(
        &self,
        file: &Path,
        path: &Path,
        (images, slot): (&[Explained], usize),
        records: &[Value],
    ) -> Result<(), PictureError> {
        let (shape, maps) = self.stack(images, slot)?;
        let about = self.metadata(path, &images[0].maps[slot..=slot]);
        let mut about: BTreeMap<String, String> = about.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        about.insert("Reports".to_owned(), json!(records).to_string());
        let data = maps.iter().map(|map| map.data.as_slice()).collect::<Vec<_>>().concat();
        write_safetensors(file, &BTreeMap::from([("map".to_owned(), Tensor::new(&shape, data))]), &about)
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

    fn png(&self, file: &Path, path: &Path, explained: &Explained, heatmap: &Heatmap) -> Result<(), PictureError> {
        let (image, drawing) = (&explained.image, &self.settings.drawing);
        let picture = image.shown(self.model.input());
        let (plane, paint) = plane(heatmap, drawing, self.model)?;
        let caption = caption(heatmap, &called(image, path), drawing, self.model);
        let drawn = self.painter.overlay(&picture, &plane, &image.placement, &paint, &caption)?;
        self.write_png(file, path, image, std::slice::from_ref(heatmap), &drawn)
    }

    /// The maps of a target side by side.
    fn sheet(&self, file: &Path, path: &Path, explained: &Explained, maps: &[Heatmap]) -> Result<(), PictureError> {
        let image = &explained.image;
        let picture = image.shown(self.model.input());
        let drawn = |heatmap| plane(heatmap, &self.settings.drawing, self.model);
        let planes = maps.iter().map(drawn).collect::<Result<Vec<_>, _>>()?;
        let panels = planes.iter().zip(maps).map(|((map, paint), heatmap)| {
            let caption = panel(heatmap, None);
            Panel { map, placement: image.placement, paint: *paint, caption }
        });
        let panels: Vec<Panel> = panels.collect();
        let drawn = sheet(&heading(&maps[0], &called(image, path)), &picture, &panels)?;
        self.write_png(file, path, image, maps, &drawn)
    }

    fn write_png(
        &self,
        file: &Path,
        path: &Path,
        image: &Image,
        maps: &[Heatmap],
        drawn: &RgbImage,
    ) -> Result<(), PictureError> {
        let mut about = self.metadata(path, maps);
        about.extend(image.index.map(|index| ("Image", index.to_string())));
        let about: Vec<(&str, &str)> = about.iter().map(|(key, value)| (*key, value.as_str())).collect();
        write_png(file, drawn, &about)
    }

    /// What it takes to make maps of a target again.
    fn metadata(&self, path: &Path, maps: &[Heatmap]) -> Vec<(&'static str, String)> {
        let (first, methods) = (&maps[0], maps.iter().map(|heatmap| heatmap.method.to_string()));
        let mut about = vec![
            ("Software", SOFTWARE.to_owned()),
            ("Model", file_name(&self.model.path)),
            ("Model-SHA256", self.hash.clone()),
            ("Input", file_name(path)),
            ("Method", methods.collect::<Vec<_>>().join(",")),
            ("Target", first.target.to_string()),
            ("Class", first.class.clone()),
            ("Logit", first.report.logit.to_string()),
            ("Options", self.options().to_string()),
        ];
        about.extend(maps.iter().find_map(|heatmap| heatmap.report.layer.clone()).map(|layer| ("Layer", layer)));
        about
    }

    /// What changes a map, as typed.
    fn options(&self) -> Value {
        self.settings.said.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect::<Map<_, _>>().into()
    }

    fn record(&self, path: &Path, explained: &Explained, heatmap: &Heatmap) -> Value {
        let mut record = json!({
            "input": path,
            "target": heatmap.target,
            "class": heatmap.class,
            "method": heatmap.method.to_string(),
            "report": heatmap.report,
            "seconds": explained.seconds / explained.maps.len() as f64,
            "software": SOFTWARE,
            "model": file_name(&self.model.path),
            "model_sha256": self.hash,
            "options": self.options(),
        });
        if let Some(index) = explained.image.index {
            record["image"] = json!(index);
        }
        record
    }
}

fn json(file: &Path, first: &Image, records: &[Value]) -> Result<(), PictureError> {
    let whole = if first.index.is_some() { json!(records) } else { records[0].clone() };
    atomically(file, |out| writeln!(out, "{whole:#}"))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The file that an image came from, for captions.
fn called(image: &Image, path: &Path) -> String {
    image.called(file_name(path))
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
