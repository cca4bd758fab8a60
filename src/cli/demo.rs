//! `fluoroscope demo`: the pictures that come with the source, many methods side by side.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::args::{BackendArg, DemoArgs};
use super::console::Console;
use super::engine;
use super::failure::{DONE, Failure, INPUT};
use super::options::{Drawing, Engine, at_least_one, methods};
use super::outputs::{caption, make_folder, plane};
use super::table::{Align, Table, error, number, optional};
use crate::explain::{ExplainOptions, Explainer, Heatmap, Target};
use crate::graph::Precision;
use crate::measure::{Localisation, localisation};
use crate::method::MethodChoice;
use crate::model::Model;
use crate::picture::{Caption, Panel, Picture, PictureError, Placement, overlay, sheet, write_png};
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
const PHOTOS: [&str; 3] = ["astronaut.jpg", "chelsea.jpg", "coffee.jpg"];
/// Points of the path integral: enough for a picture.
const STEPS: usize = 32;
/// Pixels of the input: single gradients are too fine to be seen.
const SMOOTH: f32 = 2.0;

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
    let threads = args.threads.map(|n| at_least_one("--threads", n)).transpose()?;
    let data = data_folder()?;
    make_folder(&args.output)?;
    let chosen = methods(&METHODS.map(str::to_owned))?;
    let films = films(&data)?;
    let photos: Vec<(PathBuf, Vec<(String, Picture)>)> =
        PHOTOS.iter().map(|name| (data.join("photos").join(name), Vec::new())).collect();
    console.start(films.len() + photos.len());
    let parts = [("chest/chest-densenet.onnx", films), ("models/efficientnet-lite0.onnx", photos)];
    let mut done = 0;
    for (file, pictures) in parts {
        let model = engine::model(&data.join(file), Precision::F32)?;
        let engine = Engine { backend: BackendArg::Cpu, precision: Precision::F32, threads };
        let options = ExplainOptions { steps: STEPS, ..ExplainOptions::default() };
        let explain = |e| Failure::explain(&e);
        let mut explainer = Explainer::new(&model, engine::backend(&engine)?, options).map_err(explain)?;
        console.row(&format!("\n{}: {}", file, model.card.as_ref().and_then(|c| c.title.as_deref()).unwrap_or("")));
        if let Some(warning) = model.card.as_ref().and_then(|card| card.warning.as_deref()) {
            console.row(warning);
        }
        let table = table(&model);
        console.row(&table.header());
        for (path, findings) in pictures {
            let subject = subject(&model, path, findings)?;
            let shown = explained(&mut explainer, &subject, &chosen).map_err(explain)?;
            shown.iter().for_each(|shown| console.row(&table.row(&cells(&subject, shown))));
            draw(&args.output, &model, &subject, &shown).map_err(Failure::input)?;
            done += 1;
            console.progress(done, &subject.name());
        }
    }
    console.finish();
    let legend = "heat: share of positive heat inside the drawn finding over its share of the area (chance is 1); \
                  IoU: overlap of the hottest pixels with the finding, at equal area";
    console.row(&format!("\n{legend}"));
    console.row(&format!("contact sheets: {}", args.output.join("*.sheet.png").display()));
    console.row(&format!("overlays:       {}", args.output.join("*.<class>.<method>.png").display()));
    Ok(DONE)
}

/// `data/` of the source, or of the current folder.
fn data_folder() -> Result<PathBuf, Failure> {
    let folders = [Path::new(env!("CARGO_MANIFEST_DIR")).join("data"), PathBuf::from("data")];
    let has_all = |folder: &&PathBuf| folder.join("films/manifest.csv").is_file() && folder.join("photos").is_dir();
    folders.iter().find(has_all).cloned().ok_or_else(|| {
        let message = "the demo's films, photos and models are not here: the published package leaves them out; \
                       clone the repository and run `cargo run --release -- demo` in it";
        Failure::new(INPUT, message)
    })
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
    let how = if heatmap.method.method.signed() { crate::picture::Reduce::Sum } else { crate::picture::Reduce::MaxAbs };
    let plane = crate::picture::reduce(&heatmap.map, how).ok()?;
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

/// Overlays of all maps, and one contact sheet.
fn draw(folder: &Path, model: &Model, subject: &Subject, shown: &[Shown]) -> Result<(), PictureError> {
    let mut panels = Vec::new();
    let mut planes = Vec::new();
    for shown in shown {
        let heatmap = &shown.heatmap;
        let smooth = if heatmap.method.method.readout.is_cam() { 0.0 } else { SMOOTH };
        let drawing = Drawing { colormap: None, alpha: 0.8, smooth, reduce: None };
        planes.push(plane(heatmap, &drawing, model)?);
    }
    let many = shown.iter().map(|shown| shown.heatmap.target).collect::<BTreeSet<_>>().len() > 1;
    for (shown, (plane, paint)) in shown.iter().zip(&planes) {
        let heatmap = &shown.heatmap;
        let whole = caption(heatmap, &subject.name());
        let name = format!("{}.{}.{}.png", subject.stem(), file_name(&heatmap.class), heatmap.method);
        let picture = overlay(&subject.picture, plane, &subject.placement, paint, &whole)?;
        write_png(
            &folder.join(name),
            &picture,
            &[("Software", "fluoroscope"), ("Method", heatmap.method.method.name)],
        )?;
        let class =
            if many { format!("{}: {}", heatmap.method.title(), heatmap.class) } else { heatmap.method.title() };
        panels.push(Panel { map: plane, placement: subject.placement, paint: *paint, caption: panel(class, shown) });
    }
    let path = folder.join(format!("{}.sheet.png", subject.stem()));
    let sheet = sheet(&heading(subject, shown), &subject.picture, &panels)?;
    write_png(&path, &sheet, &[("Software", "fluoroscope")])
}

/// The classes of a sheet with their probabilities.
fn heading(subject: &Subject, shown: &[Shown]) -> String {
    let mut classes: Vec<String> = shown
        .iter()
        .map(|shown| format!("{} (probability {:.2})", shown.heatmap.class, shown.heatmap.report.probability))
        .collect();
    classes.dedup();
    format!("{}: {}", subject.name(), classes.join(", "))
}

fn panel(title: String, shown: &Shown) -> Caption {
    let report = &shown.heatmap.report;
    let found =
        shown.found.and_then(|found| Some(format!("heat ratio {:.1}, IoU {:.2}", found.heat_ratio?, found.iou)));
    let sum = report.completeness_error.map(|_| format!("sum {}", number(report.sum)));
    let said: Vec<String> = sum.into_iter().chain(found).collect();
    Caption { title, subtitle: said.join(", ") }
}

/// A class name that every file system takes.
fn file_name(class: &str) -> String {
    class.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect()
}
