//! Two maps side by side: how far apart they are, and whether they rank the pixels alike.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::picture::PictureError;
use crate::tensor::Tensor;

/// How a map `a` differs from a map `b`, the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub shape: Vec<usize>,
    /// The largest absolute difference over the largest absolute value of `b`; infinite when only `b` is all zero.
    pub max_difference: f64,
    /// Spearman's rank correlation, ties averaged; `None` when a map has no two different values.
    pub rank_correlation: Option<f64>,
}

/// Two files that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The path relative to the folders, or the file name of `a`.
    pub name: String,
    pub a: PathBuf,
    pub b: PathBuf,
}

/// What keeps two maps, or two folders of maps, from being compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error("shapes differ: {a:?} and {b:?}; compare maps of one resolution and reduction")]
    Shapes { a: Vec<usize>, b: Vec<usize> },
    #[error("{} and {}: one is a folder, the other a file; give two of a kind", a.display(), b.display())]
    Kinds { a: PathBuf, b: PathBuf },
    #[error("{}: no .npy files here", folder.display())]
    Nothing { folder: PathBuf },
    #[error("without a partner: {}; both folders must hold the same names", missing.join(", "))]
    Partners { missing: Vec<String> },
    #[error("{}: cannot list: {source}", folder.display())]
    List { folder: PathBuf, source: std::io::Error },
    #[error(transparent)]
    File(#[from] PictureError),
}

/// Compares `a` with the reference `b`, of any shape.
///
/// # Errors
/// Different shapes.
pub fn compare(a: &Tensor, b: &Tensor) -> Result<Comparison, CompareError> {
    if a.shape != b.shape {
        return Err(CompareError::Shapes { a: a.shape.clone(), b: b.shape.clone() });
    }
    let distance = |(x, y): (&f32, &f32)| (f64::from(*x) - f64::from(*y)).abs();
    let largest = a.data.iter().zip(&b.data).map(distance).fold(0.0, f64::max);
    let max_difference = if largest == 0.0 { 0.0 } else { largest / f64::from(b.peak()) };
    let rank_correlation = correlation(&ranks(&a.data), &ranks(&b.data));
    Ok(Comparison { shape: a.shape.clone(), max_difference, rank_correlation })
}

/// The files to compare: `a` with `b`, or every `.npy` file below folder `a` with that of the same relative name below `b`.
///
/// # Errors
/// A file and a folder, folders without `.npy` files, and names that only one folder has (all of them are listed).
pub fn pair_up(a: &Path, b: &Path) -> Result<Vec<Pair>, CompareError> {
    if a.is_dir() != b.is_dir() {
        return Err(CompareError::Kinds { a: a.to_owned(), b: b.to_owned() });
    }
    if !a.is_dir() {
        let name = a.file_name().unwrap_or(a.as_os_str()).to_string_lossy().into_owned();
        return Ok(vec![Pair { name, a: a.to_owned(), b: b.to_owned() }]);
    }
    let (left, mut right) = (arrays_below(a)?, arrays_below(b)?);
    let (mut pairs, mut missing) = (Vec::new(), Vec::new());
    for (name, a) in left {
        match right.remove(&name) {
            Some(b) => pairs.push(Pair { name, a, b }),
            None => missing.push(b.join(&name).display().to_string()),
        }
    }
    missing.extend(right.keys().map(|name| a.join(name).display().to_string()));
    if !missing.is_empty() {
        return Err(CompareError::Partners { missing });
    }
    Ok(pairs)
}

/// Every `.npy` file below `folder` by its relative name, with `/` between the parts.
fn arrays_below(folder: &Path) -> Result<BTreeMap<String, PathBuf>, CompareError> {
    let mut found = BTreeMap::new();
    let mut open = vec![(folder.to_owned(), String::new())];
    while let Some((inner, prefix)) = open.pop() {
        let list = |source| CompareError::List { folder: inner.clone(), source };
        for entry in std::fs::read_dir(&inner).map_err(list)? {
            let entry = entry.map_err(list)?;
            let (path, name) = (entry.path(), format!("{prefix}{}", entry.file_name().to_string_lossy()));
            // A link to a folder is not followed: it may lead back up.
            if entry.file_type().map_err(list)?.is_dir() {
                open.push((path, format!("{name}/")));
            } else if path.extension().is_some_and(|e| e == "npy") {
                found.insert(name, path);
            }
        }
    }
    if found.is_empty() {
        return Err(CompareError::Nothing { folder: folder.to_owned() });
    }
    Ok(found)
}

/// The rank of every value, from 0; equal values share the mean of their ranks.
fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    // -0 and 0 are one value, though not one order.
    order.sort_unstable_by(|&i, &j| (values[i] + 0.0).total_cmp(&(values[j] + 0.0)));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for tied in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let mean = start as f64 + (tied.len() - 1) as f64 / 2.0;
        tied.iter().for_each(|&i| ranks[i] = mean);
        start += tied.len();
    }
    ranks
}

/// Pearson's correlation; `None` when one side does not vary.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x - mean_a, y - mean_b);
        (ab, aa, bb) = (ab + x * y, aa + x * x, bb + y * y);
    }
    (aa > 0.0 && bb > 0.0).then(|| (ab / (aa.sqrt() * bb.sqrt())).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::write_npy;

    fn row(values: &[f32]) -> Tensor {
        Tensor::new(&[values.len()], values.to_vec())
    }

    #[test]
    fn differences_and_ranks() {
        type Case = (&'static str, &'static [f32], &'static [f32], f64, Option<f64>);
        let cases: [Case; 9] = [
            ("equal", &[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], 0.0, Some(1.0)),
            ("monotone", &[1.0, 4.0, 9.0], &[1.0, 2.0, 3.0], 2.0, Some(1.0)),
            ("reversed", &[3.0, 2.0, 1.0], &[1.0, 2.0, 3.0], 2.0 / 3.0, Some(-1.0)),
            // scipy.stats.spearmanr([1, 2, 2, 3], [1, 3, 2, 2])
            ("ties", &[1.0, 2.0, 2.0, 3.0], &[1.0, 3.0, 2.0, 2.0], 1.0 / 3.0, Some(0.5)),
            ("signed zeros", &[0.0, -0.0, 1.0], &[0.0, 0.0, 1.0], 0.0, Some(1.0)),
            ("constant", &[1.0, 1.0], &[1.0, 2.0], 0.5, None),
            ("both zero", &[0.0, 0.0], &[0.0, 0.0], 0.0, None),
            ("reference zero", &[0.0, 1.0], &[0.0, 0.0], f64::INFINITY, None),
            ("empty", &[], &[], 0.0, None),
        ];
        for (name, a, b, difference, rank) in cases {
            let got = compare(&row(a), &row(b)).unwrap();
            assert!(
                (got.max_difference - difference).abs() < 1e-7 || got.max_difference == difference,
                "{name}: {got:?}"
            );
            match (got.rank_correlation, rank) {
                (Some(got), Some(want)) => assert!((got - want).abs() < 1e-12, "{name}: {got} {want}"),
                (got, want) => assert_eq!(got, want, "{name}"),
            }
        }
    }

    #[test]
    fn shapes_must_agree() {
        let message = compare(&Tensor::zeros(&[2, 3]), &Tensor::zeros(&[3, 2])).unwrap_err().to_string();
        assert!(message.contains("[2, 3] and [3, 2]"), "{message}");
    }

    #[test]
    fn folders_pair_by_relative_name() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|n| folder.path().join(n));
        for path in [a.join("x.npy"), a.join("deep/y.npy"), b.join("x.npy"), b.join("deep/y.npy"), b.join("note.txt")] {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_npy(&path, &row(&[1.0])).unwrap();
        }
        let names: Vec<String> = pair_up(&a, &b).unwrap().into_iter().map(|p| p.name).collect();
        assert_eq!(names, ["deep/y.npy", "x.npy"]);

        assert_eq!(pair_up(&a.join("x.npy"), &b.join("x.npy")).unwrap().len(), 1);
        assert!(matches!(pair_up(&a, &b.join("x.npy")), Err(CompareError::Kinds { .. })));

        std::fs::remove_file(b.join("x.npy")).unwrap();
        std::fs::remove_file(a.join("deep/y.npy")).unwrap();
        let message = pair_up(&a, &b).unwrap_err().to_string();
        assert!(message.contains("x.npy") && message.contains("y.npy"), "{message}");
        std::fs::remove_file(a.join("x.npy")).unwrap();
        assert!(matches!(pair_up(&a, &b), Err(CompareError::Nothing { .. })));
    }
}
