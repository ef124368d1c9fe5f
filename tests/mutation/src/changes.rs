//! Finds what can be changed in a file: as a tired colleague would, one thing at a time.
//!
//! Constants, patterns, types and the arguments of macros cannot be switched at run time and are left alone; a constant is
//! changed where it is used.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, BinOp, Block, Expr, Item, Lit, Pat, ReturnType, Signature, Stmt, Type, UnOp};

/// A place in a file and what may stand there instead.
#[derive(Debug, Clone)]
pub struct Site {
    /// In bytes.
    pub range: Range<usize>,
    /// Counted from one.
    pub lines: Range<usize>,
    pub form: Form,
    /// The function that it is in.
    pub function: String,
    pub changes: Vec<Change>,
    /// The constant that it is: that is changed at all of its places in a file at once.
    pub constant: Option<String>,
}

/// How a change is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The expression is replaced.
    Value,
    /// The statement is left out.
    Statement,
    /// The function returns at once.
    Return,
    /// The arm of a match is left out.
    Arm,
}

/// One change.
#[derive(Debug, Clone)]
pub struct Change {
    /// What stands there instead.
    pub text: String,
    /// The same for people, and for the list of survivors.
    pub what: String,
}

/// All that can be changed in `text`.
pub fn in_file(text: &str, constants: &BTreeSet<String>) -> syn::Result<Vec<Site>> {
    let file = syn::parse_file(text)?;
    let mut finder = Finder {
        text,
        constants,
        path: Vec::new(),
        sites: BTreeMap::new(),
    };
    finder.visit_file(&file);
    Ok(finder.sites.into_values().collect())
}

/// The names of the constants that are numbers or times.
pub fn constants_in(text: &str) -> syn::Result<BTreeSet<String>> {
    let file = syn::parse_file(text)?;
    let numbers = file.items.iter().filter_map(|item| match item {
        Item::Const(one) if is_number(&one.ty) => Some(one.ident.to_string()),
        _ => None,
    });
    Ok(numbers.collect())
}

fn is_number(kind: &Type) -> bool {
    ["Duration", "u8", "u16", "u32", "u64", "usize", "i32", "i64"]
        .contains(&last_word(kind).as_str())
}

fn last_word(kind: &Type) -> String {
    match kind {
        Type::Path(path) => match path.path.segments.last() {
            Some(last) => last.ident.to_string(),
            None => String::new(),
        },
        Type::Tuple(tuple) if tuple.elems.is_empty() => "()".to_owned(),
        _ => String::new(),
    }
}

fn first_argument(kind: &Type) -> Option<&Type> {
    let Type::Path(path) = kind else { return None };
    let syn::PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments
    else {
        return None;
    };
    match arguments.args.first()? {
        syn::GenericArgument::Type(kind) => Some(kind),
        _ => None,
    }
}

/// What a function with that type could return without doing anything.
fn simple_values(kind: &Type) -> Vec<String> {
    let texts: &[&str] = match last_word(kind).as_str() {
        "()" => &["()"],
        "bool" => &["true", "false"],
        "Option" => &["None"],
        "Vec" => &["Vec::new()"],
        "String" => &["String::new()"],
        "Duration" => &["std::time::Duration::ZERO"],
        "u32" | "u64" | "usize" | "i32" => &["0", "1"],
        "Result" => {
            let inner = first_argument(kind).map(simple_values).unwrap_or_default();
            return inner.iter().map(|value| format!("Ok({value})")).collect();
        }
        _ => &[],
    };
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// Tests, and what is not built here.
fn is_left_out(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return attribute.path().is_ident("test");
        };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg")
            && (condition == "test" || condition.starts_with("not (target_os"))
    })
}

/// Whether a `let` of a chain is among the operands.
fn binds(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) => binds(&binary.left) || binds(&binary.right),
        Expr::Paren(inner) => binds(&inner.expr),
        _ => false,
    }
}

struct Finder<'file> {
    text: &'file str,
    constants: &'file BTreeSet<String>,
    path: Vec<String>,
    /// From the outermost to the innermost of each place.
    sites: BTreeMap<(usize, std::cmp::Reverse<usize>), Site>,
}

impl Finder<'_> {
    fn of(&self, span: Span) -> &str {
        &self.text[span.byte_range()]
    }

    fn add(&mut self, form: Form, range: Range<usize>, lines: Range<usize>, changes: Vec<Change>) {
        let site = self
            .sites
            .entry((range.start, std::cmp::Reverse(range.end)));
        let function = self.path.join("::");
        let site = site.or_insert_with(|| Site {
            range,
            lines,
            form,
            function,
            changes: Vec::new(),
            constant: None,
        });
        for change in changes {
            if site.form == form && site.changes.iter().all(|known| known.text != change.text) {
                site.changes.push(change);
            }
        }
    }

    fn replace(&mut self, expression: &Expr, with: impl IntoIterator<Item = String>) {
        let span = expression.span();
        let before = one_line(self.of(span));
        let changes = with.into_iter().map(|text| Change {
            what: format!("`{before}` → `{}`", one_line(&text)),
            text,
        });
        let changes = changes.collect();
        self.add(Form::Value, span.byte_range(), lines_of(span), changes);
    }

    /// A condition that decides on its own.
    fn condition(&mut self, expression: &Expr, values: &[&str]) {
        if !binds(expression) && !matches!(expression, Expr::Lit(_)) {
            self.replace(expression, values.iter().map(|&value| value.to_owned()));
        }
    }

    fn operand(&mut self, expression: &Expr, neutral: &str) {
        let is_chain = matches!(expression, Expr::Binary(binary) if matches!(binary.op, BinOp::And(_) | BinOp::Or(_)));
        if !is_chain {
            self.condition(expression, &[neutral]);
        }
    }

    fn binary(&mut self, expression: &Expr, binary: &syn::ExprBinary) {
        let others: &[&str] = match binary.op {
            BinOp::Lt(_) => &["<=", ">="],
            BinOp::Le(_) => &["<", ">"],
            BinOp::Gt(_) => &[">=", "<="],
            BinOp::Ge(_) => &[">", "<"],
            BinOp::Eq(_) => &["!="],
            BinOp::Ne(_) => &["=="],
            BinOp::And(_) if !binds(expression) => &["||"],
            BinOp::Or(_) => &["&&"],
            BinOp::Add(_) => &["-"],
            BinOp::Sub(_) => &["+"],
            BinOp::AddAssign(_) => &["-="],
            BinOp::SubAssign(_) => &["+="],
            _ => &[],
        };
        let sides = [binary.left.span(), binary.right.span()].map(|span| self.of(span).to_owned());
        let [left, right] = sides;
        self.replace(
            expression,
            others.iter().map(|other| format!("{left} {other} {right}")),
        );
        match binary.op {
            BinOp::And(_) => {
                self.operand(&binary.left, "true");
                self.operand(&binary.right, "true");
            }
            BinOp::Or(_) => {
                self.operand(&binary.left, "false");
                self.operand(&binary.right, "false");
            }
            _ => {}
        }
    }

    fn literal(&mut self, expression: &Expr, literal: &Lit) {
        match literal {
            Lit::Bool(literal) => self.replace(expression, [(!literal.value).to_string()]),
            // Not what is counted in bits: modes and masks.
            Lit::Int(number) if !number.to_string().contains(['x', 'o', 'b']) => {
                if let Ok(value) = number.base10_parse::<u64>() {
                    let other = if value == 0 {
                        1
                    } else {
                        value.saturating_mul(2)
                    };
                    self.replace(expression, [format!("{other}{}", number.suffix())]);
                }
            }
            _ => {}
        }
    }

    fn constant(&mut self, expression: &Expr, path: &syn::ExprPath) {
        let name = self.of(path.span()).to_owned();
        self.replace(expression, [format!("{name} * 2"), format!("{name} / 2")]);
        let range = path.span().byte_range();
        let site = self
            .sites
            .get_mut(&(range.start, std::cmp::Reverse(range.end)));
        site.expect("it was just added").constant = Some(name);
    }

    fn method(&mut self, expression: &Expr, call: &syn::ExprMethodCall) {
        let other = match call.method.to_string().as_str() {
            "min" => "max",
            "max" => "min",
            "any" => "all",
            "all" => "any",
            "is_some_and" => "is_none_or",
            "is_none_or" => "is_some_and",
            _ => return,
        };
        let method = call.method.span().byte_range();
        let whole = expression.span().byte_range();
        let text = format!(
            "{}{other}{}",
            &self.text[whole.start..method.start],
            &self.text[method.end..whole.end]
        );
        self.replace(expression, [text]);
    }

    fn leave_out(&mut self, range: Range<usize>, lines: Range<usize>) {
        let what = format!("left out: `{}`", one_line(&self.text[range.clone()]));
        let change = Change {
            text: String::new(),
            what,
        };
        self.add(Form::Statement, range, lines, vec![change]);
    }

    fn function(&mut self, signature: &Signature, body: &Block, visit: impl FnOnce(&mut Self)) {
        if signature.constness.is_some() {
            return;
        }
        self.path.push(signature.ident.to_string());
        let values = match &signature.output {
            ReturnType::Default => vec!["()".to_owned()],
            ReturnType::Type(_, kind) => simple_values(kind),
        };
        let start = body.brace_token.span.open().byte_range().end;
        let changes = values.into_iter().map(|text| Change {
            what: format!("returns `{text}` at once"),
            text,
        });
        if !body.stmts.is_empty() {
            self.add(
                Form::Return,
                start..start,
                lines_of(signature.span()),
                changes.collect(),
            );
        }
        visit(self);
        self.path.pop();
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
    fn visit_pat(&mut self, _: &'ast Pat) {}
    fn visit_type(&mut self, _: &'ast Type) {}
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_item_enum(&mut self, _: &'ast syn::ItemEnum) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}

    fn visit_expr_repeat(&mut self, repeat: &'ast syn::ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_left_out(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let is_for_people = item.trait_.as_ref().is_some_and(|(_, path, _)| {
            let last = path.segments.last();
            last.is_some_and(|last| last.ident == "Debug" || last.ident == "Display")
        });
        if is_left_out(&item.attrs) || is_for_people {
            return;
        }
        self.path.push(last_word(&item.self_ty));
        visit::visit_item_impl(self, item);
        self.path.pop();
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.path.push(item.ident.to_string());
        visit::visit_item_trait(self, item);
        self.path.pop();
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_left_out(&function.attrs) {
            self.function(&function.sig, &function.block, |finder| {
                finder.visit_block(&function.block);
            });
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_left_out(&function.attrs) {
            self.function(&function.sig, &function.block, |finder| {
                finder.visit_block(&function.block);
            });
        }
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.function(&function.sig, body, |finder| finder.visit_block(body));
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        match statement {
            Stmt::Expr(expression, Some(end)) => {
                let acts = matches!(
                    expression,
                    Expr::Call(_)
                        | Expr::MethodCall(_)
                        | Expr::Await(_)
                        | Expr::Try(_)
                        | Expr::Assign(_)
                ) || matches!(expression, Expr::Binary(binary) if is_assignment(binary.op));
                if acts {
                    let range = expression.span().byte_range().start..end.span().byte_range().end;
                    self.leave_out(range, lines_of(statement.span()));
                }
            }
            Stmt::Local(local) if matches!(local.pat, Pat::Wild(_)) && local.attrs.is_empty() => {
                self.leave_out(local.span().byte_range(), lines_of(local.span()));
            }
            _ => {}
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'ast Expr) {
        match expression {
            Expr::If(one) => self.condition(&one.cond, &["true", "false"]),
            Expr::While(one) => self.condition(&one.cond, &["false"]),
            Expr::Binary(binary) => self.binary(expression, binary),
            Expr::Unary(unary) if matches!(unary.op, UnOp::Not(_)) => {
                let inner = self.of(unary.expr.span()).to_owned();
                self.replace(expression, [inner]);
            }
            Expr::Lit(literal) => self.literal(expression, &literal.lit),
            Expr::Path(path)
                if path
                    .path
                    .get_ident()
                    .is_some_and(|name| self.constants.contains(&name.to_string())) =>
            {
                self.constant(expression, path);
            }
            Expr::MethodCall(call) => self.method(expression, call),
            Expr::Match(one) => self.arms(one),
            _ => {}
        }
        visit::visit_expr(self, expression);
    }
}

impl Finder<'_> {
    fn arms(&mut self, one: &syn::ExprMatch) {
        for arm in &one.arms {
            if let Some((_, guard)) = &arm.guard {
                self.condition(guard, &["true", "false"]);
            }
        }
        let Some((last, others)) = one.arms.split_last() else {
            return;
        };
        let takes_all = match &last.pat {
            Pat::Wild(_) => true,
            Pat::Ident(name) => {
                name.subpat.is_none() && name.ident.to_string().starts_with(char::is_lowercase)
            }
            _ => false,
        };
        if !takes_all || last.guard.is_some() {
            return;
        }
        for arm in others.iter().filter(|arm| arm.guard.is_none()) {
            let at = arm.fat_arrow_token.span().byte_range().start;
            let what = format!("left out: the arm `{}`", one_line(self.of(arm.pat.span())));
            let change = Change {
                text: String::new(),
                what,
            };
            self.add(Form::Arm, at..at, lines_of(arm.pat.span()), vec![change]);
        }
    }
}

fn is_assignment(op: BinOp) -> bool {
    matches!(
        op,
        BinOp::AddAssign(_)
            | BinOp::SubAssign(_)
            | BinOp::MulAssign(_)
            | BinOp::BitOrAssign(_)
            | BinOp::BitAndAssign(_)
    )
}

fn lines_of(span: Span) -> Range<usize> {
    span.start().line..span.end().line + 1
}

/// In one line, without what rustfmt may change.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() > 100 {
        line.chars().take(97).chain("...".chars()).collect()
    } else {
        line
    }
}
