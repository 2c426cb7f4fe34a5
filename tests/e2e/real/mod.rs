//! What only a real control plane has, and so is not tested on the embedded API.
//!
//! | test | why the embedded API cannot run it |
//! |---|---|
//! | `bounded_test.rs` | it has no RBAC: what an operator may do that only uses keys, or looks at some namespaces |
//! | `chart_test.rs` | it has no RBAC, admission policies and Deployments |
//! | `checker_test.rs`, `safety_test.rs` | the siege kills replicas and an API server, with a Lease between them: the embedded API is one process |
//! | `conformance_test.rs` | it compares the embedded API with the real one, so it needs both |
//! | `control_plane_test.rs` | the programs of the real control plane, its ServiceAccounts, Deployments and nodes |
//! | `documents_test.rs` | `make dev` and installing the chart, as README and guides describe it |
//! | `hostile_flood_test.rs` | tokens of ServiceAccounts, and how often a real API server is asked about them |
//! | `hostile_lists_test.rs` | the time that seats take in an operator that has a process of its own |
//! | `hostile_load_test.rs` | the Lease and the processor time of a real API server |
//! | `hostile_memory_test.rs` | the memory of an operator that has a process of its own |
//! | `hostile_seats_test.rs` | it has no ServiceAccounts, and no RBAC: who has the token of `up` may do everything |
//! | `hostile_shares_test.rs` | the time that a real API server takes to write large entries |
//! | `hostile_trust_test.rs` | tenants with the roles of Kubernetes, against an operator with the chart's defaults |
//! | `metrics_test.rs` | tokens of ServiceAccounts, and RBAC |
//! | `moved_seats_test.rs` | seats of ServiceAccounts, and owners that die |
//! | `outage_test.rs` | seats of ServiceAccounts, and an API server that goes away without the operator |
//! | `own_certificate_test.rs` | replicas, and rights to a Secret and a ConfigMap |
//! | `refused_writes_test.rs` | it has no policies and quotas, and no namespace that ends slowly |
//! | `seats_test.rs` | ServiceAccount tokens and RBAC: `tests/seats` is the same on one machine |
//! | `seats_tls_test.rs` | replicas that pass requests on, and ServiceAccount tokens |

mod bounded_test;
mod certificates;
mod chart_test;
mod checker_test;
mod conformance_normal;
mod conformance_script;
mod conformance_server;
mod conformance_test;
mod control_plane_test;
mod documents_test;
mod hostile_flood_test;
mod hostile_lists_test;
mod hostile_load_test;
mod hostile_memory_test;
mod hostile_seats_test;
mod hostile_shares_test;
mod hostile_trust_test;
mod metrics_test;
mod moved_seats_test;
mod outage_test;
mod own_certificate_test;
mod refused_writes_test;
mod safety_test;
mod seats_test;
mod seats_tls_test;
