//! One CEL expression, read once: its syntax, what it refers to, and what of it is the same for every object.

use cel::common::ast::IdedExpr;
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, Value, extensions};
use std::sync::{Arc, LazyLock};

use super::functions;
use super::node::Node;
use super::reader::Reader;
use super::values::Boxed;

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    code: IdedExpr,
    /// Times and patterns written in it, read beforehand.
    constants: Vec<Box<dyn Val>>,
    pub uses_old_self: bool,
}

/// What an expression is about.
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

/// Names that no expression can write.
pub const CONSTANT: &str = "@constant";

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // It only fails where a name is taken, which a test would show.
    let _ = env.add_extension(extensions::strings).and_then(|()| env.add_extension(functions::extension));
    Arc::new(env)
});

/// The functions and types that expressions know.
pub fn environment() -> Arc<Env> {
    Arc::clone(&ENVIRONMENT)
}

impl Expression {
    /// Reads an expression about a value of this schema. What Kubernetes CEL knows and this does not is an error that
    /// names it.
    pub fn compile(source: &str, node: &Node, resource: bool) -> Result<Self, String> {
        let mut code = ENVIRONMENT.parser().parse(source).map_err(|errors| errors.to_string())?;
        let mut reader = Reader::new(node, resource);
        reader.read(&mut code)?;
        Ok(Expression { code, constants: reader.constants, uses_old_self: reader.uses_old_self })
    }

    /// What the expression yields, handed to `take`.
    pub fn run<T>(&self, subject: &Subject, take: impl FnOnce(&dyn Val) -> T) -> Result<T, ExecutionError> {
        let names = Names { subject, constants: &self.constants };
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        context.set_variable_resolver(&names);
        let yielded = Value::resolve_val(&self.code, &context)?;
        Ok(take(yielded.as_ref()))
    }
}
