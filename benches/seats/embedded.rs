//! E: `seatkeeper up`, everything in one process; its database waits for the disk at each commit.

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::path::Path;

use super::licence;
use super::plane::http_request;
use super::process::Server;
use super::seats::{Door, NAMESPACE};
use super::{free_port, loopback, owns, until, until_seats};
use crate::harness::http;

pub struct Up {
    pub server: Server,
    pub door: Door,
    client: Client,
}

impl Up {
    pub async fn start(program: &Path, folder: &Path, vast: usize) -> Self {
        let (yaml, data) = (folder.join("yaml"), folder.join("data"));
        std::fs::create_dir_all(&yaml).expect("a folder");
        let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}\n---\n");
        let (api, seats) = (loopback(free_port()).to_string(), loopback(free_port()));
        let (yaml_text, data_text, seats_text) =
            (yaml.display().to_string(), data.display().to_string(), seats.to_string());
        let arguments = ["up", &yaml_text, "--data", &data_text, "--listen", &api, "--seats-listen", &seats_text];
        let all = [&arguments[..], &super::unbounded("up")].concat();
        let log = folder.join("up.log");
        let mut server = Server::start(program, &all, None, "TERM", &log);
        let kubeconfig = data.join("kubeconfig");
        until("seatkeeper up", async || Kubeconfig::read_from(&kubeconfig).is_ok()).await;
        let read = Kubeconfig::read_from(&kubeconfig).expect("a kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
        let config = config.expect("a kubeconfig");
        let token = std::fs::read_to_string(data.join("token")).expect("the token for seats");
        let door = Door::new(seats, &token);
        owns(&door, "seatkeeper up").await;
        std::fs::write(yaml.join("contract.yaml"), namespace + &licence::contract(vast)).expect("a file");
        until_seats(&door, "seatkeeper up", &mut server, &log).await;
        Up { server, door, client: Client::try_from(config).expect("a client") }
    }

    /// Returns how many writes the operator inside has made to its API so far; each is a commit.
    pub async fn writes(&self) -> f64 {
        let text = self.client.request_text(http_request("/metrics")).await.expect("metrics");
        http::metric(&text, "seatkeeper_api_writes_total", "")
    }
}
