//! A person who uses kubectl.

use std::path::Path;
use std::time::Duration;

pub use super::program::Output;
use super::program::Program;
use crate::Cluster;

#[derive(Clone, Debug)]
pub struct Kubectl {
    program: Program,
    namespace: String,
}

impl Kubectl {
    /// Returns kubectl as the administrator uses it in this namespace.
    pub fn new(cluster: &Cluster, namespace: &str) -> Self {
        Self::with(cluster, cluster.kubeconfig(), namespace)
    }

    /// Returns kubectl as the user of this kubeconfig uses it.
    pub fn with(cluster: &Cluster, kubeconfig: &Path, namespace: &str) -> Self {
        let program = Program::new(&cluster.bin("kubectl"), kubeconfig, cluster.state(), Duration::from_secs(90));
        Self { program, namespace: namespace.into() }
    }

    pub async fn run(&self, args: &[&str]) -> Output {
        self.program.run(&self.in_namespace(args), "").await
    }

    /// Runs kubectl and returns what it printed; panics with its error when it fails.
    pub async fn expect(&self, args: &[&str]) -> String {
        self.program.expect(&self.in_namespace(args), "").await
    }

    /// Applies YAML; an unknown field is an error.
    pub async fn apply(&self, yaml: &str) -> String {
        self.program.expect(&self.in_namespace(&["apply", "--validate=strict", "-f", "-"]), yaml).await
    }

    /// Applies YAML with further flags.
    pub async fn apply_with(&self, flags: &[&str], yaml: &str) -> String {
        self.expect_with(&[&["apply", "-f", "-"], flags].concat(), yaml).await
    }

    /// Runs kubectl with `input` on its standard input, and returns what it printed.
    pub async fn expect_with(&self, args: &[&str], input: &str) -> String {
        self.program.expect(&self.in_namespace(args), input).await
    }

    pub async fn run_with(&self, args: &[&str], input: &str) -> Output {
        self.program.run(&self.in_namespace(args), input).await
    }

    /// Applies a file, or every file of a folder.
    pub async fn apply_file(&self, path: impl AsRef<Path>) -> String {
        let path = path.as_ref().to_str().expect("paths of test files are UTF-8");
        self.expect(&["apply", "--validate=strict", "-f", path]).await
    }

    /// Applies YAML that must be refused; returns the message that a person sees.
    pub async fn refused(&self, yaml: &str) -> String {
        let output = self.program.run(&self.in_namespace(&["apply", "--validate=strict", "-f", "-"]), yaml).await;
        assert!(!output.ok, "this was to be refused and was accepted ({}):\n{yaml}", output.stdout.trim());
        output.stderr
    }

    fn in_namespace<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&["--namespace", self.namespace.as_str()], args].concat()
    }
}
