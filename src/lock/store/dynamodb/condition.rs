//! The condition of a write: the item is still the one last seen.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{INFO, LOCK_ID};
use crate::lock::record::ATTRIBUTES;
use crate::lock::store::{Revision, Stored};

/// How many attributes of an item that is not a terraform lock to compare.
const MOST_COMPARED: usize = 40;

/// A condition that only the item last seen satisfies.
pub(super) struct Condition {
    pub(super) expression: String,
    pub(super) names: Option<HashMap<String, String>>,
    pub(super) values: Option<HashMap<String, AttributeValue>>,
}

impl Condition {
    pub(super) fn new(expected: Option<&Stored>) -> Self {
        let Some(Revision::Item(item)) = expected.map(|stored| &stored.revision) else {
            return Self {
                expression: format!("attribute_not_exists({LOCK_ID})"),
                names: None,
                values: None,
            };
        };
        let mut terms = vec![format!("attribute_exists({LOCK_ID})")];
        let mut names = HashMap::new();
        let mut values = HashMap::new();
        let mut seen: Vec<_> = item.iter().filter(|(name, _)| *name != LOCK_ID).collect();
        seen.sort_by_key(|(name, _)| *name);
        // An expression is limited to 4 kB. Foreign attributes matter only if there is no lock info to compare.
        if item.get(INFO).is_some_and(AttributeValue::is_s) {
            seen.retain(|(name, _)| ATTRIBUTES.contains(&name.as_str()));
        } else {
            seen.truncate(MOST_COMPARED);
        }
        for (index, (name, value)) in seen.into_iter().enumerate() {
            terms.push(format!("#a{index} = :a{index}"));
            names.insert(format!("#a{index}"), name.clone());
            values.insert(format!(":a{index}"), value.clone());
        }
        for (index, name) in ATTRIBUTES
            .into_iter()
            .filter(|name| !item.contains_key(*name))
            .enumerate()
        {
            terms.push(format!("attribute_not_exists(#n{index})"));
            names.insert(format!("#n{index}"), name.to_owned());
        }
        Self {
            expression: terms.join(" AND "),
            names: Some(names).filter(|names| !names.is_empty()),
            values: Some(values).filter(|values| !values.is_empty()),
        }
    }
}
