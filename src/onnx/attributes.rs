//! Typed access to the attributes of a node.

use super::ImportError;
use super::proto::attribute_proto::AttributeType;
use super::proto::{AttributeProto, AttributeProto as Attribute};
use super::source::SourceNode;

impl SourceNode {
    /// What errors call this node.
    pub fn label(&self) -> &str {
        if self.path.is_empty() { &self.name } else { &self.path }
    }

    pub fn error(&self, reason: impl Into<String>) -> ImportError {
        ImportError::Graph { node: self.full_label(), reason: reason.into() }
    }

    pub fn shape_error(&self, reason: impl Into<String>) -> ImportError {
        ImportError::Shape { node: self.full_label(), reason: reason.into() }
    }

    fn full_label(&self) -> String {
        format!("{} ({})", self.label(), self.op)
    }

    fn typed(&self, name: &str, kind: AttributeType) -> Result<Option<&AttributeProto>, ImportError> {
        match self.attributes.get(name) {
            Some(attribute) if !holds(attribute, kind) => {
                Err(self.error(format!("attribute {name:?} must be of type {}", kind.as_str_name())))
            }
            found => Ok(found),
        }
    }

    pub fn int(&self, name: &str) -> Result<Option<i64>, ImportError> {
        Ok(self.typed(name, AttributeType::Int)?.map(Attribute::i))
    }

    pub fn int_or(&self, name: &str, default: i64) -> Result<i64, ImportError> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    pub fn flag(&self, name: &str, default: bool) -> Result<bool, ImportError> {
        Ok(self.int_or(name, i64::from(default))? != 0)
    }

    pub fn float(&self, name: &str) -> Result<Option<f64>, ImportError> {
        match self.typed(name, AttributeType::Float)?.map(|attribute| f64::from(attribute.f())) {
            Some(value) if value.is_nan() => Err(self.error(format!("attribute {name:?} is not a number"))),
            value => Ok(value),
        }
    }

    pub fn float_or(&self, name: &str, default: f64) -> Result<f64, ImportError> {
        Ok(self.float(name)?.unwrap_or(default))
    }

    pub fn ints(&self, name: &str) -> Result<Option<&[i64]>, ImportError> {
        Ok(self.typed(name, AttributeType::Ints)?.map(|attribute| attribute.ints.as_slice()))
    }

    pub fn floats(&self, name: &str) -> Result<Option<&[f32]>, ImportError> {
        Ok(self.typed(name, AttributeType::Floats)?.map(|attribute| attribute.floats.as_slice()))
    }

    pub fn text(&self, name: &str) -> Result<Option<&str>, ImportError> {
        match self.typed(name, AttributeType::String)? {
            None => Ok(None),
            Some(attribute) => std::str::from_utf8(attribute.s())
                .map(Some)
                .map_err(|_| self.error(format!("attribute {name:?} is not UTF-8"))),
        }
    }
}

/// Files of IR version 1 and 2 do not state the type: then the field that is filled counts.
fn holds(attribute: &AttributeProto, kind: AttributeType) -> bool {
    let stated = attribute.r#type();
    if stated != AttributeType::Undefined {
        return stated == kind;
    }
    match kind {
        AttributeType::Int => attribute.i.is_some(),
        AttributeType::Float => attribute.f.is_some(),
        AttributeType::Ints => !attribute.ints.is_empty(),
        AttributeType::Floats => !attribute.floats.is_empty(),
        AttributeType::String => attribute.s.is_some(),
        _ => false,
    }
}
