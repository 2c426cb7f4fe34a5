//! Walks the syntax tree of an expression: refuses what is not supported, and takes out what is the same for every
//! object.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};
use cel::common::value::Val;
use cel::{Context, Value};

use super::environment::{CONSTANT, environment};
use super::escape::unescaped;
use super::functions::{EQUAL, OPTIONAL, UNEQUAL, constant_pattern};
use super::node::{Node, Type};

/// The deepest nesting of expressions.
const DEEPEST: u16 = 250;

const EQUALITIES: [&str; 2] = ["_==_", "_!=_"];

/// The supported functions of Kubernetes CEL. Any other function is refused when a schema is read.
const FUNCTIONS: [&str; 45] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "int",
    "uint",
    "double",
    "string",
    "bool",
    "bytes",
    "duration",
    "timestamp",
    "dyn",
    "type",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "orValue",
    "or",
    "hasValue",
    "value",
    "of",
    "none",
    "ofNonZeroValue",
    "charAt",
    "indexOf",
    "lastIndexOf",
    "join",
    "lowerAscii",
    "upperAscii",
    "trim",
    "replace",
    "split",
    "substring",
    "format",
    "optMap",
    "optFlatMap",
];

/// The names of types, with which `type(x)` is compared.
const TYPES: [&str; 10] = ["int", "uint", "double", "string", "bool", "bytes", "list", "map", "null_type", "type"];

/// What is known about the value of an expression.
#[derive(Clone, Copy)]
enum Known<'n> {
    Anything,
    /// A value of this schema.
    Of(&'n Node),
    /// The object itself, which additionally has `apiVersion`, `kind` and `metadata`.
    Resource(&'n Node),
    Metadata,
}

pub struct Reader<'n> {
    pub constants: Vec<Box<dyn Val>>,
    pub uses_old_self: bool,
    itself: Known<'n>,
    scope: Vec<(String, Known<'n>)>,
}

impl<'n> Reader<'n> {
    /// Returns a reader of expressions about values of this schema or, if `resource`, about whole objects of it.
    pub fn new(node: &'n Node, resource: bool) -> Self {
        let itself = if resource { Known::Resource(node) } else { Known::Of(node) };
        Reader { constants: Vec::new(), uses_old_self: false, itself, scope: Vec::new() }
    }

    pub fn read(&mut self, code: &mut IdedExpr) -> Result<(), String> {
        self.value(code, 0).map(|_| ())
    }

    fn value(&mut self, code: &mut IdedExpr, depth: u16) -> Result<Known<'n>, String> {
        if depth > DEEPEST {
            return Err(format!("it nests deeper than {DEEPEST} levels"));
        }
        let depth = depth + 1;
        match &mut code.expr {
            Expr::Ident(name) => self.name(name),
            Expr::Literal(_) => Ok(Known::Anything),
            Expr::Select(select) => {
                let known = self.value(&mut select.operand, depth)?;
                let field = field_of(known, &select.field)?;
                Ok(if select.test { Known::Anything } else { field })
            }
            Expr::List(list) => {
                list.elements.iter_mut().try_for_each(|item| self.value(item, depth).map(|_| ()))?;
                Ok(Known::Anything)
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    let EntryExpr::MapEntry(entry) = &mut entry.expr else { return Err("it builds a message".into()) };
                    self.value(&mut entry.key, depth)?;
                    self.value(&mut entry.value, depth)?;
                }
                Ok(Known::Anything)
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, depth),
            Expr::Struct(_) => Err("it builds a message".into()),
            Expr::Unspecified => Err("a part of it is empty".into()),
            Expr::Call(call) => {
                if let Some(name) = self.constant(call)? {
                    code.expr = Expr::Ident(name);
                    return Ok(Known::Anything);
                }
                self.call(call, depth)
            }
        }
    }

    fn name(&mut self, name: &str) -> Result<Known<'n>, String> {
        if let Some((_, known)) = self.scope.iter().rev().find(|(bound, _)| bound == name) {
            return Ok(*known);
        }
        match name {
            "self" => Ok(self.itself),
            "oldSelf" => {
                self.uses_old_self = true;
                Ok(self.itself)
            }
            name if TYPES.contains(&name) || name.starts_with('@') => Ok(Known::Anything),
            name => Err(format!("undeclared reference to '{name}'")),
        }
    }

    fn call(&mut self, call: &mut CallExpr, depth: u16) -> Result<Known<'n>, String> {
        let operator = call.func_name.starts_with(['_', '@', '!', '-']);
        if !operator && !FUNCTIONS.contains(&call.func_name.as_str()) {
            return Err(format!("the function '{}' is not known to the embedded API", call.func_name));
        }
        let of_target = match &mut call.target {
            // `optional.of(x)` is a function, not a field of a variable.
            Some(target) if matches!(&target.expr, Expr::Ident(name) if name == "optional") => Known::Anything,
            Some(target) => self.value(target, depth)?,
            None => Known::Anything,
        };
        let mut known = Vec::with_capacity(call.args.len());
        for argument in &mut call.args {
            known.push(self.value(argument, depth)?);
        }
        // If only the right side is a part of the object, it decides how lists compare: regardless of order for sets
        // and maps. A comparison goes by its left side, so the sides are swapped.
        if let ([left, right], true) = (call.args.as_mut_slice(), EQUALITIES.contains(&call.func_name.as_str()))
            && !is_field(left)
            && is_field(right)
        {
            std::mem::swap(left, right);
        }
        if known.iter().any(|known| matches!(known, Known::Of(node) if node.type_.is_some_and(Type::has_parts))) {
            match call.func_name.as_str() {
                "_==_" => call.func_name = EQUAL.into(),
                "_!=_" => call.func_name = UNEQUAL.into(),
                _ => {}
            }
        }
        let first = known.first().copied().unwrap_or(Known::Anything);
        match (call.func_name.as_str(), &*call.args) {
            ("_?._", [_, IdedExpr { expr: Expr::Literal(LiteralValue::String(field)), .. }]) => {
                let field = field_of(first, field.inner());
                call.func_name = OPTIONAL.into();
                field
            }
            ("_[?_]", _) => {
                call.func_name = OPTIONAL.into();
                Ok(entry_of(first))
            }
            ("_[_]", _) => Ok(entry_of(first)),
            ("orValue" | "value", _) => Ok(of_target),
            _ => Ok(Known::Anything),
        }
    }

    fn comprehension(&mut self, loop_: &mut ComprehensionExpr, depth: u16) -> Result<Known<'n>, String> {
        let range = self.value(&mut loop_.iter_range, depth)?;
        self.value(&mut loop_.accu_init, depth)?;
        let item = match range {
            Known::Of(node) if node.type_ == Some(Type::Array) => entry_of(range),
            _ => Known::Anything,
        };
        let outside = self.scope.len();
        self.scope.push((loop_.accu_var.clone(), Known::Anything));
        self.scope.push((loop_.iter_var.clone(), item));
        if let Some(second) = &loop_.iter_var2 {
            self.scope.push((second.clone(), Known::Anything));
        }
        for part in [&mut loop_.loop_cond, &mut loop_.loop_step, &mut loop_.result] {
            self.value(part, depth)?;
        }
        self.scope.truncate(outside);
        Ok(Known::Anything)
    }

    /// Returns the name of a constant that replaces a call with the same result for every object: a time that is
    /// written out. Of a call with a pattern that is written out, only the pattern is replaced.
    fn constant(&mut self, call: &mut CallExpr) -> Result<Option<String>, String> {
        let [argument] = call.args.as_mut_slice() else { return Ok(None) };
        let Expr::Literal(LiteralValue::String(text)) = &argument.expr else { return Ok(None) };
        match (call.func_name.as_str(), &call.target) {
            ("matches", Some(_)) => {
                let pattern = constant_pattern(text.inner())?;
                argument.expr = Expr::Ident(self.keep(pattern));
                Ok(None)
            }
            ("timestamp" | "duration", None) => {
                let context: Context<'_, 'static> = Context::with_env(environment());
                let code = IdedExpr { id: 0, expr: Expr::Call(call.clone()) };
                let value = Value::resolve_val(&code, &context).map_err(|error| error.to_string())?.into_owned();
                Ok(Some(self.keep(value)))
            }
            _ => Ok(None),
        }
    }

    fn keep(&mut self, constant: Box<dyn Val>) -> String {
        self.constants.push(constant);
        format!("{CONSTANT}{}", self.constants.len() - 1)
    }
}

/// Returns whether an expression is a part of an object rather than a new value.
fn is_field(code: &IdedExpr) -> bool {
    match &code.expr {
        Expr::Ident(_) => true,
        Expr::Select(select) => !select.test && is_field(&select.operand),
        Expr::Call(call) => matches!(call.func_name.as_str(), "_[_]" | OPTIONAL | "orValue" | "value"),
        _ => false,
    }
}

fn field_of<'n>(known: Known<'n>, name: &str) -> Result<Known<'n>, String> {
    let undefined = || Err(format!("undefined field '{name}'"));
    let real = unescaped(name);
    match known {
        Known::Anything => Ok(Known::Anything),
        Known::Metadata if matches!(name, "name" | "generateName") => Ok(Known::Anything),
        Known::Metadata => undefined(),
        Known::Resource(_) if matches!(name, "apiVersion" | "kind") => Ok(Known::Anything),
        Known::Resource(_) if name == "metadata" => Ok(Known::Metadata),
        Known::Resource(node) | Known::Of(node) => match (node.type_, node.field(&real)) {
            (_, Some(field)) if field.embedded_resource => Ok(Known::Resource(field)),
            (_, Some(field)) => Ok(Known::Of(field)),
            (Some(_), None) => undefined(),
            (None, None) => Ok(Known::Anything),
        },
    }
}

fn entry_of(known: Known) -> Known {
    match known {
        Known::Of(node) => match node.items.as_deref().or(node.additional.as_deref()) {
            Some(entry) if entry.embedded_resource => Known::Resource(entry),
            Some(entry) => Known::Of(entry),
            None => Known::Anything,
        },
        _ => Known::Anything,
    }
}
