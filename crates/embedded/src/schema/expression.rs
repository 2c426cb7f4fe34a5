//! One CEL expression, read once: its syntax, the names that it refers to, and its constants, which are the same for
//! every object.

use cel::common::ast::IdedExpr;
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, ExecutionError, Value};

use super::environment::{CONSTANT, environment};
use super::items::Boxed;
use super::node::Node;
use super::reader::Reader;

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    code: IdedExpr,
    /// The times and patterns written in the expression, evaluated beforehand.
    constants: Vec<Box<dyn Val>>,
    pub uses_old_self: bool,
}

/// The values that an expression is about.
pub struct Subject<'v> {
    pub value: Boxed<'v>,
    pub old: Option<Boxed<'v>>,
}

struct Names<'a, 'v> {
    subject: &'a Subject<'v>,
    constants: &'a [Box<dyn Val>],
}

impl VariableResolver for Names<'_, '_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        match name {
            "self" => Some(CowVal::Borrowed(self.subject.value.as_ref())),
            "oldSelf" => self.subject.old.as_deref().map(CowVal::Borrowed),
            constant => {
                let index: usize = constant.strip_prefix(CONSTANT)?.parse().ok()?;
                self.constants.get(index).map(|value| CowVal::Borrowed(value.as_ref()))
            }
        }
    }
}

impl Expression {
    /// Compiles an expression about a value of this schema. Fails with the name of any feature of Kubernetes CEL that
    /// is not supported here.
    pub fn compile(source: &str, node: &Node, resource: bool) -> Result<Self, String> {
        let mut code = environment().parser().parse(source).map_err(|errors| errors.to_string())?;
        let mut reader = Reader::new(node, resource);
        reader.read(&mut code)?;
        Ok(Expression { code, constants: reader.constants, uses_old_self: reader.uses_old_self })
    }

    /// Evaluates the expression, and passes its result to `take`.
    pub fn run<T>(&self, subject: &Subject, take: impl FnOnce(&dyn Val) -> T) -> Result<T, ExecutionError> {
        let names = Names { subject, constants: &self.constants };
        let mut context = Context::with_env(environment());
        context.set_variable_resolver(&names);
        let yielded = Value::resolve_val(&self.code, &context)?;
        Ok(take(yielded.as_ref()))
    }
}
