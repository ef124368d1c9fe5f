//! Typed access to the attributes of a backend's configuration.
//!
//! Terraform treats an empty text as one that was not set, and so does this, except where a method says otherwise.
//! Errors name the attribute and never its value.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::secret::Secret;

/// Why an attribute of a backend's configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// It has another type than terraform gives it.
    #[error("the backend's attribute `{name}` is not {expected}")]
    WrongType {
        /// The attribute.
        name: &'static str,
        /// What it should be, with its article.
        expected: &'static str,
    },
    /// Terraform does not work without it, and it is not there.
    #[error("the backend has no `{name}`")]
    Missing {
        /// The attribute.
        name: &'static str,
    },
}

impl AttributeError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        "run `tflock init -reconfigure`, so that terraform records the backend again".to_owned()
    }
}

/// The attributes of one object: the configuration, or a block nested in it.
#[derive(Clone, Copy)]
pub(in crate::terraform) struct Attributes<'a>(&'a Map<String, Value>);

impl<'a> Attributes<'a> {
    pub(in crate::terraform) fn new(object: &'a Map<String, Value>) -> Self {
        Self(object)
    }

    fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text, which may be empty.
    pub(in crate::terraform) fn possibly_empty_text(
        self,
        name: &'static str,
    ) -> Result<Option<String>, AttributeError> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.typed(name, "a text", text)
    }

    /// A text that is not empty.
    pub(in crate::terraform) fn text(
        self,
        name: &'static str,
    ) -> Result<Option<String>, AttributeError> {
        Ok(self
            .possibly_empty_text(name)?
            .filter(|text| !text.is_empty()))
    }

    /// A text without which terraform does not work.
    pub(in crate::terraform) fn required_text(
        self,
        name: &'static str,
    ) -> Result<String, AttributeError> {
        self.text(name)?.ok_or(AttributeError::Missing { name })
    }

    /// A text that must never be shown.
    pub(super) fn secret(self, name: &'static str) -> Result<Option<Secret>, AttributeError> {
        Ok(self.text(name)?.map(Secret::new))
    }

    /// A text that must never be shown and may be empty.
    pub(super) fn possibly_empty_secret(
        self,
        name: &'static str,
    ) -> Result<Option<Secret>, AttributeError> {
        Ok(self.possibly_empty_text(name)?.map(Secret::new))
    }

    /// A boolean; terraform converts the texts `true` and `false`.
    pub(super) fn switch(self, name: &'static str) -> Result<Option<bool>, AttributeError> {
        self.typed(name, "a boolean", |value| match value {
            Value::Bool(switch) => Some(*switch),
            Value::String(text) => text.parse().ok(),
            _ => None,
        })
    }

    /// A number that is whole and not negative.
    pub(super) fn whole_number(self, name: &'static str) -> Result<Option<u64>, AttributeError> {
        self.typed(name, "a whole number", |value| match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        })
    }

    /// A list or set of texts; empty if it was not set.
    pub(super) fn texts(self, name: &'static str) -> Result<Vec<String>, AttributeError> {
        let texts = |value: &Value| {
            let texts = value.as_array()?.iter();
            texts.map(|text| text.as_str().map(str::to_owned)).collect()
        };
        Ok(self
            .typed(name, "a list of texts", texts)?
            .unwrap_or_default())
    }

    /// A set of texts in terraform's order, which is that of the alphabet; `None` if it was not set.
    pub(super) fn set(self, name: &'static str) -> Result<Option<Vec<String>>, AttributeError> {
        if self.get(name).is_none() {
            return Ok(None);
        }
        let mut texts = self.texts(name)?;
        texts.sort();
        Ok(Some(texts))
    }

    /// A map of texts; empty if it was not set.
    pub(super) fn text_map(
        self,
        name: &'static str,
    ) -> Result<BTreeMap<String, String>, AttributeError> {
        let map = |value: &Value| {
            let entries = value.as_object()?.iter();
            entries
                .map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned())))
                .collect()
        };
        Ok(self.typed(name, "a map of texts", map)?.unwrap_or_default())
    }

    /// A nested object; some schemas have it as a list of one.
    pub(in crate::terraform) fn object(
        self,
        name: &'static str,
    ) -> Result<Option<Self>, AttributeError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Self(object))),
            Some(Value::Array(list)) if list.is_empty() => Ok(None),
            Some(Value::Array(list)) if list.len() == 1 => Ok(list[0].as_object().map(Self)),
            Some(_) => Err(AttributeError::WrongType {
                name,
                expected: "an object",
            }),
        }
    }

    fn typed<T>(
        self,
        name: &'static str,
        expected: &'static str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, AttributeError> {
        match self.get(name).map(convert) {
            Some(None) => Err(AttributeError::WrongType { name, expected }),
            converted => Ok(converted.flatten()),
        }
    }
}
