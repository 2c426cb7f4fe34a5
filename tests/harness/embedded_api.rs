//! The embedded API as a separate process, `seatkeeper up --api-only`, which ends with this one, however that ends.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::starting::{Programs, await_ready, new_state, programs};
use super::tied::Tied;

const START: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct EmbeddedApi {
    bin: PathBuf,
    state: PathBuf,
    data: PathBuf,
    kubeconfig: PathBuf,
    process: Mutex<Option<Tied>>,
}

impl EmbeddedApi {
    /// Starts an embedded API for the calling test; it ends when dropped.
    pub fn start() -> Result<Self, String> {
        let state = new_state("embedded")?;
        std::fs::create_dir_all(state.join("log")).map_err(|e| format!("{}: {e}", state.display()))?;
        let data = state.join("data");
        let api = Self {
            bin: programs(Programs::Clients)?,
            kubeconfig: data.join("kubeconfig"),
            data,
            state,
            process: Mutex::default(),
        };
        api.run("127.0.0.1:0")?;
        Ok(api)
    }

    fn run(&self, listen: &str) -> Result<(), String> {
        let log = self.state.join("log/api.log");
        let file = std::fs::File::options().create(true).append(true).open(&log);
        let file = file.map_err(|e| format!("{}: {e}", log.display()))?;
        let data = self.data.to_str().expect("paths of test files are UTF-8");
        let arguments = ["up", "--api-only", "--data", data, "--listen", listen];
        let (process, stdout) = Tied::seatkeeper(&arguments, &[], file);
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        await_ready("seatkeeper up", stdout, &log, START)
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Returns the path of kubectl or helm.
    pub fn bin(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Returns the folder with the logs, which is also the place for files of tests.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Ends the API with a signal, by its name for `kill`, and starts it again with the same data at the same address.
    pub async fn again(&self, signal: &str) {
        let server = super::cluster::config_of(&self.kubeconfig).await.cluster_url;
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        process.expect("it runs").end_by(signal);
        let listen = server.authority().expect("the server has an address").as_str();
        self.run(listen).unwrap_or_else(|why| panic!("after {signal}: {why}"));
    }
}

impl Drop for EmbeddedApi {
    fn drop(&mut self) {
        drop(self.process.lock().unwrap_or_else(PoisonError::into_inner).take());
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.state);
        }
    }
}
