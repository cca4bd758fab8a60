//! Maps over pictures, drawn where the maps are computed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use image::RgbImage;

use crate::backend::{Backend, BackendError, Phase, Roof, Session, Values};
use crate::graph::{Constant, Precision};
use crate::picture::overlay::{DIMMED, blend, framed, magnification};
use crate::picture::{Caption, Colormap, Paint, Picture, PictureError, Placement, Scale};
use crate::plan::{Painting, paint};
use crate::program::Program;
use crate::tensor::Tensor;

/// Sessions that wait for the next picture of their kind: so many, of so many bytes together.
const KEPT: usize = 8;
const KEPT_BYTES: usize = 256 << 20;

/// The longest side that a kernel counts.
const LONGEST: usize = u16::MAX as usize;

/// Lays maps over pictures: on the device of a backend that paints, else on the host, with the same result; but for a level where
/// a device of the wgpu backend does not divide exactly.
///
/// Any number of threads may draw at a time. It is a backend, too, which computes as its own does; where that has no memory
/// left, pictures give way to maps.
///
/// ```
/// use std::sync::Arc;
///
/// use fluoroscope::backend::cpu::CpuBackend;
/// use fluoroscope::explain::{ExplainOptions, Explainer, Painter, Target};
/// use fluoroscope::graph::Precision;
/// use fluoroscope::model::Model;
/// use fluoroscope::picture::{Caption, Colormap, Levels, Paint, Picture, Placement, Reduce, Scale, reduce};
/// use fluoroscope::tensor::Tensor;
///
/// let model = Model::open("data/models/rnet.onnx")?;
/// let painter = Arc::new(Painter::new(Box::new(CpuBackend::new(Precision::F32, None)?)));
/// let mut explainer = Explainer::new(&model, Box::new(Arc::clone(&painter)), ExplainOptions::default())?;
/// let heatmap = explainer.explain(&Tensor::zeros(&[3, 24, 24]), &["grad-cam".parse()?], &Target::Top(1))?.remove(0).remove(0);
///
/// let picture = Picture { width: 24, height: 24, channels: 1, levels: Levels::Eight(vec![0; 24 * 24]) };
/// let map = reduce(&heatmap.map, Reduce::Sum)?;
/// let paint = Paint { colormap: Colormap::default_for(true), scale: Scale::signed(&map), alpha: 0.8 };
/// let drawn = painter.overlay(&picture, &map, &Placement::whole(&picture), &paint, &Caption::default())?;
/// assert!(drawn.width() > 224 && painter.drawn().on_host == 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Painter {
    backend: Box<dyn Backend>,
    /// By name of the colour map: one constant each, so that sessions share it.
    colours: Mutex<HashMap<&'static str, Constant>>,
    idle: Mutex<VecDeque<(Kind, Box<dyn Session>)>>,
    /// Whoever paints reads; whoever needs all memory writes.
    gate: RwLock<()>,
    drawn: Mutex<Drawn>,
}

/// How many pictures were drawn, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    pub on_device: usize,
    pub on_host: usize,
    /// Why the last one that the device failed to draw was drawn on the host.
    pub reason: Option<String>,
    /// The device fails for another reason than a lack of memory or a loss, and is not asked again.
    pub gave_up: bool,
}

/// What a session paints.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    painting: Painting,
    colormap: &'static str,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Painter {
    /// A painter on the device of `backend`.
    pub fn new(backend: Box<dyn Backend>) -> Self {
        let (colours, idle, gate, drawn) = Default::default();
        Self { backend, colours, idle, gate, drawn }
    }

    /// As [`overlay`](crate::picture::overlay()). The device draws maps whose scale is [`Scale::signed`] or [`Scale::unsigned`];
    /// where it fails, the host draws, and [`Painter::drawn`] says why.
    ///
    /// # Errors
    /// A map of another rank than 2, or an empty one.
    pub fn overlay(
        &self,
        original: &Picture,
        map: &Tensor,
        placement: &Placement,
        paint: &Paint,
        caption: &Caption,
    ) -> Result<RgbImage, PictureError> {
        let painted = match self.kind(original, map, placement, paint) {
            Some(kind) => self.try_device(kind, paint.colormap, original, map),
            None => None,
        };
        let picture = match painted {
            Some(picture) => picture,
            None => {
                locked(&self.drawn).on_host += 1;
                blend(original, map, placement, paint, magnification(original))?
            }
        };
        Ok(framed(&picture, paint, caption))
    }

    /// What was drawn so far.
    pub fn drawn(&self) -> Drawn {
        locked(&self.drawn).clone()
    }

    /// What a session for this picture would paint; `None` for what the host has to draw.
    fn kind(&self, original: &Picture, map: &Tensor, placement: &Placement, paint: &Paint) -> Option<Kind> {
        let (&[map_height, map_width], factor) = (map.shape.as_slice().first_chunk()?, magnification(original));
        let (map_size, picture) = ([map_height, map_width], [original.height, original.width]);
        let sides = map_size.into_iter().chain(picture.map(|n| n * factor));
        let fits = map.shape.len() == 2 && sides.into_iter().all(|side| (1..=LONGEST).contains(&side));
        if !fits || !self.backend.paints() || locked(&self.drawn).gave_up {
            return None;
        }
        let symmetric = paint.scale == Scale::signed(map);
        if !symmetric && paint.scale != Scale::unsigned(map) {
            return None;
        }
        let (placement, alpha) = (*placement, paint.alpha);
        let painting = Painting { map: map_size, picture, factor, placement, symmetric, alpha, dimmed: DIMMED };
        Some(Kind { painting, colormap: paint.colormap.name() })
    }

    /// `None` where the device fails.
    fn try_device(&self, kind: Kind, colormap: Colormap, original: &Picture, map: &Tensor) -> Option<RgbImage> {
        let _painting = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        let painted = self.session(kind, colormap).and_then(|mut session| {
            let painted = on_device(session.as_mut(), original, map)?;
            self.keep(kind, session);
            Ok(painted)
        });
        let mut drawn = locked(&self.drawn);
        match painted {
            Ok(picture) => {
                drawn.on_device += 1;
                Some(picture)
            }
            Err(error) => {
                let goes_on = error.is_size() || error.is_loss() && self.reopen();
                drawn.gave_up |= !goes_on;
                drawn.reason = Some(error.to_string());
                None
            }
        }
    }

    /// Opens a lost device anew, without the sessions of the lost one.
    fn reopen(&self) -> bool {
        locked(&self.idle).clear();
        self.backend.reopen()
    }

    /// The session of this kind that waits, or a new one.
    fn session(&self, kind: Kind, colormap: Colormap) -> Result<Box<dyn Session>, BackendError> {
        let waiting = {
            let mut idle = locked(&self.idle);
            idle.iter().position(|(of, _)| *of == kind).and_then(|at| idle.remove(at))
        };
        if let Some((_, session)) = waiting {
            return Ok(session);
        }
        self.backend.load(Arc::new(paint(&kind.painting, &self.colours(colormap))))
    }

    fn colours(&self, colormap: Colormap) -> Constant {
        let made = || {
            let palette = colormap.palette();
            Constant::new(palette.entries().as_flattened().iter().copied().map(f64::from), Precision::F32)
        };
        locked(&self.colours).entry(colormap.name()).or_insert_with(made).clone()
    }

    /// Lets a session wait, and the one that has waited longest go where there are too many.
    fn keep(&self, kind: Kind, session: Box<dyn Session>) {
        let mut idle = locked(&self.idle);
        idle.push_front((kind, session));
        let bytes = |idle: &VecDeque<(Kind, Box<dyn Session>)>| idle.iter().map(|(_, s)| s.slot_bytes()).sum::<usize>();
        while idle.len() > KEPT || bytes(&idle) > KEPT_BYTES {
            idle.pop_back();
        }
    }
}

/// The blended picture, without margins.
fn on_device(session: &mut dyn Session, original: &Picture, map: &Tensor) -> Result<RgbImage, BackendError> {
    let program = session.program();
    let (picture, maps, painted) = (program.input.clone(), program.seeds.clone(), program.outputs[0].clone());
    let image = original.to_image();
    let pixels = image.as_raw().as_chunks::<3>().0;
    let levels: Vec<u8> = (0..3).flat_map(|c| pixels.iter().map(move |pixel| pixel[c])).collect();
    session.write_items(&picture, &[Values::from(levels)])?;
    if let Some(port) = &maps {
        session.write_items(port, &[Values::from(map.data.as_slice())])?;
    }
    session.run(Phase::Forward, None)?;
    let planes: Vec<u8> = session.read_items(&painted)?.into_iter().map(Values::into_u8).collect::<Vec<_>>().concat();
    let area = painted.height * painted.width;
    let (red, rest) = planes.split_at(area);
    let (green, blue) = rest.split_at(area);
    let mut levels = vec![0; 3 * area];
    for (((pixel, red), green), blue) in levels.as_chunks_mut::<3>().0.iter_mut().zip(red).zip(green).zip(blue) {
        *pixel = [*red, *green, *blue];
    }
    Ok(RgbImage::from_raw(painted.width as u32, painted.height as u32, levels).expect("three levels a pixel"))
}

impl Backend for Arc<Painter> {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    fn device(&self) -> String {
        self.backend.device()
    }

    /// Where memory does not suffice, waits for the pictures that are being drawn and frees what they needed.
    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, BackendError> {
        match self.backend.load(Arc::clone(&program)) {
            Err(error @ BackendError::OutOfMemory { .. }) => {
                let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
                let idle = std::mem::take(&mut *locked(&self.idle));
                if idle.is_empty() {
                    return Err(error);
                }
                drop(idle);
                self.backend.load(program)
            }
            loaded => loaded,
        }
    }

    fn sessions_in_flight(&self) -> usize {
        self.backend.sessions_in_flight()
    }

    fn paints(&self) -> bool {
        self.backend.paints()
    }

    fn reopen(&self) -> bool {
        Painter::reopen(self)
    }

    fn roof(&self) -> Result<Option<Roof>, BackendError> {
        self.backend.roof()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;
    use crate::backend::cpu::CpuBackend;
    use crate::picture::{Levels, overlay};

    /// A device that paints, with memory for so many sessions.
    struct Small {
        cpu: CpuBackend,
        sessions: Mutex<Vec<Weak<Program>>>,
        most: usize,
    }

    impl Small {
        fn painter(most: usize) -> Arc<Painter> {
            let cpu = CpuBackend::new(Precision::F32, Some(1)).unwrap();
            Arc::new(Painter::new(Box::new(Self { cpu, sessions: Mutex::default(), most })))
        }
    }

    impl Backend for Small {
        fn name(&self) -> &'static str {
            "small"
        }

        fn device(&self) -> String {
            String::new()
        }

        /// A session holds its program.
        fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, BackendError> {
            let mut sessions = locked(&self.sessions);
            sessions.retain(|session| session.strong_count() > 0);
            if sessions.len() == self.most {
                return Err(BackendError::OutOfMemory { backend: "small", bytes: 1 });
            }
            sessions.push(Arc::downgrade(&program));
            self.cpu.load(program)
        }

        fn paints(&self) -> bool {
            true
        }
    }

    /// A picture of so many pixels, by the painter as by the host.
    fn draw(painter: &Painter, width: usize) {
        let levels = Levels::Eight((0..3 * width * 9).map(|i| i as u8).collect());
        let picture = Picture { width, height: 9, channels: 3, levels };
        let map = Tensor::new(&[3, 5], (0..15).map(|i| (i as f32).sin()).collect());
        let paint = Paint { colormap: Colormap::default_for(true), scale: Scale::signed(&map), alpha: 0.8 };
        let (placement, caption) = (Placement::whole(&picture), Caption::default());
        let drawn = painter.overlay(&picture, &map, &placement, &paint, &caption).unwrap();
        assert!(drawn == overlay(&picture, &map, &placement, &paint, &caption).unwrap(), "{width} columns");
    }

    fn program() -> Arc<Program> {
        let placement = Placement { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
        let (one, symmetric) = ([1, 1], true);
        let painting = Painting { map: one, picture: one, factor: 1, placement, symmetric, alpha: 1.0, dimmed: DIMMED };
        Arc::new(paint(&painting, &Constant::new([0.0; 4], Precision::F32)))
    }

    #[test]
    fn sessions_wait_for_the_next_picture_of_their_kind() {
        let painter = Small::painter(usize::MAX);
        (0..2).for_each(|_| draw(&painter, 7));
        assert_eq!(locked(&painter.idle).len(), 1);
        (1..=KEPT + 2).for_each(|width| draw(&painter, width));
        assert_eq!(locked(&painter.idle).len(), KEPT);
        assert_eq!(painter.drawn(), Drawn { on_device: KEPT + 4, ..Drawn::default() });
    }

    #[test]
    fn pictures_give_way_to_maps() {
        let painter = Small::painter(2);
        draw(&painter, 7);
        draw(&painter, 8);
        assert_eq!(painter.drawn(), Drawn { on_device: 2, ..Drawn::default() });
        let _maps = [painter.load(program()).unwrap(), painter.load(program()).unwrap()];
        assert!(locked(&painter.idle).is_empty() && painter.load(program()).is_err());
        draw(&painter, 9);
        let drawn = painter.drawn();
        assert_eq!((drawn.on_device, drawn.on_host, drawn.gave_up), (2, 1, false));
        assert!(drawn.reason.unwrap().contains("could not allocate"));
    }
}
