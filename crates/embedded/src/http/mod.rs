//! Requests and responses as they go over the wire. Nothing here knows of the objects that are there.
//!
//! | question | file |
//! |---|---|
//! | What does a request ask for: resource, options, form of the answer? | `request.rs` |
//! | Which object is in a body? | `decode.rs`, `yaml.rs`, `protobuf.rs` |
//! | Which fields does a body name twice? | `doubled.rs` |
//! | What does a response look like? | `answer.rs` |
//! | How is a request refused? | `failure.rs` |
//! | What do clients learn of the kinds? | `discovery.rs`, `openapi.rs`, `openapi_v2.rs` |

pub mod answer;
pub mod decode;
pub mod discovery;
pub mod doubled;
pub mod failure;
pub mod openapi;
mod openapi_protobuf;
pub mod openapi_v2;
mod protobuf;
pub mod request;
pub mod yaml;
