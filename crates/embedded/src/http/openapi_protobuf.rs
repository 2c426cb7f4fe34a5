//! An OpenAPI v2 document in the Protobuf encoding of gnostic (`openapiv2/OpenAPIv2.proto`), as far as documents of Kubernetes
//! go. Field numbers are those of the published file. Of a `oneof`, only the cases that occur are fields here.

use prost::Message;
use serde_json::{Map, Value};

#[derive(Message)]
struct Document {
    #[prost(string, tag = "1")]
    swagger: String,
    #[prost(message, optional, tag = "2")]
    info: Option<Info>,
    #[prost(message, optional, tag = "8")]
    paths: Option<Paths>,
    #[prost(message, optional, tag = "9")]
    definitions: Option<Schemas>,
}

#[derive(Message)]
struct Info {
    #[prost(string, tag = "1")]
    title: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Message)]
struct Paths {
    #[prost(message, repeated, tag = "2")]
    path: Vec<NamedPathItem>,
}

#[derive(Message)]
struct NamedPathItem {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<PathItem>,
}

#[derive(Message)]
struct PathItem {
    #[prost(message, optional, tag = "2")]
    get: Option<Operation>,
    #[prost(message, optional, tag = "3")]
    put: Option<Operation>,
    #[prost(message, optional, tag = "4")]
    post: Option<Operation>,
    #[prost(message, optional, tag = "5")]
    delete: Option<Operation>,
    #[prost(message, optional, tag = "8")]
    patch: Option<Operation>,
}

#[derive(Message)]
struct Operation {
    #[prost(string, repeated, tag = "6")]
    produces: Vec<String>,
    #[prost(message, repeated, tag = "8")]
    parameters: Vec<ParametersItem>,
    #[prost(message, optional, tag = "9")]
    responses: Option<Responses>,
    #[prost(message, repeated, tag = "13")]
    vendor_extension: Vec<NamedAny>,
}

#[derive(Message)]
struct ParametersItem {
    #[prost(message, optional, tag = "1")]
    parameter: Option<Parameter>,
}

#[derive(Message)]
struct Parameter {
    #[prost(message, optional, tag = "1")]
    body: Option<BodyParameter>,
    #[prost(message, optional, tag = "2")]
    non_body: Option<NonBodyParameter>,
}

#[derive(Message)]
struct BodyParameter {
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    in_: String,
    #[prost(bool, tag = "4")]
    required: bool,
    #[prost(message, optional, tag = "5")]
    schema: Option<Schema>,
}

#[derive(Message)]
struct NonBodyParameter {
    #[prost(message, optional, tag = "3")]
    query: Option<QueryParameter>,
}

#[derive(Message)]
struct QueryParameter {
    #[prost(string, tag = "2")]
    in_: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "6")]
    type_: String,
    #[prost(bool, tag = "20")]
    unique_items: bool,
}

#[derive(Message)]
struct Responses {
    #[prost(message, repeated, tag = "1")]
    response_code: Vec<NamedResponse>,
}

#[derive(Message)]
struct NamedResponse {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<ResponseValue>,
}

#[derive(Message)]
struct ResponseValue {
    #[prost(message, optional, tag = "1")]
    response: Option<Response>,
}

#[derive(Message)]
struct Response {
    #[prost(string, tag = "1")]
    description: String,
    #[prost(message, optional, tag = "2")]
    schema: Option<SchemaItem>,
}

#[derive(Message)]
struct SchemaItem {
    #[prost(message, optional, tag = "1")]
    schema: Option<Schema>,
}

/// `Definitions` and `Properties`, which are encoded alike.
#[derive(Message)]
struct Schemas {
    #[prost(message, repeated, tag = "1")]
    all: Vec<NamedSchema>,
}

#[derive(Message)]
struct NamedSchema {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Schema>,
}

#[derive(Message)]
struct Schema {
    #[prost(string, tag = "1")]
    reference: String,
    #[prost(string, tag = "2")]
    format: String,
    #[prost(string, tag = "3")]
    title: String,
    #[prost(string, tag = "4")]
    description: String,
    #[prost(double, tag = "6")]
    multiple_of: f64,
    #[prost(double, tag = "7")]
    maximum: f64,
    #[prost(bool, tag = "8")]
    exclusive_maximum: bool,
    #[prost(double, tag = "9")]
    minimum: f64,
    #[prost(bool, tag = "10")]
    exclusive_minimum: bool,
    #[prost(int64, tag = "11")]
    max_length: i64,
    #[prost(int64, tag = "12")]
    min_length: i64,
    #[prost(string, tag = "13")]
    pattern: String,
    #[prost(int64, tag = "14")]
    max_items: i64,
    #[prost(int64, tag = "15")]
    min_items: i64,
    #[prost(bool, tag = "16")]
    unique_items: bool,
    #[prost(int64, tag = "17")]
    max_properties: i64,
    #[prost(int64, tag = "18")]
    min_properties: i64,
    #[prost(string, repeated, tag = "19")]
    required: Vec<String>,
    #[prost(message, repeated, tag = "20")]
    enum_: Vec<Any>,
    #[prost(message, optional, boxed, tag = "21")]
    additional_properties: Option<Box<AdditionalProperties>>,
    #[prost(message, optional, tag = "22")]
    type_: Option<TypeItem>,
    #[prost(message, optional, tag = "23")]
    items: Option<Items>,
    #[prost(message, optional, tag = "25")]
    properties: Option<Schemas>,
    #[prost(message, repeated, tag = "31")]
    vendor_extension: Vec<NamedAny>,
}

#[derive(Message)]
struct AdditionalProperties {
    #[prost(message, optional, boxed, tag = "1")]
    schema: Option<Box<Schema>>,
    #[prost(bool, optional, tag = "2")]
    boolean: Option<bool>,
}

#[derive(Message)]
struct TypeItem {
    #[prost(string, repeated, tag = "1")]
    value: Vec<String>,
}

#[derive(Message)]
struct Items {
    #[prost(message, repeated, tag = "1")]
    schema: Vec<Schema>,
}

/// A value in YAML, of which JSON is a part.
#[derive(Message)]
struct Any {
    #[prost(string, tag = "2")]
    yaml: String,
}

#[derive(Message)]
struct NamedAny {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Any>,
}

/// Encodes a document, which is given as JSON.
pub fn encode(document: &Value) -> Vec<u8> {
    let paths =
        pairs(&document["paths"]).map(|(name, item)| NamedPathItem { name: name.clone(), value: Some(path(item)) });
    Document {
        swagger: text(&document["swagger"]),
        info: Some(Info { title: text(&document["info"]["title"]), version: text(&document["info"]["version"]) }),
        paths: Some(Paths { path: paths.collect() }),
        definitions: Some(schemas(&document["definitions"])),
    }
    .encode_to_vec()
}

fn pairs(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn any(value: &Value) -> Any {
    Any { yaml: format!("{value}\n") }
}

fn extensions(of: &Value) -> Vec<NamedAny> {
    let named = pairs(of).filter(|(name, _)| name.starts_with("x-"));
    named.map(|(name, value)| NamedAny { name: name.clone(), value: Some(any(value)) }).collect()
}

fn path(item: &Value) -> PathItem {
    let of = |method: &str| item.get(method).map(operation);
    PathItem { get: of("get"), put: of("put"), post: of("post"), delete: of("delete"), patch: of("patch") }
}

fn operation(of: &Value) -> Operation {
    let responses = pairs(&of["responses"]).map(|(code, response)| {
        let schema = Some(SchemaItem { schema: Some(schema(&response["schema"])) });
        let response = Some(Response { description: text(&response["description"]), schema });
        NamedResponse { name: code.clone(), value: Some(ResponseValue { response }) }
    });
    Operation {
        produces: texts(&of["produces"]),
        parameters: of["parameters"].as_array().into_iter().flatten().map(parameter).collect(),
        responses: Some(Responses { response_code: responses.collect() }),
        vendor_extension: extensions(of),
    }
}

fn parameter(of: &Value) -> ParametersItem {
    let (name, in_) = (text(&of["name"]), text(&of["in"]));
    let parameter = match of.get("schema") {
        Some(body) => {
            let required = of["required"] == true;
            Parameter { body: Some(BodyParameter { name, in_, required, schema: Some(schema(body)) }), non_body: None }
        }
        None => {
            let query = QueryParameter { in_, name, type_: text(&of["type"]), unique_items: of["uniqueItems"] == true };
            Parameter { body: None, non_body: Some(NonBodyParameter { query: Some(query) }) }
        }
    };
    ParametersItem { parameter: Some(parameter) }
}

fn schemas(of: &Value) -> Schemas {
    Schemas { all: pairs(of).map(|(name, of)| NamedSchema { name: name.clone(), value: Some(schema(of)) }).collect() }
}

fn schema(of: &Value) -> Schema {
    let empty = Map::new();
    let fields = of.as_object().unwrap_or(&empty);
    let word = |name: &str| fields.get(name).map(text).unwrap_or_default();
    let number = |name: &str| fields.get(name).and_then(Value::as_f64).unwrap_or_default();
    let count = |name: &str| fields.get(name).and_then(Value::as_i64).unwrap_or_default();
    let is = |name: &str| fields.get(name) == Some(&Value::Bool(true));
    let additional = fields.get("additionalProperties").map(|of| {
        let boolean = of.as_bool();
        let schema = if boolean.is_none() { Some(Box::new(schema(of))) } else { None };
        Box::new(AdditionalProperties { schema, boolean })
    });
    Schema {
        reference: word("$ref"),
        format: word("format"),
        title: word("title"),
        description: word("description"),
        multiple_of: number("multipleOf"),
        maximum: number("maximum"),
        exclusive_maximum: is("exclusiveMaximum"),
        minimum: number("minimum"),
        exclusive_minimum: is("exclusiveMinimum"),
        max_length: count("maxLength"),
        min_length: count("minLength"),
        pattern: word("pattern"),
        max_items: count("maxItems"),
        min_items: count("minItems"),
        unique_items: is("uniqueItems"),
        max_properties: count("maxProperties"),
        min_properties: count("minProperties"),
        required: fields.get("required").map(texts).unwrap_or_default(),
        enum_: fields.get("enum").and_then(Value::as_array).into_iter().flatten().map(any).collect(),
        additional_properties: additional,
        type_: fields.get("type").map(|of| TypeItem { value: vec![text(of)] }),
        items: fields.get("items").map(|of| Items { schema: vec![schema(of)] }),
        properties: fields.get("properties").map(schemas),
        vendor_extension: extensions(of),
    }
}
