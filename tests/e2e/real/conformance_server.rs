//! Carries out a script on one server.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use super::conformance_normal::{Answer, Names};
use super::conformance_script::{Script, Step, Until};

/// The longest that one request may take, and that a step is repeated.
const PATIENCE: Duration = Duration::from_secs(30);
/// The headers that are compared.
const HEADERS: [&str; 5] = ["content-type", "warning", "allow", "www-authenticate", "retry-after"];

pub struct Server {
    admin: Client,
    nobody: Client,
}

/// A request and its answer, in the form in which they are compared.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub title: String,
    pub request: String,
    pub answer: String,
}

/// A script on its way through one server.
pub struct Course<'s> {
    server: &'s Server,
    namespace: String,
    variables: BTreeMap<String, String>,
    names: Names,
    /// The names given before the step taken last.
    before: Names,
}

impl Server {
    /// Connects to the server of this kubeconfig.
    pub async fn of(kubeconfig: &Path) -> Self {
        let mut config = crate::harness::cluster::config_of(kubeconfig).await;
        // Watches are quiet between their events.
        config.read_timeout = None;
        // An answer that asks the client to retry is compared like any other.
        config.default_retry = false;
        let admin = Client::try_from(config.clone()).expect("the harness wrote its kubeconfig");
        config.auth_info = Default::default();
        Self { admin, nobody: Client::try_from(config).expect("the harness wrote its kubeconfig") }
    }

    /// Begins a script in a namespace with this name; others that it makes have names that start with it.
    pub async fn begin(&self, script: &Script, namespace: &str) -> Course<'_> {
        let mut variables = script.variables.clone();
        variables.insert("ns".into(), namespace.into());
        let group = "/apis/seatkeeper.dev/v1alpha1";
        variables.insert("ours".into(), format!("{group}/namespaces/{namespace}"));
        variables.insert("core".into(), format!("/api/v1/namespaces/{namespace}"));
        let made = Step {
            method: "POST".into(),
            path: "/api/v1/namespaces".into(),
            body: format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{namespace}"}}}}"#),
            ..Step::default()
        };
        let made = self.send(&made).await;
        assert_eq!(made.status, 201, "namespace {namespace}: {}", made.body);
        for kind in ["licenses", "plans", "rosters", "seatledgers", "subscriptions"] {
            // The real server answers 429 until its cache of a new kind is filled.
            let path = format!("{group}/namespaces/{namespace}/{kind}");
            let listed = Step { method: "GET".into(), path, until: Some(Until::Status(200)), ..Step::default() };
            self.until(&listed).await;
        }
        let names = Names::default();
        Course { server: self, namespace: namespace.to_owned(), variables, before: names.clone(), names }
    }

    async fn until(&self, step: &Step) -> Answer {
        let repeated = async {
            loop {
                let answer = self.send(step).await;
                let body = || serde_json::from_str::<Value>(&answer.body).unwrap_or_default();
                match &step.until {
                    None => return answer,
                    Some(Until::Status(status)) if answer.status == *status => return answer,
                    Some(Until::Is(pointer, value)) if body().pointer(pointer) == Some(value) => return answer,
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        match tokio::time::timeout(PATIENCE, repeated).await {
            Ok(answer) => answer,
            // The comparison shows what the answer is instead.
            Err(_) => self.send(step).await,
        }
    }

    async fn send(&self, step: &Step) -> Answer {
        let mut request = http::Request::builder().method(step.method.as_str()).uri(&step.path);
        let has = |name: &str| step.headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
        if !has("Accept") {
            request = request.header("Accept", "application/json");
        }
        if !has("Content-Type") && !step.body.is_empty() {
            request = request.header("Content-Type", "application/json");
        }
        request = request.header("User-Agent", "conformance");
        for (name, value) in &step.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(step.body.clone().into_bytes())).expect("the request is in order");
        let client = if step.anonymous { &self.nobody } else { &self.admin };
        let answered = async {
            let answer = client.send(request).await.map_err(|e| format!("{e:?}"))?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(|e| format!("{e:?}"))?.to_bytes();
            let all = |name: &str| {
                head.headers
                    .get_all(name)
                    .iter()
                    .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                    .collect::<Vec<_>>()
            };
            let headers =
                HEADERS.iter().flat_map(|name| all(name).into_iter().map(|value| ((*name).to_owned(), value)));
            Ok(Answer {
                status: head.status.as_u16(),
                headers: headers.collect(),
                body: String::from_utf8_lossy(&body).into_owned(),
            })
        };
        let failed = |why: String| Answer { status: 0, headers: Vec::new(), body: why };
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(answer) => answer.unwrap_or_else(failed),
            Err(_) => failed(format!("no answer within {PATIENCE:?}")),
        }
    }
}

impl Course<'_> {
    /// Carries out the next step.
    pub async fn take(&mut self, step: &Step) -> Exchange {
        self.before = self.names.clone();
        self.carry_out(step).await
    }

    /// Carries out the step taken last once more, a watch with more time: on a busy machine, a second may end it before
    /// its first event.
    pub async fn take_again(&mut self, step: &Step) -> Exchange {
        self.names = self.before.clone();
        let path = step.path.replace("timeoutSeconds=1", "timeoutSeconds=10");
        Exchange { request: step.to_string(), ..self.carry_out(&Step { path, ..step.clone() }).await }
    }

    async fn carry_out(&mut self, step: &Step) -> Exchange {
        let filled = step.with(&self.variables);
        let answer = self.server.until(&filled).await;
        keep(step, &answer, &mut self.variables);
        let answer = self.names.render(&filled, &answer).replace(&self.namespace, "NS");
        Exchange { title: step.title.clone(), request: step.to_string(), answer }
    }
}

fn keep(step: &Step, answer: &Answer, variables: &mut BTreeMap<String, String>) {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    for (name, pointer) in &step.keeps {
        let value = match body.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "nothing".into(),
        };
        variables.insert(name.clone(), value);
    }
}
