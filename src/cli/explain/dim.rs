//! Pictures of 16 bits that use few of their levels: most likely data of fewer bits, which a network sees nearly black.

use crate::cli::inputs::Image;

/// The white of 12 bits, the most of which films of fewer than 16 have.
const FEW: u16 = 4095;

/// Those that were read so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dim {
    count: usize,
    /// Source of the first of them.
    first: Option<usize>,
    brightest: u16,
}

impl Dim {
    /// A picture that is black all over says nothing of its bits.
    pub fn see(&mut self, image: &Image) {
        let Some(brightest @ 1..=FEW) = image.brightest else { return };
        self.count += 1;
        self.first.get_or_insert(image.source);
        self.brightest = self.brightest.max(brightest);
    }

    /// What to know of them, with the file that the first came from.
    pub fn text(&self, file: impl FnOnce(usize) -> String) -> Option<String> {
        let first = file(self.first?);
        let (subject, object) = match self.count {
            1 => (format!("{first} stores"), "it is"),
            count => (format!("{count} pictures, {first} the first of them, store"), "they are"),
        };
        let bits = bits(self.brightest);
        Some(format!(
            "{subject} 16 bits and no level above {} of 65535: {object} nearly black to the network; \
             if the data has {bits} bits, give --white {}",
            self.brightest,
            (1u32 << bits) - 1
        ))
    }
}

/// Bits that data with such a level may have been taken with: 8, 10 or 12.
fn bits(brightest: u16) -> u32 {
    (u16::BITS - brightest.leading_zeros()).next_multiple_of(2).max(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_white_is_that_of_the_bits_in_use() {
        for (brightest, want) in [(1, 8), (255, 8), (256, 10), (1023, 10), (1024, 12), (2048, 12), (FEW, 12)] {
            assert_eq!(bits(brightest), want, "{brightest}");
        }
    }

    #[test]
    fn one_is_named_and_several_are_counted() {
        let text = |dim: Dim| dim.text(|source| format!("{source}.png"));
        assert_eq!(text(Dim::default()), None);
        let one = text(Dim { count: 1, first: Some(4), brightest: 3071 }).expect("a note");
        assert!(one.starts_with("4.png stores 16 bits and no level above 3071 of 65535: it is"), "{one}");
        assert!(one.ends_with("if the data has 12 bits, give --white 4095"), "{one}");
        let three = text(Dim { count: 3, first: Some(4), brightest: 900 }).expect("a note");
        assert!(three.starts_with("3 pictures, 4.png the first of them, store 16 bits"), "{three}");
        assert!(three.ends_with("--white 1023"), "{three}");
    }
}
