//! A separate network for each replica, for runs in a network namespace that nothing else uses: a bridge, and on it one
//! namespace for each replica, whose link can be pulled. All of it disappears with the processes that hold it.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

const BRIDGE: &str = "seats0";
/// The address at which the replicas find the control plane.
pub const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The bridge between the replicas and everything else.
pub struct Hub;

impl Hub {
    /// Makes the bridge. Returns `None` if this network has more than a loopback: it is then not a new one, and is left
    /// alone.
    pub fn raise() -> Option<Hub> {
        let devices = std::fs::read_to_string("/proc/self/net/dev").ok()?;
        if devices.lines().filter_map(|line| line.split_once(':')).any(|(name, _)| name.trim() != "lo") {
            return None;
        }
        ip(&["link", "set", "lo", "up"]);
        ip(&["link", "add", BRIDGE, "type", "bridge"]);
        ip(&["addr", "add", &format!("{HUB}/24"), "dev", BRIDGE]);
        ip(&["link", "set", BRIDGE, "up"]);
        Some(Hub)
    }
}

/// The separate network of a replica.
pub struct Island {
    pub address: Ipv4Addr,
    link: String,
    /// The process that keeps the namespace alive.
    keeper: Child,
}

impl Island {
    pub fn raise(_hub: &Hub, number: u8) -> Self {
        let mut keeper = Command::new("setpriv");
        keeper.args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--", "sh", "-c", "echo; exec sleep infinity"]);
        let keeper = keeper.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).spawn();
        let mut keeper = keeper.expect("a namespace can be made");
        // It prints one line once it is in its namespace.
        let mut said = [0];
        let stdout = keeper.stdout.as_mut().expect("stdout is piped");
        std::io::Read::read_exact(stdout, &mut said).expect("the namespace is there");
        let (link, peer) = (format!("seats-r{number}"), format!("seats-i{number}"));
        let address = Ipv4Addr::new(10, 77, 0, 10 + number);
        let pid = keeper.id().to_string();
        ip(&["link", "add", &link, "type", "veth", "peer", "name", &peer, "netns", &pid]);
        ip(&["link", "set", &link, "master", BRIDGE, "up"]);
        let island = Island { address, link, keeper };
        for arguments in [
            &["link", "set", "lo", "up"][..],
            &["addr", "add", &format!("{address}/24"), "dev", &peer],
            &["link", "set", &peer, "up"],
        ] {
            let [program, rest @ ..] = &island.entered()[..] else { unreachable!("it is not empty") };
            let done = Command::new(program).args(rest).arg("ip").args(arguments).status();
            assert!(done.is_ok_and(|status| status.success()), "ip {arguments:?}");
        }
        island
    }

    /// Returns the words to put before a command to run it in this network.
    pub fn entered(&self) -> Vec<String> {
        vec!["nsenter".into(), format!("--net=/proc/{}/ns/net", self.keeper.id()), "--".into()]
    }

    /// Cuts the link: nothing comes in or out any longer.
    pub fn cut(&self) {
        ip(&["link", "set", &self.link, "down"]);
    }

    pub fn join(&self) {
        ip(&["link", "set", &self.link, "up"]);
    }

    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.address, port))
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).status();
    assert!(done.is_ok_and(|status| status.success()), "ip {}", arguments.join(" "));
}
