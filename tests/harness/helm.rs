//! A person who uses helm.

use std::path::Path;
use std::time::Duration;

use super::program::{Output, Program};
use crate::Cluster;

#[derive(Clone, Debug)]
pub struct Helm {
    program: Program,
    namespace: String,
}

impl Helm {
    /// Returns helm as the administrator uses it in this namespace.
    pub fn new(cluster: &Cluster, namespace: &str) -> Self {
        let program =
            Program::new(&cluster.bin("helm"), cluster.kubeconfig(), cluster.state(), Duration::from_secs(150));
        Self { program, namespace: namespace.into() }
    }

    pub async fn run(&self, args: &[&str]) -> Output {
        self.program.run(&self.in_namespace(args), "").await
    }

    /// Installs and waits until everything is ready; panics with helm's error when it fails.
    pub async fn install(&self, release: &str, chart: impl AsRef<Path>, args: &[&str]) -> String {
        self.carry_out(&["install", release, text(chart.as_ref()), "--wait", "--timeout", "120s"], args).await
    }

    /// Upgrades and waits until everything is ready; panics with helm's error when it fails.
    pub async fn upgrade(&self, release: &str, chart: impl AsRef<Path>, args: &[&str]) -> String {
        self.carry_out(&["upgrade", release, text(chart.as_ref()), "--wait", "--timeout", "120s"], args).await
    }

    /// Uninstalls and waits until everything is gone; panics with helm's error when it fails.
    pub async fn uninstall(&self, release: &str, args: &[&str]) -> String {
        self.carry_out(&["uninstall", release, "--wait", "--timeout", "120s"], args).await
    }

    async fn carry_out(&self, args: &[&str], more: &[&str]) -> String {
        let args = [args, more].concat();
        self.program.expect(&self.in_namespace(&args), "").await
    }

    fn in_namespace<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&["--namespace", self.namespace.as_str()], args].concat()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of charts are UTF-8")
}
