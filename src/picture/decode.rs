//! Image files in: the content decides the format, 16 bits stay 16 bits, sizes are bounded before anything is allocated.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::num::NonZeroU16;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use tiff::decoder::DecodingResult;

use super::{Levels, Picture, PictureError};
use crate::tensor::first_not_finite;

/// The widest and highest picture read.
pub const MAX_SIDE: u32 = 16384;
/// The most bytes a decoded picture may take (as stored: 1 or 2 per 8 or 16-bit value).
pub const MAX_BYTES: u64 = 256 << 20;
/// The level of 16-bit files that is white unless told otherwise.
pub const WHITE: NonZeroU16 = NonZeroU16::MAX;

impl Picture {
    /// Reads a PNG, JPEG, TIFF (8 or 16 bit, or f32 in `0..=1`) or WebP file, grey or RGB.
    ///
    /// Alpha is dropped, palettes are expanded, and the orientation that EXIF data asks for is applied.
    ///
    /// # Errors
    /// Names the file and what is wrong with it: missing, empty, no picture, too large, damaged.
    pub fn open(path: &Path) -> Result<Picture, PictureError> {
        Self::open_with(path, WHITE).map(|(picture, _)| picture)
    }

    /// The same, where `white` is the level of 16-bit files that becomes 1, as does all above it; with the brightest level of
    /// such a file.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn open_with(path: &Path, white: NonZeroU16) -> Result<(Picture, Option<u16>), PictureError> {
        let read = |source| PictureError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(read)?;
        let about = file.metadata().map_err(read)?;
        if about.is_dir() {
            return Err(read(std::io::ErrorKind::IsADirectory.into()));
        }
        Self::from_reader(path, BufReader::new(file), about.len(), white)
    }

    /// As [`Picture::open`], of the bytes of a file with that name.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn from_bytes(name: impl AsRef<Path>, bytes: &[u8]) -> Result<Picture, PictureError> {
        Self::from_reader(name.as_ref(), Cursor::new(bytes), bytes.len() as u64, WHITE).map(|(picture, _)| picture)
    }

    fn from_reader(
        path: &Path,
        mut input: impl BufRead + Seek,
        length: u64,
        white: NonZeroU16,
    ) -> Result<(Picture, Option<u16>), PictureError> {
        let read = |source| PictureError::Read { path: path.to_owned(), source };
        let is_dicom = is_called_dicom(path) || begins_as_dicom(&mut input);
        input.rewind().map_err(read)?;
        Self::decoded(path, input, length, white).map_err(|error| match error {
            // Its preamble may be the beginning of a TIFF, which a few are as a whole.
            PictureError::Decode { path, .. } | PictureError::Format { path, .. } if is_dicom => {
                PictureError::Format { path, hint: DICOM_HINT }
            }
            error => error,
        })
    }

    fn decoded(
        path: &Path,
        input: impl BufRead + Seek,
        length: u64,
        white: NonZeroU16,
    ) -> Result<(Picture, Option<u16>), PictureError> {
        let read = |source| PictureError::Read { path: path.to_owned(), source };
        let decode = |e: image::ImageError| PictureError::Decode { path: path.to_owned(), reason: one_line(&e) };
        if length == 0 {
            return Err(PictureError::Empty { path: path.to_owned() });
        }
        let mut reader = ImageReader::new(input).with_guessed_format().map_err(read)?;
        let Some(ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Tiff | ImageFormat::WebP) = reader.format() else {
            return Err(PictureError::Format { path: path.to_owned(), hint: hint(path) });
        };
        if reader.format() == Some(ImageFormat::Tiff) {
            let mut file = reader.into_inner();
            if let Some(picture) = grey_float_tiff(path, &mut file)? {
                return Ok((picture, None));
            }
            file.rewind().map_err(read)?;
            reader = ImageReader::with_format(file, ImageFormat::Tiff);
        }
        if reader.format() == Some(ImageFormat::Jpeg) {
            let mut file = reader.into_inner();
            let mut bytes = Vec::new();
            file.rewind().and_then(|()| file.by_ref().take(MAX_BYTES).read_to_end(&mut bytes)).map_err(read)?;
            if !ends(&bytes) {
                return Err(PictureError::Decode { path: path.to_owned(), reason: "it is cut short".to_owned() });
            }
            file.rewind().map_err(read)?;
            reader = ImageReader::with_format(file, ImageFormat::Jpeg);
        }
        // Side lengths are checked here: a decoder that is given them says only that a limit was passed.
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_BYTES);
        reader.limits(limits.clone());
        let mut decoder = reader.into_decoder().map_err(decode)?;
        let (width, height) = decoder.dimensions();
        check_size(path, width, height, decoder.total_bytes())?;
        limits.reserve(decoder.total_bytes()).map_err(decode)?;
        decoder.set_limits(limits).map_err(decode)?;
        let orientation = decoder.orientation().map_err(decode)?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(decode)?;
        image.apply_orientation(orientation);
        let brightest = brightest(&image);
        let picture = from_image(image, white)
            .ok_or_else(|| PictureError::Decode { path: path.to_owned(), reason: "unknown pixel type".into() })?;
        Ok((check_values(path, picture)?, brightest))
    }
}

/// Whether a JPEG comes to its end: what is missing of one that does not, decoders fill with grey and say nothing. Segments of a marker
/// and their length, of which a scan is followed by its data, in which 0xff is never followed by a marker's code (ITU-T T.81, B.1).
fn ends(bytes: &[u8]) -> bool {
    const RESTARTS: std::ops::RangeInclusive<u8> = 0xd0..=0xd7;
    let mut at = 2;
    while let Some(rest) = bytes.get(at..) {
        let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff) && !RESTARTS.contains(&pair[1]);
        let Some(marker) = rest.windows(2).position(is_marker) else { return false };
        let [_, code, length @ ..] = &rest[marker..] else { return false };
        if *code == 0xd9 {
            return true;
        }
        let Some(&[high, low]) = length.first_chunk() else { return false };
        at += marker + 2 + usize::from(u16::from_be_bytes([high, low]));
    }
    false
}

/// A TIFF of one float channel, which `image` does not read; `None` for any other TIFF.
fn grey_float_tiff(path: &Path, file: &mut (impl BufRead + Seek)) -> Result<Option<Picture>, PictureError> {
    let decode = |e: tiff::TiffError| PictureError::Decode { path: path.to_owned(), reason: e.to_string() };
    let mut decoder = tiff::decoder::Decoder::new(file).map_err(decode)?;
    if decoder.colortype().map_err(decode)? != tiff::ColorType::Gray(32) {
        return Ok(None);
    }
    let (width, height) = decoder.dimensions().map_err(decode)?;
    check_size(path, width, height, u64::from(width) * u64::from(height) * 4)?;
    let DecodingResult::F32(data) = decoder.read_image().map_err(decode)? else { return Ok(None) };
    let (width, height, levels) = (width as usize, height as usize, Levels::Fine(data));
    check_values(path, Picture { width, height, channels: 1, levels }).map(Some)
}

fn check_size(path: &Path, width: u32, height: u32, bytes: u64) -> Result<(), PictureError> {
    if width > MAX_SIDE || height > MAX_SIDE || bytes > MAX_BYTES {
        return Err(PictureError::TooLarge { path: path.to_owned(), width, height });
    }
    if width == 0 || height == 0 {
        let reason = format!("{width} x {height} pixels");
        return Err(PictureError::Decode { path: path.to_owned(), reason });
    }
    Ok(())
}

/// Float files may hold anything; a range that is not 0..=1 is not guessed at.
fn check_values(path: &Path, picture: Picture) -> Result<Picture, PictureError> {
    let Levels::Fine(values) = &picture.levels else { return Ok(picture) };
    if let Some(at) = first_not_finite(values) {
        let (row, column) = (at / picture.channels / picture.width, at / picture.channels % picture.width);
        return Err(PictureError::NotFinite {
            path: path.to_owned(),
            index: vec![row, column, at % picture.channels],
            value: values[at],
        });
    }
    let (low, high) = values.iter().fold((0.0f32, 0.0f32), |(low, high), &v| (low.min(v), high.max(v)));
    if low < 0.0 || high > 1.0 {
        return Err(PictureError::Values { path: path.to_owned(), low, high });
    }
    Ok(picture)
}

/// The greatest level of 16 bits; alpha is none.
fn brightest(image: &DynamicImage) -> Option<u16> {
    let colours =
        |raw: &[u16], stride: usize| raw.chunks_exact(stride).flat_map(|pixel| &pixel[..stride - 1]).copied().max();
    match image {
        DynamicImage::ImageLuma16(i) => i.as_raw().iter().copied().max(),
        DynamicImage::ImageRgb16(i) => i.as_raw().iter().copied().max(),
        DynamicImage::ImageLumaA16(i) => colours(i.as_raw(), 2),
        DynamicImage::ImageRgba16(i) => colours(i.as_raw(), 4),
        _ => None,
    }
}

fn from_image(image: DynamicImage, white: NonZeroU16) -> Option<Picture> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let white = white.get();
    let words =
        |raw: Vec<u16>| Levels::Fine(raw.into_iter().map(|v| f32::from(v.min(white)) / f32::from(white)).collect());
    let (channels, levels) = match image {
        DynamicImage::ImageLuma8(i) => (1, Levels::Eight(i.into_raw())),
        DynamicImage::ImageLumaA8(i) => (1, Levels::Eight(opaque::<_, 2, 1>(i.as_raw()))),
        DynamicImage::ImageRgb8(i) => (3, Levels::Eight(i.into_raw())),
        DynamicImage::ImageRgba8(i) => (3, Levels::Eight(opaque::<_, 4, 3>(i.as_raw()))),
        DynamicImage::ImageLuma16(i) => (1, words(i.into_raw())),
        DynamicImage::ImageLumaA16(i) => (1, words(opaque::<_, 2, 1>(i.as_raw()))),
        DynamicImage::ImageRgb16(i) => (3, words(i.into_raw())),
        DynamicImage::ImageRgba16(i) => (3, words(opaque::<_, 4, 3>(i.as_raw()))),
        DynamicImage::ImageRgb32F(i) => (3, Levels::Fine(i.into_raw())),
        DynamicImage::ImageRgba32F(i) => (3, Levels::Fine(opaque::<_, 4, 3>(i.as_raw()))),
        _ => return None,
    };
    Some(Picture { width, height, channels, levels })
}

/// The first `KEPT` of every `STRIDE` values: alpha is last, and goes.
fn opaque<T: Copy, const STRIDE: usize, const KEPT: usize>(raw: &[T]) -> Vec<T> {
    let pixels = raw.as_chunks::<STRIDE>().0.iter();
    pixels.map(|pixel| std::array::from_fn::<_, KEPT, _>(|i| pixel[i])).collect::<Vec<_>>().into_flattened()
}

/// What to do with DICOM.
pub(crate) const DICOM_HINT: &str = "convert DICOM to 16-bit PNG first";

/// Whether a file is DICOM, by its name or its content.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn is_dicom(path: &Path) -> bool {
    is_called_dicom(path) || File::open(path).is_ok_and(|mut file| begins_as_dicom(&mut file))
}

fn is_called_dicom(path: &Path) -> bool {
    path.extension().is_some_and(|end| ["dcm", "dicom"].iter().any(|known| end.eq_ignore_ascii_case(known)))
}

/// By the letters behind the preamble of 128 bytes (DICOM PS3.10, 7.1).
fn begins_as_dicom(input: &mut impl Read) -> bool {
    const PREAMBLE: usize = 128;
    let mut start = [0; PREAMBLE + 4];
    input.read_exact(&mut start).is_ok() && start[PREAMBLE..] == *b"DICM"
}

fn hint(path: &Path) -> &'static str {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("npy") => "a .npy file is a model input: it skips decoding and preprocessing",
        Some("onnx") => "this is a model; the picture comes after it",
        Some("png" | "jpg" | "jpeg" | "tif" | "tiff" | "webp") => {
            "the name says so, but the content does not: is the file whole?"
        }
        _ => "convert it to PNG first",
    }
}

fn one_line(error: &image::ImageError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// A PNG of `width` x `height` 8-bit RGB pixels that has a header and no more than a bit of data.
    fn png_header(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_chunk(png::chunk::IDAT, &[120, 156, 1]).unwrap();
        drop(writer);
        bytes
    }

    #[test]
    fn sixteen_bits_survive() {
        let grey = image::ImageBuffer::from_raw(3, 1, vec![0u16, 257, 258]).unwrap();
        let cases = [("a.png", ImageFormat::Png), ("a.tif", ImageFormat::Tiff)];
        for (name, format) in cases {
            let (_folder, path) = file(name, &encoded(&DynamicImage::ImageLuma16(grey.clone()), format));
            let picture = Picture::open(&path).unwrap();
            assert_eq!((picture.width, picture.height, picture.channels), (3, 1, 1), "{name}");
            assert_eq!(picture.levels.values()[..], [0.0, 257.0 / 65535.0, 258.0 / 65535.0], "{name}");
        }
    }

    #[test]
    fn bytes_are_read_as_the_file_that_has_them() {
        let rgb = DynamicImage::ImageRgb8(image::RgbImage::from_raw(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap());
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff, ImageFormat::WebP] {
            let bytes = encoded(&rgb, format);
            let (_folder, path) = file("a", &bytes);
            assert_eq!(Picture::from_bytes("a", &bytes).unwrap(), Picture::open(&path).unwrap(), "{format:?}");
        }
        let dicom = [&[0; 128], &b"DICM"[..], &[0; 9]].concat();
        for (bytes, word) in [(&dicom[..], "DICOM"), (b"", "empty"), (b"no picture", "convert it to PNG")] {
            let error = Picture::from_bytes("film", bytes).unwrap_err().to_string();
            assert!(error.starts_with("film: ") && error.contains(word), "{error}");
        }
    }

    #[test]
    fn another_level_may_be_white() {
        let deep = DynamicImage::ImageLumaA16(image::ImageBuffer::from_raw(2, 1, vec![1023, 65535, 4200, 9]).unwrap());
        let (_folder, path) = file("a.png", &encoded(&deep, ImageFormat::Png));
        let open = |white| Picture::open_with(&path, white).unwrap();
        let (picture, brightest) = open(NonZeroU16::new(4092).unwrap());
        assert_eq!((&picture.levels.values()[..], brightest), (&[0.25, 1.0][..], Some(4200)));
        assert_eq!(open(WHITE).0, Picture::open(&path).unwrap());
        let (_folder, path) = file("b.png", &encoded(&DynamicImage::new_rgb8(2, 1), ImageFormat::Png));
        assert_eq!(Picture::open_with(&path, NonZeroU16::MIN).unwrap(), (Picture::open(&path).unwrap(), None));
    }

    #[test]
    fn alpha_goes_and_the_content_decides() {
        let image = image::RgbaImage::from_raw(1, 1, vec![255, 51, 0, 7]).unwrap();
        let image = DynamicImage::ImageRgba8(image);
        for (name, format) in [
            ("a.png", ImageFormat::Png),
            ("a.webp", ImageFormat::WebP),
            ("a.tiff", ImageFormat::Tiff),
            ("wrong.jpg", ImageFormat::Png),
            ("none", ImageFormat::Png),
        ] {
            let (_folder, path) = file(name, &encoded(&image, format));
            assert_eq!(Picture::open(&path).unwrap().levels.values()[..], [1.0, 0.2, 0.0], "{name}");
        }
    }

    #[test]
    fn palettes_and_single_bits_are_expanded() {
        let mut indexed = Vec::new();
        let mut encoder = png::Encoder::new(&mut indexed, 2, 1);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(vec![255, 0, 0, 0, 0, 255]);
        encoder.write_header().unwrap().write_image_data(&[1, 0]).unwrap();
        let (_folder, path) = file("p.png", &indexed);
        assert_eq!(Picture::open(&path).unwrap().levels.values()[..], [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);

        let mut bits = Vec::new();
        let mut encoder = png::Encoder::new(&mut bits, 3, 1);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        encoder.write_header().unwrap().write_image_data(&[0b1010_0000]).unwrap();
        let (_folder, path) = file("b.png", &bits);
        assert_eq!(Picture::open(&path).unwrap().levels.values()[..], [1.0, 0.0, 1.0]);
    }

    #[test]
    fn float_tiffs_are_read_in_range_only() {
        use tiff::encoder::{TiffEncoder, colortype};
        let write = |values: &[f32]| {
            let mut bytes = std::io::Cursor::new(Vec::new());
            let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
            encoder.write_image::<colortype::Gray32Float>(values.len() as u32, 1, values).unwrap();
            file("f.tif", &bytes.into_inner())
        };
        let (_folder, path) = write(&[0.0, 0.123_456_79, 1.0]);
        assert_eq!(Picture::open(&path).unwrap().levels.values()[..], [0.0, 0.123_456_79, 1.0]);
        let (_folder, path) = write(&[-1024.0, 3071.0]);
        assert!(Picture::open(&path).unwrap_err().to_string().contains("-1024 to 3071"));
        let (_folder, path) = write(&[0.0, f32::NAN]);
        assert!(Picture::open(&path).unwrap_err().to_string().contains("[0, 1, 0]"));
    }

    #[test]
    fn the_orientation_of_exif_is_applied() {
        use image::ImageEncoder;
        // Orientation 6: the right side of the stored picture is the bottom of the shown one.
        let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let image = image::GrayImage::from_fn(16, 8, |x, _| image::Luma([if x < 8 { 0 } else { 255 }]));
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif.to_vec()).unwrap();
        encoder.write_image(image.as_raw(), 16, 8, image::ExtendedColorType::L8).unwrap();
        let (_folder, path) = file("turned.jpg", &bytes);
        let picture = Picture::open(&path).unwrap();
        assert_eq!((picture.width, picture.height, picture.channels), (8, 16, 1));
        assert!(picture.pixel(3, 2)[0] < 0.1 && picture.pixel(3, 13)[0] > 0.9);
    }

    #[test]
    fn what_follows_the_end_of_a_jpeg_is_left_alone() {
        let mut jpeg = encoded(&DynamicImage::new_rgb8(64, 64), ImageFormat::Jpeg);
        jpeg.extend_from_slice(b"of a camera");
        let (_folder, path) = file("long.jpg", &jpeg);
        assert_eq!(Picture::open(&path).unwrap().width, 64);
    }

    #[test]
    fn bad_files_are_named_in_one_line() {
        let whole = encoded(&DynamicImage::new_rgb8(9, 9), ImageFormat::Png);
        let jpeg = encoded(&DynamicImage::new_rgb8(64, 64), ImageFormat::Jpeg);
        let mut huge_jpeg = jpeg.clone();
        let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        huge_jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
        let tiff = encoded(&DynamicImage::new_rgb8(64, 64), ImageFormat::Tiff);
        let webp = encoded(&DynamicImage::new_rgb8(64, 64), ImageFormat::WebP);
        let cases: [(&str, Vec<u8>, &str); 16] = [
            ("huge.jpg", huge_jpeg, "65535 x 65535 pixels are too many"),
            ("empty.png", vec![], "empty (0 bytes)"),
            ("huge.png", png_header(100_000, 100_000), "100000 x 100000 pixels are too many"),
            ("wide.png", png_header(20_000, 1), "20000 x 1 pixels are too many"),
            ("heavy.png", png_header(16_000, 16_000), "16000 x 16000 pixels are too many"),
            ("cut.png", whole[..whole.len() / 2].to_vec(), "cannot decode"),
            ("cut.jpg", jpeg[..30].to_vec(), "cannot decode"),
            ("half.jpg", jpeg[..jpeg.len() - 20].to_vec(), "cut short"),
            ("last.jpg", jpeg[..jpeg.len() - 1].to_vec(), "cut short"),
            ("cut.tif", tiff[..tiff.len() / 2].to_vec(), "cannot decode"),
            ("cut.webp", webp[..webp.len() - 3].to_vec(), "cannot decode"),
            ("text.txt", b"hello, this is no picture".to_vec(), "not a PNG, JPEG, TIFF or WebP"),
            ("film.DCM", vec![0; 200], "convert DICOM"),
            ("IM001", [&[0; 128][..], b"DICM"].concat(), "convert DICOM"),
            ("film.png", [&[0; 128][..], b"DICM"].concat(), "convert DICOM"),
            ("IM002", [&b"II*\0\xff\xff\0\0"[..], &[0; 120], b"DICM"].concat(), "convert DICOM"),
        ];
        for (name, bytes, want) in cases {
            let (_folder, path) = file(name, &bytes);
            let message = Picture::open(&path).expect_err(name).to_string();
            assert!(message.contains(want) && message.contains(name) && !message.contains('\n'), "{name}: {message}");
        }
        let missing = Picture::open(Path::new("no/such.png")).unwrap_err().to_string();
        assert!(missing.starts_with("no/such.png: cannot read"), "{missing}");
    }
}
