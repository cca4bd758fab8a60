//! One picture in every format that is read, and what result files say about themselves.

use std::path::PathBuf;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use safetensors::SafeTensors;

use super::{Scene, rnet};

/// Of the peak: rounding where values are equal, and what JPEG loses at its best quality.
const SAME: f32 = 1e-5;
const JPEG: f32 = 0.1;

fn colour() -> RgbImage {
    RgbImage::from_fn(24, 24, |x, y| Rgb([(40 + 6 * x) as u8, (20 + 5 * y) as u8, (200 - 3 * x - 2 * y) as u8]))
}

/// The same with 16 bits: 257 v of 65535 is v of 255.
fn deep(picture: &RgbImage) -> ImageBuffer<Rgb<u16>, Vec<u16>> {
    ImageBuffer::from_fn(24, 24, |x, y| Rgb(picture.get_pixel(x, y).0.map(|v| 257 * u16::from(v))))
}

fn save(scene: &Scene, name: &str, picture: impl Into<DynamicImage>) {
    let path: PathBuf = scene.path(name);
    let picture = picture.into();
    if name.ends_with(".jpg") {
        let file = std::fs::File::create(path).expect("a file");
        picture.write_with_encoder(JpegEncoder::new_with_quality(file, 100)).expect("a picture");
    } else {
        picture.save(path).expect("a picture");
    }
}

#[test]
fn one_picture_in_every_format_gives_one_map() {
    let scene = Scene::new();
    let colour = colour();
    let grey = GrayImage::from_fn(24, 24, |x, y| Luma([(30 + 5 * x + 3 * y) as u8]));
    let deep_grey = ImageBuffer::from_fn(24, 24, |x, y| Luma([257 * u16::from(grey.get_pixel(x, y).0[0])]));
    for name in ["rgb.png", "rgb-tiff.tiff", "rgb-webp.webp", "rgb-jpeg.jpg"] {
        save(&scene, name, colour.clone());
    }
    for name in ["rgb-16.png", "rgb-16-tiff.tif"] {
        save(&scene, name, deep(&colour));
    }
    for name in ["grey.png", "grey-tiff.tiff", "grey-jpeg.jpg"] {
        save(&scene, name, grey.clone());
    }
    for name in ["grey-16.png", "grey-16-tiff.tif"] {
        save(&scene, name, deep_grey.clone());
    }
    let args = ["explain", &rnet(), ".", "-m", "grad-cam,input-x-gradient", "-t", "1", "--format", "npy", "-o", "out"];
    scene.run(&args).exits(0);
    let map = |stem: &str, method: &str| scene.array_at(&format!("out/{stem}.1.{method}.npy"));
    let same =
        ["16", "tiff", "16-tiff", "webp"].map(|format| (format, ["grad-cam", "input-x-gradient"].as_slice(), SAME));
    let cases = same.into_iter().chain([("jpeg", ["grad-cam"].as_slice(), JPEG)]);
    let mut wrong = Vec::new();
    for (format, methods, bound) in cases {
        for kind in ["rgb", "grey"] {
            if (kind, format) == ("grey", "webp") {
                continue;
            }
            for method in methods {
                let (want, got) = (map(kind, method), map(&format!("{kind}-{format}"), method));
                let off = want.data.iter().zip(&got.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                if off > bound * want.peak() {
                    wrong.push(format!("{kind}-{format}, {method}: off by {:e} of the peak", off / want.peak()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn films_of_twelve_bits_are_noted_and_read_with_their_white() {
    let scene = Scene::new();
    let grey = GrayImage::from_fn(24, 24, |x, y| Luma([(30 + 5 * x + 4 * y) as u8]));
    let level = |v: u8, white: f32| (f32::from(v) / 255.0 * white).round() as u16;
    let stored = |white: f32| ImageBuffer::from_fn(24, 24, |x, y| Luma([level(grey.get_pixel(x, y).0[0], white)]));
    save(&scene, "eight.png", grey.clone());
    save(&scene, "sixteen.png", stored(65535.0));
    save(&scene, "black.png", stored(0.0));
    save(&scene, "film.png", stored(4080.0));
    save(&scene, "other.tif", stored(4080.0));
    let inputs = ["eight.png", "sixteen.png", "black.png", "film.png", "other.tif"];
    let explain = |options: &[&str]| {
        let model = rnet();
        let fixed = ["explain", &model, "-m", "input-x-gradient", "-t", "1", "--format", "npy"];
        scene.run(&[&fixed, &inputs[..], options].concat())
    };
    let ran = explain(&[]).exits(0);
    let note = "note: 2 pictures, film.png the first of them, store 16 bits and no level above";
    assert!(ran.stderr.contains(note) && ran.stderr.contains("--white 4095"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("--white").count(), 1, "{}", ran.stderr);

    let ran = explain(&["--white", "4080"]).exits(0);
    assert!(!ran.stderr.contains("--white"), "{}", ran.stderr);
    let map = |stem: &str| scene.array_at(&format!("heatmaps/{stem}.1.input-x-gradient.npy"));
    let want = map("eight");
    for stem in ["film", "other"] {
        let off = want.data.iter().zip(&map(stem).data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-2 * want.peak(), "{stem}: off by {:e} of the peak", off / want.peak());
    }
    for level in ["0", "65536", "-1"] {
        explain(&["--white", level]).exits(2).says(&["--white", "1 to 65535"]);
    }
}

#[test]
fn safetensors_say_what_they_hold() {
    let scene = Scene::new();
    save(&scene, "a.png", colour());
    let args = ["explain", &rnet(), "a.png", "-m", "deeplift", "-t", "face", "--format", "safetensors", "--json"];
    let object = scene.run(&args).exits(0).objects().remove(0);
    let bytes = std::fs::read(scene.path("heatmaps/a.1.deeplift.safetensors")).expect("a file");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("safetensors");
    let about = header.metadata().as_ref().expect("metadata");
    for (key, want) in
        [("Method", "deeplift"), ("Class", "face"), ("Target", "1"), ("Model", "rnet.onnx"), ("Input", "a.png")]
    {
        assert_eq!(about[key], want, "{key}");
    }
    assert_eq!(about["Logit"].parse::<f64>().ok(), object["report"]["logit"].as_f64());
    let reports: serde_json::Value = serde_json::from_str(&about["Reports"]).expect("JSON");
    assert_eq!(reports[0]["report"], object["report"]);
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    assert_eq!(file.tensor("map").expect("a map").shape(), [3, 24, 24]);
}
