//! From a picture to the numbers a network was trained on, and the way back: which part of the picture they cover.

use serde::Deserialize;

use super::levels::value;
use super::resize::resize;
use super::section::Section;
use super::{Levels, Picture, PictureError};
use crate::suggest::nearest;
use crate::tensor::first_not_finite;

/// How a model wants its pictures: resize, crop, scale, normalise. In a card this is the section `preprocess`.
///
/// A value `v` in `0..=1` becomes `(low + (high - low) * v - mean) / std`, with `range` = `[low, high]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Section")]
pub struct Preprocess {
    pub channels: Channels,
    /// Height and width of the model input.
    pub size: [usize; 2],
    /// Cut the largest centred square out of the picture before anything else.
    pub square: bool,
    pub resize: Resize,
    /// Height and width of a centred cut after resizing.
    pub crop: Option<[usize; 2]>,
    pub range: [f32; 2],
    /// One value, or one per channel in the order of `channels`; empty means 0.
    pub mean: Vec<f32>,
    /// One value, or one per channel in the order of `channels`; empty means 1.
    pub std: Vec<f32>,
    pub(super) open: Open,
}

/// What [`Preprocess::for_input`] decides. A preset bends to the model's input; what a card says is fixed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Open {
    pub channels: bool,
    pub size: bool,
    pub short_side: bool,
    pub crop: bool,
    /// Mean and deviation per colour become their averages for grey.
    pub colours: bool,
}

/// Height and width until the model says its own.
pub(super) const SIZE: [usize; 2] = [224, 224];

/// The short side for a size, in the proportion that ImageNet's networks are tested with. It goes by the longer side, so that the
/// crop fits in any picture.
pub(super) fn short_side([height, width]: [usize; 2]) -> usize {
    (256.0 * height.max(width) as f64 / 224.0).round() as usize
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

    /// Those of a model that takes so many.
    fn of(count: usize) -> Result<Self, PictureError> {
        match count {
            1 => Ok(Self::L),
            3 => Ok(Self::Rgb),
            _ => Err(wrong(format!("the model takes {count} channels, a picture has 1 or 3; give the input as .npy"))),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    pub mode: Mode,
    /// Pixels of the short side, for [`Mode::ShortSide`].
    pub to: Option<usize>,
    /// How the long side becomes a whole number, for [`Mode::ShortSide`].
    pub long_side: Rounding,
    pub filter: Filter,
    /// Widen the filter when shrinking, as Pillow does.
    pub antialias: bool,
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
pub enum Rounding {
    #[default]
    Nearest,
    /// As torchvision's `Resize` does.
    Down,
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
            size: SIZE,
            square: false,
            resize: Resize {
                mode: Mode::Stretch,
                to: None,
                long_side: Rounding::Nearest,
                filter: Filter::Bilinear,
                antialias: true,
            },
            crop: None,
            range: [0.0, 1.0],
            mean: vec![0.0],
            std: vec![1.0],
            open: Open { channels: true, size: true, ..Open::default() },
        };
        Ok(match name {
            "imagenet" => Preprocess {
                resize: Resize {
                    mode: Mode::ShortSide,
                    to: Some(short_side(SIZE)),
                    long_side: Rounding::Down,
                    ..plain.resize
                },
                crop: Some(SIZE),
                mean: vec![0.485, 0.456, 0.406],
                std: vec![0.229, 0.224, 0.225],
                open: Open { channels: true, size: true, short_side: true, crop: true, colours: true },
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
    /// its ImageNet mean and deviation per channel become their averages for grey). So does what a card leaves out; what it says
    /// must agree already.
    ///
    /// # Errors
    /// A channel count other than 1 or 3, a card that says otherwise than the model, and what [`Preprocess::check`] finds.
    pub fn for_input(mut self, channels: usize, height: usize, width: usize) -> Result<Preprocess, PictureError> {
        if self.open.channels {
            self.channels = Channels::of(channels)?;
        }
        if self.open.size {
            self.size = [height, width];
        }
        if self.channels.count() != channels || self.size != [height, width] {
            return Err(wrong(format!(
                "made for {} x {} x {}, the model takes {channels} x {height} x {width} (channels x height x width); \
                 correct it, or choose one of {}",
                self.channels.count(),
                self.size[0],
                self.size[1],
                PRESETS.join(", ")
            )));
        }
        if height == 0 || width == 0 {
            return Err(wrong(format!(
                "the model takes {height} x {width} pixels; give it a fixed size of at least 1 x 1"
            )));
        }
        if self.open.colours && channels == 1 && self.mean.len() == 3 {
            let average = |v: &[f32]| vec![v.iter().sum::<f32>() / v.len() as f32];
            (self.mean, self.std) = (average(&self.mean), average(&self.std));
        }
        if self.open.short_side {
            self.resize.to = Some(short_side(self.size));
        }
        if self.open.crop {
            self.crop = Some(self.size);
        }
        self.normalisation()?;
        self.check_size()?;
        Ok(self)
    }

    /// Height and width of the model input, where they are not those of whatever model it is.
    pub fn fixed_size(&self) -> Option<[usize; 2]> {
        (!self.open.size).then_some(self.size)
    }

    /// Finds settings that no picture can be fed with, as far as they do not depend on the model.
    ///
    /// # Errors
    /// The first of them, with the numbers.
    pub fn check(&self) -> Result<(), PictureError> {
        self.normalisation()?;
        if self.open.size { Ok(()) } else { self.check_size() }
    }

    fn check_size(&self) -> Result<(), PictureError> {
        let [height, width] = self.size;
        if let Some([h, w]) = self.crop.filter(|crop| *crop != self.size) {
            return Err(wrong(format!("a crop of {h} x {w} is not the size {height} x {width} (height x width)")));
        }
        let least = height.min(width);
        match (self.resize.mode, self.resize.to) {
            (Mode::ShortSide, None | Some(0)) => Err(no_short_side()),
            (Mode::ShortSide, Some(to)) if to < least => Err(wrong(format!(
                "a short side of {to} pixels is less than the size {height} x {width}; resize to more"
            ))),
            _ => Ok(()),
        }
    }

    /// The model input for `picture`, as `channels` x `size[0]` x `size[1]` values, and where it lies on the picture.
    ///
    /// # Errors
    /// Settings that contradict each other or do not fit the picture; the message has the numbers.
    pub fn apply(&self, picture: &Picture) -> Result<(Vec<f32>, Placement), PictureError> {
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

        let (sx, sy) = (picture.width as f32 / width as f32, picture.height as f32 / height as f32);
        let placement = Placement {
            x: left as f32 + x as f32 * sx,
            y: top as f32 + y as f32 * sy,
            width: crop_width as f32 * sx,
            height: crop_height as f32 * sy,
        };
        Ok((self.normalised(&input.levels)?, placement))
    }

    /// Values of interleaved channels, scaled and normalised, channel by channel in the order of the model.
    fn normalised(&self, levels: &Levels) -> Result<Vec<f32>, PictureError> {
        let [means, stds] = self.normalisation()?;
        let ([low, high], count) = (self.range, self.channels.count());
        let mut values = Vec::with_capacity(levels.len());
        for channel in 0..count {
            let from = if self.channels == Channels::Bgr { count - 1 - channel } else { channel };
            let normal = |v: f32| (low + (high - low) * v - means[channel]) / stds[channel];
            match levels {
                Levels::Eight(levels) => {
                    let of: [f32; 256] = std::array::from_fn(|level| normal(value(level as u8)));
                    values.extend(levels.chunks_exact(count).map(|pixel| of[usize::from(pixel[from])]));
                }
                Levels::Fine(fine) => values.extend(fine.chunks_exact(count).map(|pixel| normal(pixel[from]))),
            }
        }
        match first_not_finite(&values) {
            Some(at) => Err(wrong(format!("range, mean and std make {} of a value; give others", values[at]))),
            None => Ok(values),
        }
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
                let to = self.resize.to.filter(|to| *to > 0).ok_or_else(no_short_side)?;
                let short = width.min(height);
                let exact = width.max(height) as f64 * to as f64 / short as f64;
                let long = match self.resize.long_side {
                    Rounding::Nearest => exact.round(),
                    Rounding::Down => exact.floor(),
                } as usize;
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
        if let Some(bad) = mean.iter().chain(&std).chain(&self.range).find(|v| !v.is_finite()) {
            return Err(wrong(format!("{bad} among range, mean and std; give finite numbers")));
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

fn no_short_side() -> PictureError {
    wrong("resize mode short-side needs \"to\", the pixels of the short side".to_owned())
}

fn wrong(what: String) -> PictureError {
    PictureError::Preprocess { what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::read_npy;
    use std::path::Path;

    fn ramp(width: usize, height: usize, channels: usize) -> Picture {
        let n = width * height * channels;
        let levels = Levels::Fine((0..n).map(|i| i as f32 / (n - 1).max(1) as f32).collect());
        Picture { width, height, channels, levels }
    }

    fn preset(name: &str) -> Preprocess {
        Preprocess::preset(name).unwrap()
    }

    fn card(json: &str) -> Preprocess {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn imagenet_is_that_of_torchvision() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/picture");
        let picture = Picture::open(&fixtures.join("colour.png")).unwrap();
        let want = read_npy(&fixtures.join("imagenet-28.npy")).unwrap();
        let (got, _) = preset("imagenet").for_input(3, 28, 28).unwrap().apply(&picture).unwrap();
        let off = got.iter().zip(&want.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1.01 / 255.0 / 0.224, "{off}");
    }

    #[test]
    fn values_run_over_the_range() {
        let cases =
            [("unit", 3, 0.0, 1.0), ("signed-unit", 3, -1.0, 1.0), ("xrv", 1, -1024.0, 1024.0), ("unit", 1, 0.0, 1.0)];
        for (name, channels, low, high) in cases {
            let preprocess = preset(name).for_input(channels, 5, 5).unwrap();
            let (values, placement) = preprocess.apply(&ramp(5, 5, channels)).unwrap();
            assert_eq!((values.len(), values[0], values[values.len() - 1]), (25 * channels, low, high), "{name}");
            assert_eq!(placement, Placement { x: 0.0, y: 0.0, width: 5.0, height: 5.0 }, "{name}");
        }
    }

    #[test]
    fn channels_come_in_the_order_of_the_model() {
        let pixel = Picture { width: 1, height: 1, channels: 3, levels: Levels::Eight(vec![255, 102, 0]) };
        let of = |channels: &str| {
            let json = r#"{"channels": "CH", "size": [1, 1], "resize": {"mode": "none"}, "mean": [0.2], "std": [0.5]}"#;
            card(&json.replace("CH", channels)).apply(&pixel).unwrap().0
        };
        assert_eq!(of("RGB"), [1.6, 0.4, -0.4]);
        assert_eq!(of("BGR"), [-0.4, 0.4, 1.6]);
        assert!((of("L")[0] - ((0.534f32 * 255.0).round() / 255.0 - 0.2) / 0.5).abs() < 1e-6);
        let repeated = card(r#"{"channels": "RGB", "size": [1, 1], "resize": {"mode": "none"}}"#);
        assert_eq!(repeated.apply(&ramp(1, 1, 1)).unwrap().0, [0.0; 3]);
    }

    #[test]
    fn presets_bend_to_the_model_and_cards_do_not() {
        let small = preset("imagenet").for_input(1, 112, 112).unwrap();
        assert_eq!((small.resize.to, small.crop, small.size), (Some(128), Some([112, 112]), [112, 112]));
        assert_eq!((small.channels, small.mean.len(), small.std.len()), (Channels::L, 1, 1));
        assert!((small.mean[0] - 0.449).abs() < 1e-6);
        assert!(preset("unit").for_input(4, 8, 8).unwrap_err().to_string().contains("4 channels"));
        assert!(preset("unit").for_input(3, 0, 8).is_err());

        let card = card(r#"{"channels": "L", "size": [8, 9], "resize": {"mode": "stretch"}}"#);
        assert_eq!(card.clone().for_input(1, 8, 9).unwrap(), card);
        for (channels, height, width) in [(3, 8, 9), (1, 9, 8)] {
            let message = card.clone().for_input(channels, height, width).unwrap_err().to_string();
            assert!(
                message.contains("1 x 8 x 9") && message.contains(&format!("{channels} x {height} x {width}")),
                "{message}"
            );
        }
        let message = Preprocess::preset("imagnet").unwrap_err().to_string();
        assert!(message.contains("did you mean imagenet?"), "{message}");
    }

    #[test]
    fn the_placement_finds_the_pixels_again() {
        // A bright pixel, followed through resize and crop, lies where the placement says.
        for (name, width, height, x, y) in [
            ("imagenet", 91, 57, 45, 20),
            ("imagenet", 40, 103, 30, 60),
            ("xrv", 77, 50, 20, 31),
            ("unit", 33, 71, 5, 64),
        ] {
            let levels = Levels::Fine((0..width * height).map(|at| f32::from(u8::from(at == y * width + x))).collect());
            let picture = Picture { width, height, channels: 1, levels };
            let preprocess = preset(name).for_input(1, 28, 36).unwrap();
            let (input, placement) = preprocess.apply(&picture).unwrap();
            let low = input.iter().copied().fold(f32::INFINITY, f32::min);
            let (mut mass, mut at) = (0.0, [0.0; 2]);
            for (i, v) in input.iter().enumerate() {
                mass += v - low;
                at[0] += (v - low) * ((i % 36) as f32 + 0.5) / 36.0;
                at[1] += (v - low) * ((i / 36) as f32 + 0.5) / 28.0;
            }
            let found = [placement.x + at[0] / mass * placement.width, placement.y + at[1] / mass * placement.height];
            let off = [found[0] - x as f32 - 0.5, found[1] - y as f32 - 0.5];
            assert!(off.iter().all(|d| d.abs() < 0.6), "{name} {width} x {height}: off by {off:?}");
        }
    }

    #[test]
    fn wrong_settings_say_what_is_wrong() {
        let cases = [
            (r#""resize": {"mode": "short-side", "to": 0}"#, "needs \"to\""),
            (r#""resize": {"mode": "none"}"#, "becomes 7 x 5 pixels, the model takes 4 x 3"),
            (r#""resize": {"mode": "none"}, "crop": [6, 4]"#, "cannot crop 4 x 6 out of 7 x 5"),
            (r#""resize": {"mode": "stretch"}, "std": [0, 1, 1]"#, "divide by zero"),
            (r#""resize": {"mode": "stretch"}, "mean": [0, 1]"#, "mean has 2 values for 3 channels"),
            (r#""resize": {"mode": "stretch"}, "range": [1, 1]"#, "is empty"),
            (r#""resize": {"mode": "stretch"}, "range": [-3e38, 3e38]"#, "make inf of a value"),
        ];
        for (settings, want) in cases {
            let preprocess = card(&format!(r#"{{"channels": "RGB", "size": [3, 4], {settings}}}"#));
            let message = preprocess.apply(&ramp(7, 5, 3)).unwrap_err().to_string();
            assert!(message.contains(want), "{settings}: {message}");
        }
        let of_no_picture = [
            (r#""resize": {"mode": "short-side", "to": 0}"#, "needs \"to\""),
            (r#""resize": {"mode": "short-side", "to": 2}"#, "less than the size 3 x 4"),
            (r#""resize": {"mode": "stretch"}, "crop": [4, 3]"#, "a crop of 4 x 3 is not the size 3 x 4"),
            (r#""resize": {"mode": "stretch"}, "std": [1, 0, 1]"#, "divide by zero"),
            (r#""resize": {"mode": "stretch"}, "mean": [1e39]"#, "finite"),
            (r#""resize": {"mode": "stretch"}, "mean": [0, 1]"#, "mean has 2 values for 3 channels"),
        ];
        for (settings, want) in of_no_picture {
            let preprocess = card(&format!(r#"{{"channels": "RGB", "size": [3, 4], {settings}}}"#));
            let message = preprocess.for_input(3, 3, 4).unwrap_err().to_string();
            assert!(message.contains(want), "{settings}: {message}");
        }
        let thin = ramp(16_000, 1, 1);
        assert!(preset("imagenet").apply(&thin).unwrap_err().to_string().contains("crop the picture first"));
    }

    #[test]
    fn odd_pictures_fill_the_input() {
        for (width, height) in [(1, 1), (1, 7), (7, 1), (223, 225), (257, 255)] {
            for name in PRESETS {
                let (values, _) = preset(name).apply(&ramp(width, height, 3)).unwrap();
                let count = preset(name).channels.count();
                assert_eq!(values.len(), count * 224 * 224, "{name} {width} x {height}");
                assert!(values.iter().all(|v| v.is_finite()));
            }
        }
    }
}
