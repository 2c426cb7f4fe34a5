//! The contract for the seats of the benchmark: one License with three pools.

use super::POOL;
use super::seats::{LICENSE, NAMESPACE};

/// The pool of `POOL` seats.
pub const LARGE: &str = "large";
/// A pool of 256 seats.
pub const SMALL: &str = "small";
/// A pool in which very many seats are held.
pub const VAST: &str = "vast";

/// Returns the Plan and the Subscription as YAML.
pub fn contract(vast: usize) -> String {
    let pools = [(LARGE, POOL), (SMALL, 256), (VAST, vast)];
    let of_plan =
        pools.map(|(name, _)| format!("\n    - {{name: {name}, model: Concurrent, countBy: Start}}")).concat();
    let of_order = pools.map(|(name, seats)| format!("{{name: {name}, seats: {seats}}}")).join(", ");
    format!(
        r#"apiVersion: seatkeeper.dev/v1alpha1
kind: Plan
metadata: {{name: {LICENSE}, namespace: {NAMESPACE}}}
spec:
  title: Seats
  product: {LICENSE}
  orders: {{approval: Manual}}
  terms:
    interval: {{months: 12}}
    notice: {{months: 3}}
  license:
    lifetime: Term
    issueBefore: {{weeks: 4}}
    pools:{of_plan}
---
apiVersion: seatkeeper.dev/v1alpha1
kind: Subscription
metadata: {{name: {LICENSE}, namespace: {NAMESPACE}}}
spec:
  order: {{reference: PO-1, receivedOn: "2025-12-10", approvedOn: "2025-12-12"}}
  customer: {{organisation: Bench}}
  startsOn: "2026-01-01"
  timeZone: Europe/Berlin
  plans:
  - {{name: {LICENSE}, pools: [{of_order}]}}
  issuer: {{secretRef: {{name: issuer}}}}
  deliverTo:
    license: {{name: {LICENSE}}}
"#
    )
}

/// Returns the namespace, the issuer's signing key, and the ServiceAccounts that may take seats (`agents`) and create
/// Leases (`leases`).
pub fn surroundings(signing_key: &str) -> String {
    let indented = signing_key.trim().replace('\n', "\n    ");
    let account = |name: &str, groups: &str, resources: &str, verbs: &str| {
        format!(
            r#"---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: {NAMESPACE}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {name}, namespace: {NAMESPACE}}}
rules:
- {{apiGroups: [{groups}], resources: [{resources}], verbs: [{verbs}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {name}, namespace: {NAMESPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}
subjects:
- {{kind: ServiceAccount, name: {name}, namespace: {NAMESPACE}}}
"#
        )
    };
    let agents = account("agents", "seatkeeper.dev", "licenses/seats", "create, delete, list");
    let leases = account("leases", "coordination.k8s.io", "leases", "create, delete");
    format!(
        r#"apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: issuer, namespace: {NAMESPACE}}}
type: seatkeeper.dev/issuer
stringData:
  signing-key.pem: |
    {indented}
{agents}{leases}"#
    )
}
