//! Batches that are submitted before others are collected: the maps are those of batches one by one, in whatever memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fluoroscope::backend::cpu::CpuBackend;
use fluoroscope::backend::gpu::LaunchError;
use fluoroscope::backend::{Backend, BackendError, Phase, Session, Values};
use fluoroscope::explain::{Baseline, ExplainError, ExplainOptions, Explainer, Heatmap, Target};
use fluoroscope::graph::Precision;
use fluoroscope::method::MethodChoice;
use fluoroscope::model::Model;
use fluoroscope::program::{Port, Program};
use fluoroscope::tensor::Tensor;

use crate::nets::golden;
use crate::run::choice;

/// The CPU as a device: several sessions are in flight, and they hold so many messages between them.
struct Device {
    cpu: CpuBackend,
    room: usize,
    /// Messages that a kernel can count.
    counts: usize,
    held: Arc<AtomicUsize>,
    /// The most sessions at a time that had work which nobody had waited for.
    most: Arc<AtomicUsize>,
    busy: Arc<AtomicUsize>,
    /// How often baselines went through the network.
    referred: Arc<AtomicUsize>,
    /// Ports whose way back was begun.
    fetched: Arc<AtomicUsize>,
}

struct Loaded {
    session: Box<dyn Session>,
    messages: usize,
    held: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    busy: Arc<AtomicUsize>,
    referred: Arc<AtomicUsize>,
    fetched: Arc<AtomicUsize>,
    /// Work was submitted since the last read.
    works: std::cell::Cell<bool>,
}

impl Backend for Device {
    fn name(&self) -> &'static str {
        "device"
    }

    fn device(&self) -> String {
        self.cpu.device()
    }

    fn load(&self, program: Arc<Program>) -> Result<Box<dyn Session>, BackendError> {
        let messages = program.images * program.messages_per_image;
        if self.held.load(Ordering::SeqCst) + messages > self.room {
            return Err(BackendError::OutOfMemory { backend: "device", bytes: 0 });
        }
        if messages > self.counts {
            let (step, what) = (String::new(), "number of messages");
            let error = LaunchError { step, what, count: messages, limit: self.counts };
            return Err(BackendError::TooMany { backend: "device", error });
        }
        self.held.fetch_add(messages, Ordering::SeqCst);
        let [held, most, busy] = [&self.held, &self.most, &self.busy].map(Arc::clone);
        let [referred, fetched] = [&self.referred, &self.fetched].map(Arc::clone);
        let session = self.cpu.load(program)?;
        Ok(Box::new(Loaded { session, messages, held, most, busy, referred, fetched, works: false.into() }))
    }

    fn sessions_in_flight(&self) -> usize {
        2
    }
}

impl Loaded {
    fn works(&self, works: bool) {
        match (self.works.replace(works), works) {
            (false, true) => _ = self.most.fetch_max(1 + self.busy.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst),
            (true, false) => _ = self.busy.fetch_sub(1, Ordering::SeqCst),
            _ => {}
        }
    }
}

impl Session for Loaded {
    fn program(&self) -> &Program {
        self.session.program()
    }

    fn write_items(&mut self, port: &Port, pieces: &[Values]) -> Result<(), BackendError> {
        self.session.write_items(port, pieces)
    }

    fn run(&mut self, phase: Phase, times: Option<&mut Vec<Duration>>) -> Result<(), BackendError> {
        self.works(true);
        if phase == Phase::Reference {
            self.referred.fetch_add(1, Ordering::SeqCst);
        }
        self.session.run(phase, times)
    }

    fn prefetch(&mut self, ports: &[Port]) -> Result<(), BackendError> {
        self.fetched.fetch_add(ports.len(), Ordering::SeqCst);
        Ok(())
    }

    fn read_items(&self, port: &Port) -> Result<Vec<Values<'static>>, BackendError> {
        self.works(false);
        self.session.read_items(port)
    }

    fn slot_bytes(&self) -> usize {
        self.session.slot_bytes()
    }

    fn constant_bytes(&self) -> usize {
        self.session.constant_bytes()
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.works(false);
        self.held.fetch_sub(self.messages, Ordering::SeqCst);
    }
}

/// Images that are submitted together.
const BATCH: usize = 4;
const IMAGES: usize = 9;

fn model() -> Model {
    Model::open(concat!(env!("CARGO_MANIFEST_DIR"), "/data/models/rnet.onnx")).expect("a model")
}

fn methods() -> Vec<MethodChoice> {
    ["saliency", "deeplift", "lrp-epsilon", "integrated-gradients", "smoothgrad"].map(choice).to_vec()
}

fn options() -> ExplainOptions {
    ExplainOptions { steps: 5, samples: 3, batch: Some(BATCH), baseline: Baseline::Mean, ..ExplainOptions::default() }
}

/// Images from `first` on.
fn images(first: usize, count: usize) -> Tensor {
    let len = 3 * 24 * 24;
    let value = |i: usize| ((first * len + i) as f32 * 0.61).sin();
    Tensor::new(&[count, 3, 24, 24], (0..count * len).map(value).collect())
}

type Lists = Vec<Vec<Heatmap>>;

fn assert_same(got: &Lists, want: &Lists, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
        let bits = |map: &Heatmap| map.map.data.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!((got.method, got.target), (want.method, want.target), "{what}");
        assert!(bits(got) == bits(want) && got.report.sum == want.report.sum, "{what}, {}", got.method);
        assert_eq!(got.report.to_biases, want.report.to_biases, "{what}, {}", got.method);
        assert_eq!(got.report.baseline_logit, want.report.baseline_logit, "{what}, {}", got.method);
    }
}

/// All images, as many batches in flight as the device likes; the smallest batch that memory led to.
fn pipelined(model: &Model, device: Device, target: &Target) -> (Result<Lists, ExplainError>, Option<usize>) {
    let mut explainer = Explainer::new(model, Box::new(device), options()).expect("an explainer");
    let (mut next, mut lists) = (0, Vec::new());
    loop {
        while explainer.submitted() < explainer.in_flight() && next < IMAGES {
            let count = BATCH.min(IMAGES - next);
            explainer.submit(next, images(next, count), &methods(), target);
            next += count;
        }
        match explainer.collect() {
            Some(Ok(found)) => lists.extend(found),
            Some(Err(error)) => return (Err(error), explainer.halved()),
            None => return (Ok(lists), explainer.halved()),
        }
    }
}

fn device(precision: Precision, room: usize) -> Device {
    let cpu = CpuBackend::new(precision, Some(1)).expect("a backend");
    let [held, most, busy, referred, fetched] = [(); 5].map(|()| Arc::default());
    Device { cpu, room, counts: usize::MAX, held, most, busy, referred, fetched }
}

#[test]
fn batches_in_flight_change_no_bit_in_whatever_memory() {
    let model = model();
    for target in [Target::Top(1), Target::Index(1)] {
        let cpu = CpuBackend::new(Precision::F32, Some(1)).expect("a backend");
        let mut explainer = Explainer::new(&model, Box::new(cpu), ExplainOptions { batch: Some(1), ..options() })
            .expect("an explainer");
        let want = explainer.explain(&images(0, IMAGES), &methods(), &target).expect("maps");
        for room in [100, 8, 5, 4, 3, 1, 0] {
            let device = device(Precision::F32, room);
            let (held, most) = (Arc::clone(&device.held), Arc::clone(&device.most));
            let (got, halved) = pipelined(&model, device, &target);
            let what = format!("{target:?}, room for {room} images");
            match got {
                Ok(got) => assert_same(&got, &want, &what),
                Err(error) => {
                    assert!(
                        matches!(error, ExplainError::Backend(BackendError::OutOfMemory { .. })),
                        "{what}: {error}"
                    );
                    assert_eq!(room, 0, "{what}: {error}");
                }
            }
            let expected = match room {
                4.. => None,
                2 | 3 => Some(2),
                _ => Some(1),
            };
            assert_eq!(halved, expected, "{what}");
            assert_eq!(held.load(Ordering::SeqCst), 0, "{what}: every session is freed");
            let most = most.load(Ordering::SeqCst);
            assert!(room < 2 * BATCH || most >= 2, "{what}: {most} sessions at work");
        }
    }
}

#[test]
fn batches_are_as_large_as_a_kernel_counts() {
    let model = model();
    let target = Target::Top(1);
    let (want, _) = pipelined(&model, device(Precision::F32, 100), &target);
    let want = want.expect("maps");
    for (counts, batch) in [(4, None), (3, Some(2)), (1, Some(1)), (0, Some(1))] {
        let (got, halved) = pipelined(&model, Device { counts, ..device(Precision::F32, 100) }, &target);
        match got {
            Ok(got) => assert_same(&got, &want, &format!("{counts} messages")),
            Err(ExplainError::Backend(error @ BackendError::TooMany { .. })) => {
                assert_eq!(counts, 0, "{error}");
                let said = "number of messages 1 exceeds the 0 of a kernel; use a smaller --batch, or --backend cpu";
                assert!(error.to_string().ends_with(said), "{error}");
            }
            Err(error) => panic!("{counts} messages: {error}"),
        }
        assert_eq!(halved, batch, "{counts} messages");
    }
}

#[test]
fn a_shared_baseline_goes_through_the_network_once_a_session() {
    let model = model();
    let methods = [choice("deeplift")];
    let all = images(0, 24);
    for (baseline, times) in [(Baseline::Zero, 2), (Baseline::Mean, 6)] {
        let device = device(Precision::F32, 100);
        let [referred, fetched] = [&device.referred, &device.fetched].map(Arc::clone);
        let options = ExplainOptions { baseline, ..options() };
        let mut explainer = Explainer::new(&model, Box::new(device), options.clone()).expect("an explainer");
        let got = explainer.explain(&all, &methods, &Target::Top(1)).expect("maps");
        assert_eq!(referred.load(Ordering::SeqCst), times, "six batches, two sessions");
        assert_eq!(fetched.load(Ordering::SeqCst), 6 * 4, "logits, the baseline's, the map and its audit");
        // A session of its own for every batch.
        let one = |i: usize| {
            let cpu = CpuBackend::new(Precision::F32, Some(1)).expect("a backend");
            let mut explainer = Explainer::new(&model, Box::new(cpu), options.clone()).expect("an explainer");
            explainer.explain(&images(4 * i, 4), &methods, &Target::Top(1)).expect("maps")
        };
        assert_same(&got, &(0..6).flat_map(one).collect(), "kept baselines");
    }
}

/// A session of one image has one baseline, whether that is the image's own or not.
#[test]
fn a_baseline_that_changes_is_not_kept() {
    let model = model();
    let options = ExplainOptions { baseline: Baseline::Mean, batch: Some(1), ..ExplainOptions::default() };
    let explainer =
        || Explainer::new(&model, Box::new(device(Precision::F32, 100)), options.clone()).expect("an explainer");
    let mut kept = explainer();
    for first in [0, 1, 0] {
        let [got, want] = [&mut kept, &mut explainer()].map(|explainer| {
            explainer.explain(&images(first, 1), &[choice("deeplift")], &Target::Top(1)).expect("maps")
        });
        assert_same(&got, &want, &format!("image {first}"));
    }
}

#[test]
fn fewer_messages_at_a_time_change_no_bit() {
    let model = golden("plain", Precision::F32);
    let (shape, classes) = (model.input(), model.graph.shape(model.graph.output).len());
    let methods = ["saliency", "deeplift", "lrp-epsilon", "lrp-zplus"].map(choice);
    let value = |i: usize| (i as f32 * 0.61).sin();
    let data = (0..2 * shape.len()).map(value).collect();
    let images = Tensor::new(&[2, shape.channels, shape.height, shape.width], data);
    let mut want: Option<Lists> = None;
    for room in [100, 2 * classes - 1, classes, classes - 1, 2, 1] {
        let device = device(Precision::F32, room);
        let held = Arc::clone(&device.held);
        let options = ExplainOptions { batch: Some(2), ..options() };
        let mut explainer = Explainer::new(&model, Box::new(device), options).expect("an explainer");
        let got = explainer.explain(&images, &methods, &Target::All).expect("maps");
        assert_eq!(explainer.halved(), (room < 2 * classes).then_some(1), "room for {room} messages");
        assert_eq!(got.iter().map(Vec::len).sum::<usize>(), 2 * classes * methods.len());
        assert_same(&got, want.get_or_insert_with(|| got.clone()), &format!("room for {room} messages"));
        drop(explainer);
        assert_eq!(held.load(Ordering::SeqCst), 0, "every session is freed");
    }
}

#[test]
fn what_was_wrong_with_a_batch_is_said_when_it_is_collected() {
    let model = model();
    let mut explainer = Explainer::new(&model, Box::new(device(Precision::F32, 100)), options()).expect("an explainer");
    let mut bad = images(4, 4);
    bad.data[3 * 24 * 24 * 2 + 9] = f32::NAN;
    let methods = [choice("saliency")];
    for (first, batch) in [images(0, 4), bad, Tensor::zeros(&[4, 3, 24, 25]), images(12, 2)].into_iter().enumerate() {
        explainer.submit(4 * first, batch, &methods, &Target::Top(1));
    }
    explainer.submit(14, images(14, 1), &methods, &Target::Index(7));
    assert_eq!(explainer.submitted(), 5);
    let mut collect = || explainer.collect().expect("a batch");
    assert_eq!(collect().expect("maps").len(), 4);
    assert!(matches!(collect(), Err(ExplainError::NonFiniteInput { image: 2, element: 9 })));
    assert!(matches!(collect(), Err(ExplainError::Shape { .. })));
    assert_eq!(collect().expect("maps").len(), 2);
    assert!(matches!(collect(), Err(ExplainError::Target { .. })));
    assert!(explainer.collect().is_none());
}

#[test]
fn no_image_no_point_and_no_copy_are_errors_that_name_the_option() {
    let model = golden("plain", Precision::F64);
    let of = |options| {
        let cpu = CpuBackend::new(Precision::F64, None).expect("threads");
        Explainer::new(&model, Box::new(cpu), options).err().expect("a refusal").to_string()
    };
    let options = ExplainOptions::default;
    assert_eq!(of(ExplainOptions { batch: Some(0), ..options() }), "batch is 0; give at least 1");
    assert_eq!(of(ExplainOptions { steps: 0, ..options() }), "steps is 0; give at least 1");
    assert_eq!(of(ExplainOptions { samples: 0, ..options() }), "samples is 0; give at least 1");
}
