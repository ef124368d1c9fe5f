//! Backend blocks in the JSON syntax (`hcl/json/spec.md` of hashicorp/hcl).

use serde_json::{Map, Value};

use super::block::Block;
use super::{BACKEND, CLOUD, STATE_STORE};

/// A key that is a comment.
const COMMENT: &str = "//";

/// The blocks of a file that say where states are kept; on failure the line.
pub(super) fn blocks(content: &str) -> Result<Vec<Block>, usize> {
    let root: Value = serde_json::from_str(content).map_err(|error| error.line())?;
    let mut blocks = Vec::new();
    for terraform in one_or_many(root.get("terraform")) {
        for labels in one_or_many(terraform.get(BACKEND)).filter_map(Value::as_object) {
            for (type_name, bodies) in labels.iter().filter(|(name, _)| *name != COMMENT) {
                blocks.extend(one_or_many(Some(bodies)).map(|body| block(type_name, body)));
            }
        }
        for word in [CLOUD, STATE_STORE] {
            blocks.extend(one_or_many(terraform.get(word)).map(|body| block(word, body)));
        }
    }
    Ok(blocks)
}

fn block(type_name: &str, body: &Value) -> Block {
    let settings = body.as_object().into_iter().flatten();
    let settings = settings.filter(|(name, _)| *name != COMMENT);
    Block {
        type_name: type_name.to_owned(),
        settings: settings
            .map(|(name, value)| (name.clone(), literal(value)))
            .collect(),
    }
}

/// A value without its comments; `None` where a template may have to be evaluated.
fn literal(value: &Value) -> Option<Value> {
    Some(match value {
        Value::String(text) => Value::String(plain(text)?),
        Value::Array(items) => Value::Array(items.iter().map(literal).collect::<Option<_>>()?),
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| *name != COMMENT);
            let members: Option<Map<String, Value>> = members
                .map(|(name, value)| Some((plain(name)?, literal(value)?)))
                .collect();
            Value::Object(members?)
        }
        other => other.clone(),
    })
}

/// terraform takes texts in a backend block as they are, OpenTofu as templates.
fn plain(text: &str) -> Option<String> {
    let is_template = text.contains("${") || text.contains("%{");
    (!is_template).then(|| text.to_owned())
}

/// In JSON a block is an object, or an array of them; null is none.
fn one_or_many(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let all = match value {
        Some(Value::Array(several)) => several.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    all.iter().filter(|value| !value.is_null())
}
