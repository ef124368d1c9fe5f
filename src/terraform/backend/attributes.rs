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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a look at the attribute `x` with that value finds.
    fn at_x<T>(
        value: Value,
        look: impl Fn(Attributes<'_>) -> Result<T, AttributeError>,
    ) -> Option<T> {
        let object = Map::from_iter([("x".to_owned(), value)]);
        look(Attributes::new(&object)).ok()
    }

    #[test]
    fn numbers_and_switches_may_be_written_as_text() {
        for (value, expected) in [
            (json!(7), Some(Some(7))),
            (json!("7"), Some(Some(7))),
            (json!(null), Some(None)),
            (json!("seven"), None),
            (json!(-7), None),
            (json!(true), None),
        ] {
            assert_eq!(
                at_x(value.clone(), |object| object.whole_number("x")),
                expected,
                "{value}"
            );
        }
        for (value, expected) in [
            (json!(true), Some(Some(true))),
            (json!("false"), Some(Some(false))),
            (json!(null), Some(None)),
            (json!(1), None),
        ] {
            assert_eq!(
                at_x(value.clone(), |object| object.switch("x")),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn an_object_may_stand_in_a_list_of_one() {
        let inside = |value: Value| {
            at_x(value, |object| {
                Ok(object.object("x")?.map(|one| one.text("y")))
            })
        };
        let found = |value| inside(value).map(|object| object.map(|text| text.ok().flatten()));
        let y = || Some("z".to_owned());
        assert_eq!(found(json!({ "y": "z" })), Some(Some(y())));
        assert_eq!(found(json!([{ "y": "z" }])), Some(Some(y())));
        assert_eq!(found(json!([])), Some(None));
        assert_eq!(found(json!(null)), Some(None));
        assert_eq!(found(json!([{ "y": "z" }, {}])), None);
        assert_eq!(found(json!("z")), None);
    }

    #[test]
    fn a_set_is_sorted_and_one_that_is_unset_is_none() {
        let set = |value| at_x(value, |object| object.set("x"));
        let texts = |texts: &[&str]| Some(texts.iter().map(|&text| text.to_owned()).collect());
        assert_eq!(set(json!(["b", "a"])), Some(texts(&["a", "b"])));
        assert_eq!(set(json!([])), Some(texts(&[])));
        assert_eq!(set(json!(null)), Some(None));
        assert_eq!(set(json!([1])), None);
    }
}
