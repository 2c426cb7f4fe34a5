//! One method of a path, as OpenAPI 3.1 describes it.

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::problem::Problem;

/// Statuses after which asking again may help.
const PASSING: [u16; 3] = [409, 429, 503];

/// The description of one method of a path.
pub struct Operation {
    pub description: Value,
    /// The parameters of the path itself; null if it has none.
    pub of_path: Value,
}

impl Operation {
    pub fn new(id: &str, summary: &str) -> Self {
        let description = json!({"operationId": id, "summary": summary, "responses": {}});
        Operation { description, of_path: Value::Null }
    }

    /// What its path leaves open: the same for every method there.
    pub fn of_path(mut self, parameter: Value) -> Self {
        self.of_path = json!([parameter]);
        self
    }

    pub fn parameters(mut self, parameters: Vec<Value>) -> Self {
        self.description["parameters"] = parameters.into();
        self
    }

    pub fn body<T: JsonSchema>(mut self, schemas: &mut SchemaGenerator) -> Self {
        let content = content("application/json", schemas.subschema_for::<T>());
        self.description["requestBody"] = json!({"required": true, "content": content});
        self
    }

    /// An answer without a body.
    pub fn nothing(self, status: u16, description: &str) -> Self {
        self.response(status, json!({"description": description}))
    }

    pub fn answer<T: JsonSchema>(self, schemas: &mut SchemaGenerator, status: u16, description: &str) -> Self {
        let content = content("application/json", schemas.subschema_for::<T>());
        self.response(status, json!({"description": description, "content": content}))
    }

    /// The statuses of refusals, each with its reasons.
    pub fn problems<'p>(
        mut self,
        schemas: &mut SchemaGenerator,
        reasons: impl IntoIterator<Item = (u16, &'p [&'p str])>,
    ) -> Self {
        for (status, reasons) in reasons {
            let content = content("application/problem+json", schemas.subschema_for::<Problem>());
            let mut response = json!({"description": reasons.join(", "), "content": content});
            if PASSING.contains(&status) {
                let seconds =
                    json!({"description": "Seconds after which asking again may help.", "schema": {"type": "integer"}});
                response["headers"] = json!({"Retry-After": seconds});
            }
            self = self.response(status, response);
        }
        self
    }

    fn response(mut self, status: u16, response: Value) -> Self {
        self.description["responses"][status.to_string()] = response;
        self
    }
}

/// A parameter of the query.
pub fn parameter(name: &str, required: bool, schema: Value) -> Value {
    json!({"name": name, "in": "query", "required": required, "schema": schema})
}

fn content(form: &str, schema: Schema) -> Value {
    json!({form: {"schema": schema}})
}
