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
    /// A class name of the model card.
    Name(String),
    All,
}

impl Target {
    /// `top`, `top:K`, `all`, an index or a class name.
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
    /// [`ExplainError::Target`] for an index or name that the model does not have.
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
            Self::Index(index) => Err(ExplainError::Target {
                target: index.to_string(),
                hint: format!("the model has classes 0 to {}", logits.len().saturating_sub(1)),
            }),
            Self::Name(name) => {
                let found = classes.iter().position(|class| class.eq_ignore_ascii_case(name));
                found.map(|index| vec![index]).ok_or_else(|| ExplainError::Target {
                    target: format!("{name:?}"),
                    hint: match (classes.is_empty(), suggest::nearest(name, classes.iter().map(String::as_str))) {
                        (true, _) => "the model card names no classes; use an index, top, top:K or all".to_owned(),
                        (false, Some(near)) => format!("did you mean {near:?}?"),
                        (false, None) => "the model card lists the class names".to_owned(),
                    },
                })
            }
        }
    }
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
        assert!(resolve("top:0").is_err());
    }
}
