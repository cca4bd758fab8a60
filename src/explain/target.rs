use super::ExplainError;
use crate::suggest;

/// Which logits are explained.
///
/// ```
/// use fluoroscope::explain::Target;
///
/// assert_eq!(Target::parse("top:3")?, Target::Top(3));
/// assert_eq!(Target::parse("281")?, Target::Index(281));
/// assert_eq!(Target::parse("tabby")?, Target::Name("tabby".to_owned()));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The K largest logits of each image.
    Top(usize),
    Index(usize),
    /// A class name of the model card, in whatever case where that is no other class; else indices and names, separated by
    /// commas.
    Name(String),
    All,
}

impl Target {
    /// `top`, `top:K`, `all`, an index, a class name, or several of the latter two: `281,tabby`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(count) = text.strip_prefix("top:") {
            return match count.parse() {
                Ok(count) if count > 0 => Ok(Self::Top(count)),
                _ => Err(format!("top:{count} needs a number of at least 1, such as top:3")),
            };
        }
        Ok(match text {
            "top" => Self::Top(1),
            "all" => Self::All,
            _ => text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Index),
        })
    }

    /// Classes to explain for one image's logits, in the order of the maps.
    ///
    /// # Errors
    /// [`ExplainError::Target`] for an index or name that the model does not have, [`ExplainError::AmbiguousTarget`] for
    /// a name that several classes have.
    pub fn resolve(&self, logits: &[f64], classes: &[String]) -> Result<Vec<usize>, ExplainError> {
        match self {
            Self::All => Ok((0..logits.len()).collect()),
            Self::Top(count) => {
                let mut order: Vec<usize> = (0..logits.len()).collect();
                order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
                order.truncate(*count);
                Ok(order)
            }
            Self::Index(index) if *index < logits.len() => Ok(vec![*index]),
            Self::Index(index) => Err(ExplainError::Target { target: index.to_string(), hint: range(logits) }),
            Self::Name(name) => {
                let exact = |class: &String| class == name;
                let in_any_case = |class: &String| class.to_lowercase() == name.to_lowercase();
                let found = match places(classes, exact) {
                    found if found.is_empty() => places(classes, in_any_case),
                    found => found,
                };
                match found.len() {
                    0 if name.contains(',') && near(name, classes).is_none() => several(name, logits, classes),
                    0 => Err(ExplainError::Target { target: format!("{name:?}"), hint: hint(name, logits, classes) }),
                    1 => Ok(found),
                    _ => Err(ExplainError::AmbiguousTarget { name: name.clone(), found: listed(&found, classes) }),
                }
            }
        }
    }
}

/// The classes of a list, each once. Names may have commas, too, so a list is what is no name.
fn several(list: &str, logits: &[f64], classes: &[String]) -> Result<Vec<usize>, ExplainError> {
    let mut found = Vec::new();
    for part in list.split(',').map(str::trim) {
        let target = part.parse().map_or_else(|_| Target::Name(part.to_owned()), Target::Index);
        for class in target.resolve(logits, classes)? {
            if !found.contains(&class) {
                found.push(class);
            }
        }
    }
    Ok(found)
}

fn places(classes: &[String], is_meant: impl Fn(&String) -> bool) -> Vec<usize> {
    (0..classes.len()).filter(|&index| is_meant(&classes[index])).collect()
}

/// `264 "Cardigan", 474 "cardigan"`
fn listed(found: &[usize], classes: &[String]) -> String {
    found.iter().map(|&index| format!("{index} {:?}", classes[index])).collect::<Vec<_>>().join(", ")
}

/// The way out where no class is called `name`.
fn hint(name: &str, logits: &[f64], classes: &[String]) -> String {
    if name.parse::<i128>().is_ok() {
        return range(logits);
    }
    if ["top", "all"].contains(&name) || name.starts_with("top:") {
        return "a list has indices and class names; top, top:K and all stand alone".to_owned();
    }
    if classes.is_empty() {
        return "the model card names no classes; use an index, top, top:K or all".to_owned();
    }
    match near(name, classes) {
        Some(near) => format!("did you mean {near:?}?"),
        None => {
            let few = classes.iter().take(3).map(|class| format!("{class:?}")).collect::<Vec<_>>().join(", ");
            format!("the model card names {} classes, such as {few}; `inspect MODEL --json` lists them", classes.len())
        }
    }
}

/// A class that may be meant by `name`.
fn near<'c>(name: &str, classes: &'c [String]) -> Option<&'c str> {
    suggest::nearest(name, classes.iter().map(String::as_str))
}

fn range(logits: &[f64]) -> String {
    format!("the model has classes 0 to {}", logits.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_resolve() {
        let classes = ["cat".to_owned(), "dog".to_owned(), "fox".to_owned()];
        let resolve = |text: &str| Target::parse(text).map(|t| t.resolve(&[0.1, 3.0, 2.0], &classes));
        assert_eq!(resolve("top").unwrap().unwrap(), [1]);
        assert_eq!(resolve("top:2").unwrap().unwrap(), [1, 2]);
        assert_eq!(resolve("all").unwrap().unwrap(), [0, 1, 2]);
        assert_eq!(resolve("Fox").unwrap().unwrap(), [2]);
        assert_eq!(resolve("0").unwrap().unwrap(), [0]);
        assert!(resolve("3").unwrap().unwrap_err().to_string().contains("0 to 2"));
        assert!(resolve("foz").unwrap().unwrap_err().to_string().contains("\"fox\""));
        assert!(resolve("-1").unwrap().unwrap_err().to_string().contains("0 to 2"));
        assert!(resolve("zebra").unwrap().unwrap_err().to_string().contains("3 classes, such as \"cat\", \"dog\""));
        assert!(resolve("top:0").is_err());
    }

    #[test]
    fn lists_have_indices_and_names() {
        let classes = ["cat", "dog", "tench, Tinca tinca", "fox"].map(str::to_owned);
        let resolve = |text: &str| Target::parse(text).map(|t| t.resolve(&[0.0; 4], &classes));
        for (text, want) in
            [("3,0", &[3, 0][..]), ("fox, Cat", &[3, 0]), ("1,dog,fox,1", &[1, 3]), ("Tench, Tinca Tinca", &[2])]
        {
            assert_eq!(resolve(text).unwrap().unwrap(), want, "{text}");
        }
        for (text, want) in [
            ("0,4", "no target 4; the model has classes 0 to 3"),
            ("cat,foz", "no target \"foz\"; did you mean \"fox\"?"),
            ("0,", "no target \"\""),
            ("tench, Tinca tincaa", "did you mean \"tench, Tinca tinca\"?"),
            (",", "no target \"\""),
            ("top,3", "no target \"top\"; a list has indices and class names"),
            ("3,all", "top, top:K and all stand alone"),
            ("3,top:2", "top, top:K and all stand alone"),
        ] {
            let message = resolve(text).unwrap().unwrap_err().to_string();
            assert!(message.contains(want), "{text}: {message}");
        }
    }

    #[test]
    fn names_are_exact_before_they_are_alike() {
        let classes = ["Cardigan", "crane", "cardigan", "crane", "Maillot", "MAILLOT", "Fox"].map(str::to_owned);
        let resolve = |name: &str| Target::Name(name.to_owned()).resolve(&[0.0; 7], &classes);
        for (name, index) in [("Cardigan", 0), ("cardigan", 2), ("MAILLOT", 5), ("fox", 6)] {
            assert_eq!(resolve(name).unwrap(), [index], "{name}");
        }
        let cases = [
            ("crane", "1 \"crane\", 3 \"crane\""),
            ("CARDIGAN", "0 \"Cardigan\", 2 \"cardigan\""),
            ("maillot", "4 \"Maillot\", 5 \"MAILLOT\""),
        ];
        for (name, want) in cases {
            let message = resolve(name).unwrap_err().to_string();
            assert!(message.contains(want) && message.ends_with("; use an index"), "{name}: {message}");
        }
    }
}
