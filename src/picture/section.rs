//! The section `preprocess` of a model card as it is written: any field may be missing.

use serde::Deserialize;
use serde_json::Value;

use super::preprocess::{Channels, Filter, Mode, Open, Preprocess, Resize, Rounding, SIZE, short_side};
use crate::suggest::nearest;

const FIELDS: [&str; 8] = ["channels", "size", "square", "resize", "crop", "range", "mean", "std"];
const FIELDS_OF_RESIZE: [&str; 5] = ["mode", "to", "long_side", "filter", "antialias"];

#[derive(Deserialize)]
#[serde(expecting = "an object with the fields of `preprocess`")]
pub(super) struct Section {
    channels: Option<Channels>,
    size: Option<[usize; 2]>,
    #[serde(default)]
    square: bool,
    #[serde(default)]
    resize: Resizing,
    crop: Option<[usize; 2]>,
    range: Option<[f32; 2]>,
    #[serde(default)]
    mean: Numbers,
    #[serde(default)]
    std: Numbers,
}

#[derive(Default, Deserialize)]
#[serde(expecting = "an object with mode, to, long_side, filter or antialias")]
struct Resizing {
    mode: Option<Mode>,
    to: Option<usize>,
    long_side: Option<Rounding>,
    filter: Option<Filter>,
    antialias: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number or a list of numbers, one per channel")]
enum Numbers {
    One(f32),
    Several(Vec<f32>),
}

impl Default for Numbers {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl From<Numbers> for Vec<f32> {
    fn from(numbers: Numbers) -> Self {
        match numbers {
            Numbers::One(number) => vec![number],
            Numbers::Several(numbers) => numbers,
        }
    }
}

impl From<Section> for Preprocess {
    /// Where nothing says how to resize, it is done as by the preset `imagenet`.
    fn from(section: Section) -> Self {
        let Resizing { mode, to, long_side, filter, antialias } = section.resize;
        let of_size = section.size.or(section.crop);
        let size = of_size.unwrap_or(SIZE);
        let long_side = long_side.unwrap_or(if mode.is_none() { Rounding::Down } else { Rounding::Nearest });
        let mode = mode.unwrap_or(Mode::ShortSide);
        let is_cut = mode == Mode::ShortSide;
        let open = Open {
            channels: section.channels.is_none(),
            size: of_size.is_none(),
            short_side: of_size.is_none() && is_cut && to.is_none(),
            crop: of_size.is_none() && is_cut,
            colours: false,
        };
        let resize = Resize {
            mode,
            to: to.or(is_cut.then(|| short_side(size))),
            long_side,
            filter: filter.unwrap_or_default(),
            antialias: antialias.unwrap_or(true),
        };
        Preprocess {
            channels: section.channels.unwrap_or(Channels::Rgb),
            size,
            square: section.square,
            resize,
            crop: section.crop.or(is_cut.then_some(size)),
            range: section.range.unwrap_or([0.0, 1.0]),
            mean: section.mean.into(),
            std: section.std.into(),
            open,
        }
    }
}

/// Whether a JSON file is the section alone, and no card that has one.
pub(super) fn is_alone(file: &Value) -> bool {
    let has = |field: &str| file.get(field).is_some();
    FIELDS.into_iter().any(has) && !["preprocess", "input"].into_iter().any(has)
}

/// What the writer of a section should know: fields that mean nothing, and numbers that are missing.
pub(super) fn remarks(section: &Value) -> Vec<String> {
    let mut remarks = unknown("preprocess", section, &FIELDS);
    remarks
        .extend(section.get("resize").map_or_else(Vec::new, |it| unknown("preprocess.resize", it, &FIELDS_OF_RESIZE)));
    if section.is_object() && ["range", "mean", "std"].into_iter().all(|field| section.get(field).is_none()) {
        remarks.push("preprocess gives no range, mean or std: values run from 0 to 1".to_owned());
    }
    remarks
}

fn unknown(name: &str, section: &Value, fields: &[&str]) -> Vec<String> {
    let keys = section.as_object().into_iter().flat_map(|section| section.keys());
    let remark = |key: &String| {
        let way_out = match nearest(key, fields.iter().copied()) {
            Some(field) => format!("did you mean {field}?"),
            None => format!("the fields are {}", fields.join(", ")),
        };
        format!("{name}.{key} is not known and is passed over; {way_out}")
    };
    keys.filter(|key| !fields.contains(&key.as_str())).map(remark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn section(json: Value) -> Preprocess {
        serde_json::from_value(json).unwrap()
    }

    /// Short side and crop for an input of the given size.
    fn fitted(json: Value, [channels, height, width]: [usize; 3]) -> (Channels, Option<usize>, Option<[usize; 2]>) {
        let fitted = section(json).for_input(channels, height, width).unwrap();
        assert_eq!(fitted.size, [height, width]);
        (fitted.channels, fitted.resize.to, fitted.crop)
    }

    #[test]
    fn what_is_missing_is_as_without_a_card() {
        let plain = section(json!({})).for_input(3, 64, 64).unwrap();
        let imagenet = Preprocess::preset("imagenet").unwrap().for_input(3, 64, 64).unwrap();
        assert_eq!((&plain.resize, plain.crop, plain.range), (&imagenet.resize, imagenet.crop, [0.0, 1.0]));
        assert!(plain.mean.is_empty() && plain.std.is_empty() && !plain.square);

        let (cut, short) = (Some([64, 48]), Some(73));
        for (json, input, want) in [
            (json!({"size": [64, 48]}), [1, 64, 48], (Channels::L, short, cut)),
            (json!({"crop": [64, 48]}), [3, 64, 48], (Channels::Rgb, short, cut)),
            (json!({"resize": {"to": 80}}), [3, 64, 48], (Channels::Rgb, Some(80), cut)),
            (json!({"channels": "BGR", "resize": {"mode": "short-side"}}), [3, 64, 48], (Channels::Bgr, short, cut)),
            (json!({"resize": {"mode": "stretch"}}), [1, 64, 48], (Channels::L, None, None)),
            (json!({"resize": {"mode": "none"}, "size": [64, 48]}), [1, 64, 48], (Channels::L, None, None)),
        ] {
            assert_eq!(fitted(json.clone(), input), want, "{json}");
        }
    }

    #[test]
    fn what_the_model_decides_is_not_checked_before() {
        for json in [json!({"resize": {"to": 70}}), json!({"mean": [0.5, 0.5, 0.5]}), json!({"mean": 0.5})] {
            assert!(section(json.clone()).check().is_ok(), "{json}");
        }
        assert_eq!(section(json!({})).fixed_size(), None);
        assert_eq!(section(json!({"crop": [5, 6]})).fixed_size(), Some([5, 6]));
        for (json, channels, want) in [
            (json!({}), 4, "4 channels"),
            (json!({"mean": [0.5, 0.5, 0.5]}), 1, "mean has 3 values for 1 channels"),
            (json!({"resize": {"to": 70}}), 3, "a short side of 70"),
            (json!({"channels": "L"}), 3, "made for 1 x 96 x 96"),
        ] {
            let message = section(json.clone()).for_input(channels, 96, 96).unwrap_err().to_string();
            assert!(message.contains(want), "{json}: {message}");
        }
    }

    #[test]
    fn numbers_serve_all_channels_and_what_is_none_is_told() {
        let section = section(json!({"mean": 0.5, "std": 2}));
        assert_eq!((section.mean, section.std), (vec![0.5], vec![2.0]));
        let message = serde_json::from_str::<Preprocess>(r#"{"mean": "half"}"#).unwrap_err().to_string();
        assert!(message.contains("a number or a list of numbers"), "{message}");
        let message = serde_json::from_str::<Preprocess>(r#"{"resize": "stretch"}"#).unwrap_err().to_string();
        assert!(message.contains("an object with mode, to"), "{message}");
    }

    #[test]
    fn the_fields_are_those_that_are_read() {
        for field in FIELDS {
            assert!(serde_json::from_value::<Preprocess>(json!({field: "?"})).is_err(), "{field}");
        }
        for field in FIELDS_OF_RESIZE {
            assert!(serde_json::from_value::<Preprocess>(json!({"resize": {field: "?"}})).is_err(), "{field}");
        }
        let all = json!({
            "channels": "RGB", "size": [8, 8], "square": true, "crop": [8, 8], "range": [0, 1], "mean": [0], "std": 1,
            "resize": {"mode": "short-side", "to": 9, "long_side": "down", "filter": "nearest", "antialias": false}
        });
        assert!(remarks(&all).is_empty());
    }

    #[test]
    fn slips_are_remarked() {
        let slips = json!({"meen": 0.5, "range": [0, 1], "resize": {"fliter": "bicubic"}, "interpolation": 3});
        let found = remarks(&slips).join("\n");
        for want in [
            "preprocess.meen is not known and is passed over; did you mean mean?",
            "preprocess.resize.fliter is not known and is passed over; did you mean filter?",
            "preprocess.interpolation is not known and is passed over; the fields are channels, size",
        ] {
            assert!(found.contains(want), "{found}");
        }
        assert_eq!(
            remarks(&json!({"size": [8, 8]})),
            ["preprocess gives no range, mean or std: values run from 0 to 1"]
        );
    }
}
