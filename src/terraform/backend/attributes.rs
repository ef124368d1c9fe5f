//! Typed access to the attributes of a backend's configuration.
//!
//! Like terraform, this treats an empty string as unset unless a method says otherwise. Errors name the attribute and
//! never its value.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::secret::Secret;

/// Why an attribute of a backend's configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// It has the wrong type.
    #[error("the backend's attribute `{name}` is not {expected}")]
    WrongType {
        /// The attribute.
        name: &'static str,
        /// The expected type, with its article.
        expected: &'static str,
    },
    /// It is required but missing.
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
        "run `tflock init -reconfigure`, which makes terraform record the backend again".to_owned()
    }
}

/// The attributes of one object: the configuration or a nested block.
#[derive(Clone, Copy)]
pub(in crate::terraform) struct Attributes<'a>(&'a Map<String, Value>);

impl<'a> Attributes<'a> {
    pub(in crate::terraform) fn new(object: &'a Map<String, Value>) -> Self {
        Self(object)
    }

    fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(in crate::terraform) fn possibly_empty_text(
        self,
        name: &'static str,
    ) -> Result<Option<String>, AttributeError> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.typed(name, "a string", text)
    }

    pub(in crate::terraform) fn text(
        self,
        name: &'static str,
    ) -> Result<Option<String>, AttributeError> {
        Ok(self
            .possibly_empty_text(name)?
            .filter(|text| !text.is_empty()))
    }

    pub(in crate::terraform) fn required_text(
        self,
        name: &'static str,
    ) -> Result<String, AttributeError> {
        self.text(name)?.ok_or(AttributeError::Missing { name })
    }

    /// A non-empty string that must never be shown.
    pub(super) fn secret(self, name: &'static str) -> Result<Option<Secret>, AttributeError> {
        Ok(self.text(name)?.map(Secret::new))
    }

    /// A string, possibly empty, that must never be shown.
    pub(super) fn possibly_empty_secret(
        self,
        name: &'static str,
    ) -> Result<Option<Secret>, AttributeError> {
        Ok(self.possibly_empty_text(name)?.map(Secret::new))
    }

    /// A boolean; like terraform, accepts the strings `true` and `false`.
    pub(super) fn switch(self, name: &'static str) -> Result<Option<bool>, AttributeError> {
        self.typed(name, "a boolean", |value| match value {
            Value::Bool(switch) => Some(*switch),
            Value::String(text) => text.parse().ok(),
            _ => None,
        })
    }

    pub(super) fn whole_number(self, name: &'static str) -> Result<Option<u64>, AttributeError> {
        self.typed(name, "a whole number", |value| match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        })
    }

    /// A list or set of strings; empty if unset.
    pub(super) fn texts(self, name: &'static str) -> Result<Vec<String>, AttributeError> {
        let texts = |value: &Value| {
            let texts = value.as_array()?.iter();
            texts.map(|text| text.as_str().map(str::to_owned)).collect()
        };
        Ok(self
            .typed(name, "a list of strings", texts)?
            .unwrap_or_default())
    }

    /// A set of strings in terraform's (alphabetical) order; `None` if unset.
    pub(super) fn set(self, name: &'static str) -> Result<Option<Vec<String>>, AttributeError> {
        if self.get(name).is_none() {
            return Ok(None);
        }
        let mut texts = self.texts(name)?;
        texts.sort();
        Ok(Some(texts))
    }

    /// A map of strings; empty if unset.
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
        Ok(self
            .typed(name, "a map of strings", map)?
            .unwrap_or_default())
    }

    /// A nested object; some schemas wrap it in a list of one.
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
