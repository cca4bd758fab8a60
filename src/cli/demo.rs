//! `fluoroscope demo`: the pictures that come with the source, many methods side by side.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::args::DemoArgs;
use super::console::Console;
use super::engine;
use super::failure::{DONE, Failure, INPUT};
use super::options::{Engine, methods, place};
use super::outputs::make_folder;
use super::table::{Align, Table, error, optional};
use crate::drawing::{Drawing, caption, heading, number, panel, plane};
use crate::explain::{ExplainOptions, Explainer, Heatmap, Painter, Target};
use crate::measure::{Localisation, localisation};
use crate::method::MethodChoice;
use crate::model::Model;
use crate::onnx::ImportOptions;
use crate::picture::{Panel, Picture, PictureError, Placement, Reduce, reduce, sheet, stacked, write_png};
use crate::tensor::Tensor;

const METHODS: [&str; 11] = [
    "saliency",
    "input-x-gradient",
    "deconvnet",
    "guided-backprop",
    "grad-cam",
    "guided-grad-cam",
    "lrp-epsilon",
    "lrp-zplus",
    "epsilon-plus-flat",
    "deeplift",
    "integrated-gradients",
];
const FILMS: [&str; 5] = ["test-1.png", "test-2.png", "test-3.png", "test-4.png", "test-5.png"];
const CHEST: &str = "chest/chest-densenet.onnx";
const PHOTO_MODEL: &str = "models/efficientnet-lite0.onnx";
const PHOTOS: [&str; 3] = ["astronaut.jpg", "chelsea.jpg", "coffee.jpg"];
/// Points of the path integral: enough for a picture.
const STEPS: usize = 32;

/// A picture of the demo, ready for its model.
struct Subject {
    path: PathBuf,
    picture: Picture,
    placement: Placement,
    input: Tensor,
    /// Classes to explain, with the mask of the finding where one is drawn; empty for the best class.
    findings: Vec<(String, Picture)>,
}

/// One map with its figures.
struct Shown {
    heatmap: Heatmap,
    found: Option<Localisation>,
    milliseconds: f64,
}

/// Explains films and photos, and says where the pictures are.
pub fn run(args: &DemoArgs, console: &mut Console) -> Result<u8, Failure> {
    let place = place(&args.place)?;
    let data = data_folder()?;
    let photos = PHOTOS.iter().map(|name| (data.join("photos").join(name), Vec::new())).collect();
    let parts = [(CHEST, films(&data)?), (PHOTO_MODEL, photos)];
    let methods = methods(&METHODS.map(str::to_owned))?;
    Demo { data, place, methods, output: &args.output }.show(parts, console)
}

/// What all pictures have in common.
struct Demo<'a> {
    data: PathBuf,
    place: Engine,
    methods: Vec<MethodChoice>,
    output: &'a Path,
}

impl Demo<'_> {
    /// Explains the pictures of each model, a file of `data/`.
    fn show(&self, parts: [(&str, Vec<Pictured>); 2], console: &mut Console) -> Result<u8, Failure> {
        make_folder(self.output)?;
        console.start(parts.iter().map(|(_, pictures)| pictures.len()).sum());
        let mut done = 0.0;
        for (file, pictures) in parts {
            self.explain(file, pictures, &mut done, console)?;
        }
        console.finish();
        let legend = "heat: share of positive heat inside the drawn finding over its share of the area (chance is 1); \
                      IoU: overlap of the hottest pixels with the finding, at equal area";
        console.row(&format!("\n{legend}"));
        console.row(&format!("contact sheets: {}", self.output.join("*.sheet.png").display()));
        console.row(&format!("overlays:       {}", self.output.join("*.<class>.<method>.png").display()));
        Ok(DONE)
    }

    /// Explains pictures by one model: rows of a table, overlays and contact sheets.
    fn explain(&self, file: &str, pictures: Vec<Pictured>, done: &mut f64, console: &Console) -> Result<(), Failure> {
        let model = engine::model(&self.data.join(file), ImportOptions::default(), console)?;
        let options = ExplainOptions { steps: STEPS, ..ExplainOptions::default() };
        let explain = |e| Failure::explain(&e);
        let painter = Arc::new(Painter::new(engine::backend(&self.place, console)?));
        let mut explainer = Explainer::new(&model, Box::new(Arc::clone(&painter)), options).map_err(explain)?;
        console.row(&format!("\n{}: {}", file, model.card.as_ref().and_then(|c| c.title.as_deref()).unwrap_or("")));
        if let Some(warning) = model.card.as_ref().and_then(|card| card.warning.as_deref()) {
            console.row(warning);
        }
        let (table, bar) = (table(&model), console.bar());
        console.row(&table.header());
        for (path, findings) in pictures {
            let subject = subject(&model, path, findings)?;
            bar.say(&subject.name());
            let shown = explained(&mut explainer, &subject, &self.methods).map_err(explain)?;
            shown.iter().for_each(|shown| console.row(&table.row(&cells(&subject, shown))));
            draw(self.output, &model, &painter, &subject, &shown).map_err(Failure::input)?;
            *done += 1.0;
            bar.set(*done);
        }
        Ok(())
    }
}

/// `data/` of the source, or of the current folder.
fn data_folder() -> Result<PathBuf, Failure> {
    let folders = [Path::new(env!("CARGO_MANIFEST_DIR")).join("data"), PathBuf::from("data")];
    match folders.iter().find(|folder| missing(folder).is_empty()) {
        Some(folder) => Ok(folder.clone()),
        None => Err(not_here(&missing(&folders[1]))),
    }
}

/// The files of the demo that `folder` lacks.
fn missing(folder: &Path) -> Vec<String> {
    let films = FILMS.map(|name| format!("films/{name}"));
    let photos = PHOTOS.map(|name| format!("photos/{name}"));
    let wanted = [CHEST, PHOTO_MODEL, "films/manifest.csv"].map(str::to_owned).into_iter().chain(films).chain(photos);
    wanted.filter(|name| !folder.join(name).is_file()).collect()
}

fn not_here(missing: &[String]) -> Failure {
    let files = missing.iter().map(|name| format!("data/{name}")).collect::<Vec<_>>().join(", ");
    let repository = match env!("CARGO_PKG_REPOSITORY") {
        "" => "the repository".to_owned(),
        address => format!("the repository, {address}"),
    };
    let message = format!(
        "the demo lacks {files}; the published package leaves these files of {repository} out: run the demo in a checkout"
    );
    Failure::new(INPUT, message)
}

type Pictured = (PathBuf, Vec<(String, Picture)>);

/// The films and the findings drawn into them, as the manifest lists them.
fn films(data: &Path) -> Result<Vec<Pictured>, Failure> {
    let folder = data.join("films");
    let path = folder.join("manifest.csv");
    let text = std::fs::read_to_string(&path).map_err(|e| Failure::input(e).about(path.display()))?;
    let rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let wanted = rows.filter(|row| row.len() > 4 && FILMS.contains(&row[0]));
    let film = |row: Vec<&str>| {
        let finding = |(class, mask): (&str, &str)| {
            Picture::open(&folder.join(mask)).map(|mask| (class.to_owned(), mask)).map_err(Failure::input)
        };
        let findings = row[3].split(' ').zip(row[4].split(' ')).map(finding).collect::<Result<Vec<_>, _>>()?;
        Ok((folder.join(row[0]), findings))
    };
    wanted.map(film).collect()
}

fn subject(model: &Model, path: PathBuf, findings: Vec<(String, Picture)>) -> Result<Subject, Failure> {
    let picture = Picture::open(&path).map_err(Failure::input)?;
    let preprocess = model.preprocess().map_err(Failure::model)?;
    let preprocess = preprocess.ok_or_else(|| Failure::model("the model's card does not say how to feed pictures"))?;
    let (values, placement) = preprocess.apply(&picture).map_err(Failure::input)?;
    let shape = model.input();
    let input = Tensor::new(&[shape.channels, shape.height, shape.width], values);
    Ok(Subject { path, picture, placement, input, findings })
}

impl Subject {
    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn stem(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn targets(&self) -> Vec<Target> {
        if self.findings.is_empty() {
            return vec![Target::Top(1)];
        }
        self.findings.iter().map(|(class, _)| Target::Name(class.clone())).collect()
    }
}

/// Every method for every class of interest, each timed on its own.
fn explained(
    explainer: &mut Explainer,
    subject: &Subject,
    methods: &[MethodChoice],
) -> Result<Vec<Shown>, crate::explain::ExplainError> {
    let mut shown = Vec::new();
    for target in subject.targets() {
        for method in methods {
            let start = Instant::now();
            let mut lists = explainer.explain(&subject.input, &[*method], &target)?;
            let milliseconds = 1e3 * start.elapsed().as_secs_f64();
            for heatmap in lists.swap_remove(0) {
                let found = found(subject, &heatmap);
                shown.push(Shown { heatmap, found, milliseconds });
            }
        }
    }
    Ok(shown)
}

/// How well a map finds the finding of its class.
fn found(subject: &Subject, heatmap: &Heatmap) -> Option<Localisation> {
    let (_, mask) = subject.findings.iter().find(|(class, _)| *class == heatmap.class)?;
    let how = if heatmap.method.method.signed() { Reduce::Sum } else { Reduce::MaxAbs };
    let plane = reduce(&heatmap.map, how).ok()?;
    localisation(&plane, mask, &subject.placement).ok()
}

fn table(model: &Model) -> Table {
    let class = model.classes.iter().map(|class| class.len()).max().unwrap_or(5);
    let right = |name, width| (name, Align::Right, width);
    Table::new(&[
        ("picture", Align::Left, 13),
        ("class", Align::Left, class.min(16)),
        ("method", Align::Left, 20),
        right("logit", 8),
        right("prob", 6),
        right("sum", 9),
        right("error", 7),
        right("heat", 6),
        right("IoU", 5),
        right("ms", 7),
    ])
}

fn cells(subject: &Subject, shown: &Shown) -> Vec<String> {
    let (heatmap, report) = (&shown.heatmap, &shown.heatmap.report);
    let ratio = shown.found.and_then(|found| found.heat_ratio);
    vec![
        subject.name(),
        heatmap.class.clone(),
        heatmap.method.to_string(),
        number(report.logit),
        format!("{:.3}", report.probability),
        number(report.sum),
        error(report.completeness_error),
        ratio.map_or_else(|| optional(None), |ratio| format!("{ratio:.2}")),
        shown.found.map_or_else(|| optional(None), |found| format!("{:.2}", found.iou)),
        format!("{:.0}", shown.milliseconds),
    ]
}

/// Overlays of all maps, and a contact sheet of the picture: a block for every class.
fn draw(
    folder: &Path,
    model: &Model,
    painter: &Painter,
    subject: &Subject,
    shown: &[Shown],
) -> Result<(), PictureError> {
    let (mut blocks, drawing) = (Vec::new(), Drawing::default());
    for of_class in shown.chunk_by(|a, b| a.heatmap.target == b.heatmap.target) {
        let planes =
            of_class.iter().map(|shown| plane(&shown.heatmap, &drawing, model)).collect::<Result<Vec<_>, _>>()?;
        let mut panels = Vec::new();
        for (shown, (map, paint)) in of_class.iter().zip(&planes) {
            let whole = caption(&shown.heatmap, &subject.name(), &drawing, model);
            let picture = painter.overlay(&subject.picture, map, &subject.placement, paint, &whole)?;
            let name = format!("{}.{}.png", prefix(subject, shown), shown.heatmap.method);
            let about = [("Software", "fluoroscope"), ("Method", shown.heatmap.method.method.name)];
            write_png(&folder.join(name), &picture, &about)?;
            let caption = panel(&shown.heatmap, of_finding(shown));
            panels.push(Panel { map, placement: subject.placement, paint: *paint, caption });
        }
        let Some(first) = of_class.first() else { continue };
        blocks.push(sheet(&heading(&first.heatmap, &subject.name()), &subject.picture, &panels)?);
    }
    let path = folder.join(format!("{}.sheet.png", subject.stem()));
    write_png(&path, &stacked(&blocks), &[("Software", "fluoroscope")])
}

/// How well a map finds the finding.
fn of_finding(shown: &Shown) -> Option<String> {
    let found = shown.found?;
    Some(format!("heat ratio {:.1}, IoU {:.2}", found.heat_ratio?, found.iou))
}

/// Picture and class, as a file name that every file system takes.
fn prefix(subject: &Subject, shown: &Shown) -> String {
    let plain = |c: char| if c.is_alphanumeric() { c } else { '-' };
    format!("{}.{}", subject.stem(), shown.heatmap.class.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{BackendArg, TalkArgs};
    use crate::graph::Precision;

    /// All of the demo takes minutes: here are one film with two findings, one photo, and the fastest methods.
    #[test]
    fn pictures_have_a_sheet_and_an_overlay_for_every_class_and_method() {
        for backend in [BackendArg::Cpu, BackendArg::Wgpu] {
            show_some(backend);
        }
    }

    /// By the stand-in driver; apart from the others, for an interpreter takes the longest.
    #[test]
    fn pictures_are_the_same_files_by_cuda() {
        ptx_sim_driver::preload().unwrap();
        show_some(BackendArg::Cuda);
    }

    fn show_some(backend: BackendArg) {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("new");
        let data = data_folder().unwrap();
        let films = films(&data).unwrap();
        let [film, photo] = ["films/test-2.png", "photos/chelsea.jpg"].map(|name| data.join(name));
        let parts = [
            (CHEST, films.into_iter().filter(|(path, _)| *path == film).collect()),
            (PHOTO_MODEL, vec![(photo.clone(), vec![])]),
        ];
        let place = Engine { backend, device: None, precision: Precision::F32, threads: None };
        let methods = methods(&["saliency", "grad-cam"].map(str::to_owned)).unwrap();
        let mut console = Console::new(Some(TalkArgs { quiet: true, verbose: false }));
        let demo = Demo { data, place, methods, output: &output };
        let code = demo.show(parts, &mut console);
        assert_eq!(code.map_err(|failure| failure.message), Ok(DONE));

        // A column of 320 pixels for the picture and each method, 20 about them; a row for each class.
        let sheets = [("chelsea.sheet.png", [1040, 258]), ("test-2.sheet.png", [1040, 588])];
        for (name, size) in sheets {
            assert_eq!(png_size(&output.join(name)), size, "{name}");
        }
        // A text and a bar about the picture.
        let classes = [("chelsea.Egyptian-cat", &photo), ("test-2.device", &film), ("test-2.nodule", &film)];
        for (start, picture) in classes {
            let picture = Picture::open(picture).unwrap();
            for method in ["grad-cam", "saliency"] {
                let [width, height] = png_size(&output.join(format!("{start}.{method}.png")));
                let larger = [width - picture.width as u32, height - picture.height as u32];
                assert!((1..200).contains(&larger[0]) && (1..200).contains(&larger[1]), "{start}: {larger:?}");
            }
        }
        assert_eq!(std::fs::read_dir(&output).unwrap().count(), sheets.len() + 2 * classes.len());
    }

    fn png_size(path: &Path) -> [u32; 2] {
        image::image_dimensions(path).unwrap().into()
    }

    #[test]
    fn missing_files_are_named_with_their_folder() {
        assert!(missing(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data")).is_empty());
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("films")).unwrap();
        std::fs::write(folder.path().join("films/manifest.csv"), "").unwrap();
        let failure = not_here(&missing(folder.path()));
        for name in ["data/chest/chest-densenet.onnx", "data/films/test-1.png", "data/photos/coffee.jpg"] {
            assert!(failure.message.contains(name), "{}", failure.message);
        }
        assert!(!failure.message.contains("manifest") && failure.hint.unwrap().contains("checkout"));
    }
}
