//! What may be typed. Values are still text here; [`super::options`] gives them meaning.

use std::fmt::{self, Display, Formatter};
use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::picture::Colormap;

const EXIT_CODES: &str = "Exit codes:
  0    done
  1    an input failed (the others are written), or a limit was exceeded
  2    usage
  3    the model cannot be read, or has a node without a rule
  4    the backend is not available, has too little memory, or its device stopped
  130  interrupted";

/// Groups of options in the help of `explain`; other commands have what they share in the same.
const EXPLAINED: &str = "What is explained";
const RULES: &str = "Rules";
const SAMPLING: &str = "Sampling";
const WRITING: &str = "Drawing and writing";
const RUNNING: &str = "Running";

/// Reads a number of things of which there must be one.
fn count(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|count| *count > 0).ok_or("give a whole number, 1 or more")
}

fn colormaps() -> String {
    format!("Colour map: {} [default: rdbu for signed maps, viridis for others]", Colormap::names().join(", "))
}

fn whole(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "give a whole number, 0 or more")
}

fn level(text: &str) -> Result<NonZeroU16, &'static str> {
    text.parse().map_err(|_| "give a level of 16 bits, 1 to 65535")
}

/// Attribution heatmaps for trained CNNs: an ONNX classifier and images go in, heatmaps come out.
#[derive(Debug, Parser)]
#[command(name = "fluoroscope", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write heatmaps of images, with the figures that tell whether to trust them
    Explain(Box<ExplainArgs>),
    /// Show what a model is made of, and the rule that each node will get
    Inspect(InspectArgs),
    /// List the backends of this machine
    Devices(DevicesArgs),
    /// Compare two maps, or two folders of maps
    Compare(CompareArgs),
    /// Check every kernel at the shapes of a model, then time it
    Bench(BenchArgs),
    /// Explain the pictures that come with the source, with eight methods and more side by side
    Demo(DemoArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for every command
    Man(ManArgs),
}

const EXPLAIN_EXAMPLES: &str = "Examples:
  fluoroscope explain model.onnx cat.jpg
  fluoroscope explain model.onnx photos/ -m grad-cam,lrp-epsilon,deeplift -t top:3
  fluoroscope explain model.onnx 'scans/*.png' -t pneumonia --preprocess xrv -o maps
  fluoroscope explain model.onnx batch.npy -m integrated-gradients --baseline mean --steps 100 --format npy --json
  fluoroscope explain model.onnx cat.jpg -m lrp-epsilon --epsilon 1e-9 --precision f64 --max-error 1e-4

Methods: saliency, gradient, input-x-gradient, deconvnet, guided-backprop, cam, grad-cam, guided-grad-cam,
  lrp-epsilon, lrp-zplus, epsilon-plus-flat, deeplift, integrated-gradients, smoothgrad;
  smoothgrad-METHOD averages any of them over noisy copies of the image.
Outputs: DIR/<stem>.<target>.<method>.png (the map over the picture) and .npy (the raw float32 map), and so on.";

/// Options of `explain`.
#[derive(Args, Debug)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct ExplainArgs {
    /// An ONNX classifier; MODEL.card.json beside it says how to feed it
    pub model: PathBuf,
    /// Pictures (PNG, JPEG, TIFF, WebP), preprocessed arrays (.npy, float32 [C,H,W] or [N,C,H,W]), folders or globs
    #[arg(required = true)]
    pub input: Vec<PathBuf>,
    /// Methods, separated by commas
    #[arg(
        short,
        long,
        value_name = "A,B,C",
        value_delimiter = ',',
        default_value = "grad-cam",
        help_heading = EXPLAINED
    )]
    pub method: Vec<String>,
    /// Logits to explain: top, top:K, all, or indices and class names, separated by commas
    #[arg(
        short,
        long,
        value_name = "T",
        default_value = "top",
        allow_negative_numbers = true,
        help_heading = EXPLAINED
    )]
    pub target: String,
    /// Output or value whose channels are the classes [default: the first output that depends on the image]
    #[arg(long, value_name = "NAME", help_heading = EXPLAINED)]
    pub logits: Option<String>,
    /// Layer of CAM methods: a layer path, node or value name [default: the last spatial activation]
    #[arg(long, value_name = "NAME", help_heading = EXPLAINED)]
    pub layer: Option<String>,
    /// How to feed pictures: imagenet, xrv, unit, signed-unit, or a JSON file [default: the model card, else imagenet]
    #[arg(long, value_name = "PRESET|FILE", help_heading = EXPLAINED)]
    pub preprocess: Option<String>,
    /// Level that is white in 16-bit pictures, such as 4095 for data of 12 bits; all above it is white, too [default: 65535]
    #[arg(long, value_name = "N", value_parser = level, allow_negative_numbers = true, help_heading = EXPLAINED)]
    pub white: Option<NonZeroU16>,
    /// Reference input of deeplift and integrated-gradients: zero, mean, blur, blur:SIGMA, a number or FILE.npy
    #[arg(long, value_name = "B", default_value = "zero", allow_hyphen_values = true, help_heading = RULES)]
    pub baseline: String,
    #[command(flatten)]
    pub rules: RuleArgs,
    /// Points on the path of integrated-gradients
    #[arg(
        long,
        value_name = "N",
        default_value_t = 50,
        value_parser = count,
        allow_negative_numbers = true,
        help_heading = SAMPLING
    )]
    pub steps: usize,
    /// Noisy copies of smoothgrad
    #[arg(
        long,
        value_name = "N",
        default_value_t = 25,
        value_parser = count,
        allow_negative_numbers = true,
        help_heading = SAMPLING
    )]
    pub samples: usize,
    /// Noise of smoothgrad, relative to the range of the image's values
    #[arg(long, value_name = "S", default_value_t = 0.15, allow_negative_numbers = true, help_heading = SAMPLING)]
    pub sigma: f64,
    /// Seed of smoothgrad's noise
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        value_parser = whole,
        allow_negative_numbers = true,
        help_heading = SAMPLING
    )]
    pub seed: u64,
    /// Folder for the results
    #[arg(short, long, value_name = "DIR", default_value = "heatmaps", help_heading = WRITING)]
    pub output: PathBuf,
    /// What to write of each map, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "png,npy", help_heading = WRITING)]
    pub format: Vec<Format>,
    /// Grid of written maps: the model input's, a CAM layer's own, or the original picture's
    #[arg(long, value_name = "WHERE", default_value = "input", help_heading = WRITING)]
    pub resolution: Resolution,
    /// Channels into one value [default: none for arrays; for pictures sum if signed, else max-abs]
    #[arg(long, value_name = "R", help_heading = WRITING)]
    pub reduce: Option<ReduceArg>,
    /// Smooth the drawn map with a Gaussian of S pixels of the model input; auto is 3 where that has 224, and 0 for CAMs
    #[arg(long, value_name = "S|auto", default_value = "auto", allow_negative_numbers = true, help_heading = WRITING)]
    pub smooth: String,
    /// Value of the end colours: peak, a map's strongest; P%, that up to which pixels hold so much of its heat; a number, for all
    /// maps the same; auto is 90%, and peak for CAMs
    #[arg(long, value_name = "peak|P%|N|auto", default_value = "auto", allow_negative_numbers = true, help_heading = WRITING)]
    pub scale: String,
    #[arg(long, value_name = "NAME", help = colormaps(), help_heading = WRITING)]
    pub colormap: Option<String>,
    /// Opacity of the strongest heat, 0 to 1
    #[arg(long, value_name = "A", default_value_t = 0.8, allow_negative_numbers = true, help_heading = WRITING)]
    pub alpha: f32,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Images that run together: a number, or auto
    #[arg(long, value_name = "N|auto", default_value = "auto", allow_negative_numbers = true, help_heading = RUNNING)]
    pub batch: String,
    /// Exit 1 if a completeness error exceeds E
    #[arg(long, value_name = "E", allow_negative_numbers = true, help_heading = RUNNING)]
    pub max_error: Option<f64>,
    /// Pass over inputs of which DIR has all files already, by a run with the same options
    #[arg(long, help_heading = RUNNING)]
    pub skip_existing: bool,
    /// Print one JSON object per input, target and method on standard output, and one per input that failed
    #[arg(long, help_heading = RUNNING)]
    pub json: bool,
    #[command(flatten)]
    pub talk: TalkArgs,
}

/// Where and how precisely to compute.
#[derive(Args, Clone, Debug)]
pub struct EngineArgs {
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Floating-point type of weights and arithmetic: f64 on the CPU only; f16 and bf16, in which the cuda backend stores
    /// values and computes in f32, with epsilon relative to each layer; wgpu has f16 where the device does
    #[arg(long, value_name = "TYPE", default_value = "f32", help_heading = RUNNING)]
    pub precision: PrecisionArg,
}

/// Where to compute.
#[derive(Args, Clone, Debug)]
pub struct PlaceArgs {
    /// What computes: auto is cuda where it is available, else wgpu where that has hardware, else cpu
    #[arg(long, value_name = "NAME", default_value = "auto", help_heading = RUNNING)]
    pub backend: BackendArg,
    /// Number of the device, as `devices` lists them, or a part of its name [default: the first that can run the kernels]
    #[arg(long, value_name = "N|NAME", value_parser = device, help_heading = RUNNING)]
    pub device: Option<DeviceArg>,
    /// Threads of the cpu backend, of reading and of writing files [default: one per core]
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = RUNNING)]
    pub threads: Option<usize>,
}

/// Numbers of the relevance rules.
#[derive(Args, Clone, Debug)]
pub struct RuleArgs {
    /// Absolute stabiliser of LRP
    #[arg(long, value_name = "E", default_value = "1e-6", allow_negative_numbers = true, help_heading = RULES)]
    pub epsilon: f64,
    /// LRP at batch normalisation that no convolution absorbs
    #[arg(long, value_name = "R", default_value = "epsilon", help_heading = RULES)]
    pub batch_norm: BatchNormArg,
}

/// How much to say.
#[derive(Args, Clone, Copy, Debug)]
pub struct TalkArgs {
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", help_heading = RUNNING)]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, help_heading = RUNNING)]
    pub verbose: bool,
}

const INSPECT_EXAMPLES: &str = "Examples:
  fluoroscope inspect model.onnx
  fluoroscope inspect model.onnx --method lrp-epsilon
  fluoroscope inspect model.onnx --method deeplift --program
  fluoroscope inspect model.onnx --json | jq .parameters

The bytes of parameters are those of the file's numbers as they are computed with. A device may lay filters out in more: `bench`
says what they take there.";

/// Options of `inspect`.
#[derive(Args, Debug)]
#[command(after_help = INSPECT_EXAMPLES)]
pub struct InspectArgs {
    /// An ONNX classifier
    pub model: PathBuf,
    /// Show the rule that each node gets, and plan memory for this method
    #[arg(short, long, value_name = "M")]
    pub method: Option<String>,
    /// Output or value whose channels are the classes [default: the first output that depends on the image]
    #[arg(long, value_name = "NAME")]
    pub logits: Option<String>,
    /// Layer of CAM methods
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,
    #[command(flatten)]
    pub rules: RuleArgs,
    /// Floating-point type of weights and arithmetic
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub precision: PrecisionArg,
    /// Print the steps that a backend will run
    #[arg(long)]
    pub program: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Name every node without a rule, not three of a kind
    #[arg(short, long)]
    pub verbose: bool,
}

/// Options of `devices`.
#[derive(Args, Debug)]
pub struct DevicesArgs {
    /// Print a JSON array with an object per backend
    #[arg(long)]
    pub json: bool,
}

const COMPARE_EXAMPLES: &str = "Examples:
  fluoroscope compare mine.npy reference.npy
  fluoroscope compare heatmaps/ reference/ --limit 1e-4";

/// Options of `compare`.
#[derive(Args, Debug)]
#[command(after_help = COMPARE_EXAMPLES)]
pub struct CompareArgs {
    /// A .npy map, or a folder of them
    pub a: PathBuf,
    /// The reference: its peak is the unit of the difference
    pub b: PathBuf,
    /// Exit 1 where the largest difference exceeds L times the reference's peak
    #[arg(long, value_name = "L", allow_negative_numbers = true)]
    pub limit: Option<f64>,
    /// Print one JSON object per pair
    #[arg(long)]
    pub json: bool,
}

const BENCH_EXAMPLES: &str = "Examples:
  fluoroscope bench model.onnx
  fluoroscope bench model.onnx --method lrp-epsilon --batch 4 --repeats 20
  fluoroscope bench model.onnx --backend cuda --method gradient,deeplift --batch 1,8,32,128
  fluoroscope bench model.onnx --backend cuda --precision f16 --method gradient,lrp-epsilon
  fluoroscope bench model.onnx --batch 8 --roofline roofline.svg
  fluoroscope bench model.onnx --json > bench.json

How to read it:
  error    of a step against f64 on the CPU, from the same inputs, with two images at most; a
           larger batch has to give the same maps, bit by bit. Only what passes is timed
  us, ms   medians. A device behind wgpu computes for two seconds before, until its clocks are up;
           a baseline is not part of a batch, for `explain` keeps what it finds there
  roof     of memory's GB/s, which a step whose data stays in a cache can pass, or of GFLOP/s: those
           of f32 multiply-adds, or of matrix units where these are faster (three products of tf32
           for each of f32, one of f16 or bf16 for each of halves)
  memory   that of slots and of weights as the device has them
  maps     how near they are to those of the f32 program computed in f64. In halves this is what
           counts: a step's bounds are those of its rounding there";

/// Options of `bench`.
#[derive(Args, Debug)]
#[command(after_help = BENCH_EXAMPLES)]
pub struct BenchArgs {
    /// An ONNX classifier
    pub model: PathBuf,
    /// Images that run together; several numbers give several runs
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "1",
        value_parser = count,
        allow_negative_numbers = true
    )]
    pub batch: Vec<usize>,
    /// The methods whose programs are timed
    #[arg(short, long, value_name = "LIST", value_delimiter = ',', default_value = "gradient")]
    pub method: Vec<String>,
    /// Runs, of which the median counts
    #[arg(long, value_name = "R", default_value_t = 10, value_parser = count, allow_negative_numbers = true)]
    pub repeats: usize,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Draw GFLOP/s over FLOP per byte, with the roofs, as SVG; where there are several runs, a file for each
    #[arg(long, value_name = "FILE")]
    pub roofline: Option<PathBuf>,
    /// Print one JSON object per run
    #[arg(long)]
    pub json: bool,
}

/// Options of `demo`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  fluoroscope demo\n  fluoroscope demo --output /tmp/demo")]
pub struct DemoArgs {
    /// Folder for the overlays and contact sheets
    #[arg(short, long, value_name = "DIR", default_value = "demo-output")]
    pub output: PathBuf,
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Options of `completions`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  fluoroscope completions bash > ~/.local/share/bash-completion/completions/fluoroscope"
)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Options of `man`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  fluoroscope man | man -l -\n  fluoroscope man --output man/")]
pub struct ManArgs {
    /// Write a page for every command into this folder
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Kinds of result files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Format {
    Png,
    /// All methods side by side
    Sheet,
    Npy,
    Safetensors,
    Json,
}

impl Format {
    /// How names of such files end.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png | Self::Sheet => "png",
            Self::Npy => "npy",
            Self::Safetensors => "safetensors",
            Self::Json => "json",
        }
    }

    /// A picture, for which the image is kept.
    pub fn is_drawn(self) -> bool {
        matches!(self, Self::Png | Self::Sheet)
    }
}

/// Names of backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendArg {
    Auto,
    Cpu,
    Wgpu,
    Cuda,
}

/// Which device of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceArg {
    Number(usize),
    Name(String),
}

fn device(text: &str) -> Result<DeviceArg, String> {
    match text.trim() {
        "" => Err("a device has a number or a name".to_owned()),
        text => Ok(text.parse().map_or_else(|_| DeviceArg::Name(text.to_owned()), DeviceArg::Number)),
    }
}

impl Display for DeviceArg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Names of floating-point types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArg {
    F32,
    F64,
    F16,
    Bf16,
}

/// Names of batch-norm rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BatchNormArg {
    /// An affine layer under the epsilon rule
    Epsilon,
    /// Relevance passes unchanged
    Pass,
}

/// Names of reductions over channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReduceArg {
    None,
    Sum,
    AbsSum,
    MaxAbs,
    L2,
    Mean,
}

/// The grid that a written map is laid out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Resolution {
    /// The model input
    Input,
    /// A CAM layer's own grid
    Layer,
    /// The original picture
    Original,
}
