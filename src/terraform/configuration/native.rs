//! Backend blocks in the native syntax.

use hcl_edit::expr::{Expression, ObjectKey, UnaryOperator};
use hcl_edit::structure::{Block as Written, Body};
use hcl_edit::template::{Element, Template};
use serde_json::{Map, Value};

use super::block::Block;
use super::{BACKEND, CLOUD, STATE_STORE};

/// The blocks of a file that say where states are kept; on failure the line.
pub(super) fn blocks(content: &str) -> Result<Vec<Block>, usize> {
    let body: Body = content
        .parse()
        .map_err(|error: hcl_edit::parser::Error| error.location().line())?;
    let inner = body
        .get_blocks("terraform")
        .flat_map(|terraform| terraform.body.blocks());
    Ok(inner.filter_map(block).collect())
}

fn block(written: &Written) -> Option<Block> {
    let type_name = match written.ident.as_str() {
        BACKEND => written.labels.first()?.as_str(),
        word @ (CLOUD | STATE_STORE) => word,
        _ => return None,
    };
    Some(Block {
        type_name: type_name.to_owned(),
        settings: settings(&written.body),
    })
}

fn settings(body: &Body) -> Vec<(String, Option<Value>)> {
    let mut settings: Vec<(String, Option<Value>)> = body
        .attributes()
        .map(|attribute| (attribute.key.as_str().to_owned(), literal(&attribute.value)))
        .collect();
    for nested in body.blocks() {
        let value = settings_of_nested(&nested.body);
        let name = nested.ident.as_str();
        match settings.iter_mut().find(|(known, _)| known == name) {
            // More than one of them.
            Some((_, Some(Value::Array(several)))) if value.is_some() => several.extend(value),
            Some((_, one)) => {
                *one = one
                    .take()
                    .zip(value)
                    .map(|(one, value)| Value::Array(vec![one, value]));
            }
            None => settings.push((name.to_owned(), value)),
        }
    }
    settings
}

fn settings_of_nested(body: &Body) -> Option<Value> {
    let members = settings(body).into_iter();
    let members: Option<Map<String, Value>> =
        members.map(|(name, value)| Some((name, value?))).collect();
    members.map(Value::Object)
}

/// What an expression is without evaluating anything.
fn literal(expression: &Expression) -> Option<Value> {
    match expression {
        Expression::Null(_) => Some(Value::Null),
        Expression::Bool(value) => Some(Value::Bool(*value.as_ref())),
        Expression::Number(number) => serde_json::from_str(&number.value().to_string()).ok(),
        Expression::String(text) => Some(Value::String(text.as_str().to_owned())),
        Expression::Array(items) => items.iter().map(literal).collect(),
        Expression::Object(object) => {
            let members = object.iter().map(|(key, value)| {
                let key = match key {
                    ObjectKey::Ident(name) => name.as_str().to_owned(),
                    ObjectKey::Expression(Expression::String(name)) => name.as_str().to_owned(),
                    ObjectKey::Expression(_) => return None,
                };
                Some((key, literal(value.expr())?))
            });
            let members: Option<Map<String, Value>> = members.collect();
            members.map(Value::Object)
        }
        Expression::StringTemplate(template) => {
            let parts = template.iter().map(text_of);
            parts.collect::<Option<String>>().map(Value::String)
        }
        Expression::HeredocTemplate(heredoc) => {
            let mut dedented = heredoc.clone();
            if heredoc.indent().is_some() {
                dedented.dedent();
            }
            text_of_template(&dedented.template).map(Value::String)
        }
        Expression::Parenthesis(inner) => literal(inner.inner()),
        Expression::UnaryOp(operation) if *operation.operator.value() == UnaryOperator::Neg => {
            match literal(&operation.expr)? {
                Value::Number(number) => serde_json::from_str(&format!("-{number}")).ok(),
                _ => None,
            }
        }
        _ => None,
    }
}

fn text_of_template(template: &Template) -> Option<String> {
    template.iter().map(text_of).collect()
}

fn text_of(element: &Element) -> Option<String> {
    match element {
        Element::Literal(text) => Some(text.as_str().to_owned()),
        Element::Interpolation(_) | Element::Directive(_) => None,
    }
}
