//! From a picture to the numbers a network was trained on, and the way back: which part of the picture they cover.

use serde::Deserialize;

use super::resize::resize;
use super::{Picture, PictureError};
use crate::suggest::nearest;

/// How a model wants its pictures: resize, crop, scale, normalise. In a card this is the section `preprocess`.
///
/// A value `v` in `0..=1` becomes `(low + (high - low) * v - mean) / std`, with `range` = `[low, high]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Preprocess {
    pub channels: Channels,
    /// Height and width of the model input.
    pub size: [usize; 2],
    /// Cut the largest centred square out of the picture before anything else.
    #[serde(default)]
    pub square: bool,
    pub resize: Resize,
    /// Height and width of a centred cut after resizing.
    #[serde(default)]
    pub crop: Option<[usize; 2]>,
    #[serde(default = "unit_range")]
    pub range: [f32; 2],
    /// One value, or one per channel in the order of `channels`; empty means 0.
    #[serde(default)]
    pub mean: Vec<f32>,
    /// One value, or one per channel in the order of `channels`; empty means 1.
    #[serde(default)]
    pub std: Vec<f32>,
    /// A preset bends to the model's input; what a card says is fixed.
    #[serde(skip)]
    pub(super) preset: bool,
}

fn unit_range() -> [f32; 2] {
    [0.0, 1.0]
}

/// The channels a model takes, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Channels {
    /// Grey; colour pictures are converted with the luma weights.
    L,
    #[serde(rename = "RGB")]
    Rgb,
    #[serde(rename = "BGR")]
    Bgr,
}

impl Channels {
    /// 1 or 3.
    pub fn count(self) -> usize {
        if self == Channels::L { 1 } else { 3 }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Resize {
    pub mode: Mode,
    /// Pixels of the short side, for [`Mode::ShortSide`].
    #[serde(default)]
    pub to: Option<usize>,
    #[serde(default)]
    pub filter: Filter,
    /// Widen the filter when shrinking, as Pillow does.
    #[serde(default = "yes")]
    pub antialias: bool,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// To the input size; the aspect ratio is not kept.
    Stretch,
    /// The short side to `to` pixels; the aspect ratio is kept.
    ShortSide,
    None,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    Nearest,
    #[default]
    Bilinear,
    Bicubic,
    Lanczos,
}

/// The rectangle of the original picture that a model input covers, in pixels of the original.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
}

impl Placement {
    /// All of `picture`.
    pub fn whole(picture: &Picture) -> Self {
        Self { x: 0.0, y: 0.0, width: picture.width as f32, height: picture.height as f32 }
    }
}

/// Names for [`Preprocess::preset`].
pub const PRESETS: [&str; 4] = ["imagenet", "xrv", "unit", "signed-unit"];

impl Preprocess {
    /// A well-known way to feed a network: `imagenet` (torchvision), `xrv` (TorchXRayVision), `unit` (stretched, 0 to 1),
    /// `signed-unit` (stretched, -1 to 1). All are for 224 x 224 until [`Preprocess::for_input`] says otherwise.
    ///
    /// # Errors
    /// An unknown name, with the list and the nearest one.
    pub fn preset(name: &str) -> Result<Preprocess, PictureError> {
        let Some(&name) = PRESETS.iter().find(|known| **known == name) else {
            let known = PRESETS.to_vec();
            return Err(PictureError::Preset {
                name: name.into(),
                nearest: nearest(name, PRESETS).map(str::to_owned),
                known,
            });
        };
        let plain = Preprocess {
            channels: Channels::Rgb,
            size: [224, 224],
            square: false,
            resize: Resize { mode: Mode::Stretch, to: None, filter: Filter::Bilinear, antialias: true },
            crop: None,
            range: [0.0, 1.0],
            mean: vec![0.0],
            std: vec![1.0],
            preset: true,
        };
        Ok(match name {
            "imagenet" => Preprocess {
                resize: Resize { mode: Mode::ShortSide, to: Some(256), ..plain.resize },
                crop: Some([224, 224]),
                mean: vec![0.485, 0.456, 0.406],
                std: vec![0.229, 0.224, 0.225],
                ..plain
            },
            "xrv" => Preprocess { channels: Channels::L, square: true, range: [-1024.0, 1024.0], ..plain },
            "signed-unit" => Preprocess { range: [-1.0, 1.0], ..plain },
            _ => plain,
        })
    }

    /// This preprocessing for a model that takes `channels` x `height` x `width`.
    ///
    /// A preset changes: its size, its short side in proportion (256 / 224), and its channels (grey for 1, RGB for 3;
    /// an ImageNet mean and deviation per channel become their averages for grey). A card must agree already.
    ///
    /// # Errors
    /// A channel count other than 1 or 3, or a card that says otherwise than the model.
    pub fn for_input(mut self, channels: usize, height: usize, width: usize) -> Result<Preprocess, PictureError> {
        if !self.preset {
            if self.channels.count() != channels || self.size != [height, width] {
                return Err(wrong(format!(
                    "the card says {} x {} x {}, the model takes {channels} x {height} x {width} (channels x height x width); \
                     correct the card, or choose one of {}",
                    self.channels.count(),
                    self.size[0],
                    self.size[1],
                    PRESETS.join(", ")
                )));
            }
            return Ok(self);
        }
        if height == 0 || width == 0 {
            return Err(wrong(format!(
                "the model takes {height} x {width} pixels; give it a fixed size of at least 1 x 1"
            )));
        }
        self.channels = match channels {
            1 => Channels::L,
            3 => Channels::Rgb,
            _ => {
                return Err(wrong(format!(
                    "the model takes {channels} channels, a picture has 1 or 3; give the input as .npy"
                )));
            }
        };
        if channels == 1 && self.mean.len() == 3 {
            let average = |v: &[f32]| vec![v.iter().sum::<f32>() / v.len() as f32];
            (self.mean, self.std) = (average(&self.mean), average(&self.std));
        }
        if let Some(to) = self.resize.to {
            let short = height.min(width) as f64;
            self.resize.to = Some((to as f64 * short / self.size[0].min(self.size[1]) as f64).round() as usize);
        }
        self.crop = self.crop.map(|_| [height, width]);
        self.size = [height, width];
        Ok(self)
    }

    /// The model input for `picture`, as `channels` x `size[0]` x `size[1]` values, and where it lies on the picture.
    ///
    /// # Errors
    /// Settings that contradict each other or do not fit the picture; the message has the numbers.
    pub fn apply(&self, picture: &Picture) -> Result<(Vec<f32>, Placement), PictureError> {
        let [means, stds] = self.normalisation()?;
        let squared = self.square.then(|| {
            let side = picture.width.min(picture.height);
            // TorchXRayVision rounds each half down on its own.
            let [x, y] = [picture.width, picture.height].map(|n| n / 2 - side / 2);
            (x, y, picture.crop(x, y, side, side))
        });
        let (left, top, picture) = squared.as_ref().map_or((0, 0, picture), |(x, y, p)| (*x, *y, p));

        let [width, height] = self.resized_size(picture)?;
        let converted = if self.channels == Channels::L { picture.to_grey() } else { picture.to_rgb() };
        let resized = resize(&converted, width, height, self.resize.filter, self.resize.antialias);

        let [crop_height, crop_width] = self.crop.unwrap_or([height, width]);
        if crop_height > height || crop_width > width || crop_height == 0 || crop_width == 0 {
            return Err(wrong(format!(
                "cannot crop {crop_width} x {crop_height} out of {width} x {height} pixels (width x height); resize to more"
            )));
        }
        if [crop_height, crop_width] != self.size {
            return Err(wrong(format!(
                "the picture becomes {crop_width} x {crop_height} pixels, the model takes {} x {} (width x height); \
                 resize with stretch, or crop",
                self.size[1], self.size[0]
            )));
        }
        let x = half_to_even(width - crop_width);
        let y = half_to_even(height - crop_height);
        let input = resized.crop(x, y, crop_width, crop_height);

        let [low, high] = self.range;
        let count = self.channels.count();
        let mut values = Vec::with_capacity(input.data.len());
        for channel in 0..count {
            let from = if self.channels == Channels::Bgr { count - 1 - channel } else { channel };
            let pixels = input.data.iter().skip(from).step_by(count);
            values.extend(pixels.map(|v| (low + (high - low) * v - means[channel]) / stds[channel]));
        }
        let (sx, sy) = (picture.width as f32 / width as f32, picture.height as f32 / height as f32);
        let placement = Placement {
            x: left as f32 + x as f32 * sx,
            y: top as f32 + y as f32 * sy,
            width: crop_width as f32 * sx,
            height: crop_height as f32 * sy,
        };
        Ok((values, placement))
    }

    /// Width and height after resizing.
    fn resized_size(&self, picture: &Picture) -> Result<[usize; 2], PictureError> {
        let (width, height) = (picture.width, picture.height);
        if width == 0 || height == 0 || self.size.contains(&0) {
            let [h, w] = self.size;
            return Err(wrong(format!(
                "picture of {width} x {height} pixels for an input of {w} x {h}: nothing to show"
            )));
        }
        match self.resize.mode {
            Mode::Stretch => Ok(self.crop.map_or([self.size[1], self.size[0]], |[h, w]| [w, h])),
            Mode::None => Ok([width, height]),
            Mode::ShortSide => {
                let to =
                    self.resize.to.filter(|to| *to > 0).ok_or_else(|| {
                        wrong("resize mode short-side needs \"to\", the pixels of the short side".into())
                    })?;
                let short = width.min(height);
                let long = (width.max(height) as f64 * to as f64 / short as f64).round() as usize;
                // A hair-thin picture would become a band too long to hold.
                if long > 4 * super::decode::MAX_SIDE as usize {
                    return Err(wrong(format!(
                        "picture of {width} x {height} pixels: with a short side of {to} the long one would be {long}; \
                         crop the picture first"
                    )));
                }
                Ok(if width <= height { [to, long] } else { [long, to] })
            }
        }
    }

    /// Mean and deviation of each channel.
    fn normalisation(&self) -> Result<[Vec<f32>; 2], PictureError> {
        let count = self.channels.count();
        let per_channel = |name: &str, values: &[f32], default: f32| match values.len() {
            0 => Ok(vec![default; count]),
            1 => Ok(vec![values[0]; count]),
            n if n == count => Ok(values.to_vec()),
            n => Err(wrong(format!("{name} has {n} values for {count} channels; give 1 or {count}"))),
        };
        let mean = per_channel("mean", &self.mean, 0.0)?;
        let std = per_channel("std", &self.std, 1.0)?;
        if let Some(bad) = std.iter().find(|v| **v == 0.0) {
            return Err(wrong(format!("std {bad} would divide by zero")));
        }
        if self.range[0] == self.range[1] {
            return Err(wrong(format!("range {:?} is empty: every picture would look the same", self.range)));
        }
        Ok([mean, std])
    }
}

/// Half of `n` as torchvision's centre crop takes it: Python rounds .5 to the even neighbour.
fn half_to_even(n: usize) -> usize {
    (n as f64 / 2.0).round_ties_even() as usize
}

fn wrong(what: String) -> PictureError {
    PictureError::Preprocess { what }
}
