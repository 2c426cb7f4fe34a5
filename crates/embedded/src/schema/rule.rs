//! One rule of `x-kubernetes-validations`, and the error if it is broken
//! (`apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go`).

use cel::ExecutionError;
use cel::common::types::{CelBool, CelOptional, CelString};
use serde_json::Value;

use super::error::{FieldError, Reason};
use super::expression::{Expression, Subject};
use super::items::Boxed;
use super::node::{Node, Type};
use super::values;

/// The longest message, in bytes, that an expression may yield.
const LONGEST_MESSAGE: usize = 5 * 1024;

/// A compiled rule.
#[derive(Debug)]
pub struct Rule {
    expression: Expression,
    message_expression: Option<Expression>,
    /// The text of the error: the rule's message, or the rule itself.
    detail: String,
    /// The message or the rule, for errors in evaluating the rule.
    named: String,
    /// The field that the error names, below the value that the rule is about.
    field_path: Option<String>,
    reason: Reason,
    optional_old_self: bool,
}

/// The value that a rule is about.
pub struct Case<'v> {
    pub node: &'v Node,
    pub value: &'v Value,
    pub old: Option<&'v Value>,
}

impl Rule {
    pub fn compile(rule: &Value, node: &Node, resource: bool) -> Result<Self, String> {
        let text = |name: &str| rule.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        let source = text("rule").ok_or("a rule is empty")?;
        let about = |error: String| format!("rule `{source}`: {error}");
        let message_expression = text("messageExpression")
            .map(|source| Expression::compile(source, node, resource))
            .transpose()
            .map_err(|error| format!("messageExpression of {}", about(error)))?;
        let reason = match text("reason") {
            None | Some("FieldValueInvalid") => Reason::Invalid,
            Some("FieldValueForbidden") => Reason::Forbidden,
            Some("FieldValueRequired") => Reason::Required,
            Some("FieldValueDuplicate") => Reason::Duplicate,
            Some(other) => return Err(about(format!("the reason {other} is not known"))),
        };
        Ok(Rule {
            expression: Expression::compile(source, node, resource).map_err(about)?,
            message_expression,
            detail: text("message").map_or_else(|| format!("failed rule: {source}"), str::to_owned),
            named: text("message").unwrap_or(source).to_owned(),
            field_path: text("fieldPath").map(field_path),
            reason,
            optional_old_self: rule.get("optionalOldSelf").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    /// Returns whether the rule compares with the old value; such a rule is checked for unchanged values too.
    pub fn is_transition(&self) -> bool {
        self.expression.uses_old_self
    }

    /// Returns an error if the rule is broken, unless that is forgiven, or if it cannot be evaluated, which is never
    /// forgiven. `field` names the value.
    pub fn check(&self, case: &Case, forgiven: bool, field: impl Fn() -> String) -> Option<FieldError> {
        if self.is_transition() && case.old.is_none() && !self.optional_old_self {
            return None;
        }
        let type_ = case.node.type_.map(Type::name).unwrap_or_default();
        let subject = match self.subject(case) {
            Ok(subject) => subject,
            Err(error) => return Some(self.failure(&error, type_, field())),
        };
        match self
            .expression
            .run(&subject, |yielded| yielded.downcast_ref::<CelBool>().is_some_and(|holds| *holds.inner()))
        {
            Ok(true) => None,
            Ok(false) if forgiven && !self.is_transition() => None,
            Ok(false) => Some(self.broken(case, &subject, field())),
            Err(error) => Some(self.failure(&error, type_, field())),
        }
    }

    fn subject<'v>(&self, case: &Case<'v>) -> Result<Subject<'v>, ExecutionError> {
        let value = values::of(case.node, case.value)?;
        let old = case.old.filter(|_| self.is_transition()).map(|old| values::of(case.node, old)).transpose()?;
        let old: Option<Boxed<'v>> = match self.optional_old_self {
            true => Some(Box::new(old.map_or_else(CelOptional::none, CelOptional::of))),
            false => old,
        };
        Ok(Subject { value, old })
    }

    fn broken(&self, case: &Case, subject: &Subject, field: String) -> FieldError {
        let field = match &self.field_path {
            Some(below) if field == "<nil>" => below.clone(),
            Some(below) => format!("{field}.{below}"),
            None => field,
        };
        let said = self.message_expression.as_ref().and_then(|expression| message(expression, subject));
        let detail = said.as_deref().unwrap_or(&self.detail);
        let plain = !case.node.type_.is_some_and(Type::has_parts);
        let value = plain.then_some(case.value);
        match self.reason {
            Reason::Forbidden => FieldError::forbidden(field, detail),
            Reason::Required => FieldError::required(field, detail),
            Reason::Duplicate => FieldError::duplicate(field, value),
            _ => FieldError::invalid(field, value, detail),
        }
    }

    /// Returns the error of a rule that could not be evaluated.
    fn failure(&self, error: &ExecutionError, type_: &str, field: String) -> FieldError {
        let detail = match error {
            ExecutionError::NoSuchOverload(_) => format!(
                "'no such overload': call arguments did not match a supported operator, function or macro signature for \
                 rule: {}",
                self.named
            ),
            error => format!("{} evaluating rule: {}", cause(error), self.named),
        };
        FieldError::invalid(field, Some(&type_.into()), &detail)
    }
}

/// Returns a run-time error in the words of `cel-go`.
fn cause(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::IndexOutOfBounds(cel::Value::Int(index)) => format!("index out of bounds: {index}"),
        ExecutionError::DivisionByZero(_) => "division by zero".into(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".into(),
        ExecutionError::Overflow(..) => "integer overflow".into(),
        ExecutionError::FunctionError { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// Returns the message that an expression yields; `None` if it fails, or if its message is empty, too long or has
/// several lines.
fn message(expression: &Expression, subject: &Subject) -> Option<String> {
    let said =
        expression.run(subject, |yielded| yielded.downcast_ref::<CelString>().map(|text| text.inner().to_owned()));
    let said = said.ok().flatten()?;
    let said = said.trim();
    let fit = !said.is_empty() && said.len() <= LONGEST_MESSAGE && !said.contains('\n');
    fit.then(|| said.to_owned())
}

/// Returns a path such as `.spec['a.b']` as errors spell it below a field: `spec.a.b`.
fn field_path(path: &str) -> String {
    let mut out = String::new();
    for (n, part) in path.split("['").enumerate() {
        if n == 0 {
            out.push_str(part.trim_start_matches('.'));
            continue;
        }
        let (name, rest) = part.split_once("']").unwrap_or((part, ""));
        if !out.is_empty() {
            out.push('.');
        }
        out.push_str(name);
        out.push_str(rest);
    }
    out
}
