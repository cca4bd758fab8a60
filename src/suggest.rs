//! "Did you mean ...?": the edit distance behind every message about an unknown name.

/// Levenshtein distance, ignoring case.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = corner + usize::from(ca != *cb);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

/// The candidate nearest to `name`, if it is near enough to be a slip of the keyboard.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (gap, best) = candidates.into_iter().map(|c| (distance(name, c), c)).min_by_key(|(gap, _)| *gap)?;
    (gap <= 2.max(name.len() / 3)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_slip() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(nearest("gradcam", ["grad-cam", "saliency"]), Some("grad-cam"));
        assert_eq!(nearest("zzz", ["grad-cam", "saliency"]), None);
    }
}
