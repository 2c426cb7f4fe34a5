//! Processes that end with this one, however that ends.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A shell script that ends the program when the pipe on its standard input closes, so with the process that holds the
/// other end, however that ends. The first line that it prints is the program's process id.
const UNTIL_STDIN_CLOSES: &str = r#"
exec 3<&0
sh -c 'echo $$; exec setpriv --pdeathsig KILL "$@"' sh "$@" 3<&- < /dev/null & program=$!
{ cat <&3 > /dev/null; kill -KILL "$program"; } > /dev/null 2>&1 &
wait "$program"
"#;

#[derive(Debug)]
pub struct Tied {
    shell: Child,
    stdin: Option<ChildStdin>,
    pid: u32,
}

impl Tied {
    /// Starts `seatkeeper` with these arguments; its standard output is the second value.
    pub fn seatkeeper(arguments: &[&str], environment: &[(&str, &OsStr)], log: File) -> (Self, BufReader<ChildStdout>) {
        let mut shell = Command::new("sh")
            .args(["-c", UNTIL_STDIN_CLOSES, "sh", env!("CARGO_BIN_EXE_seatkeeper")])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("a shell is installed");
        let stdin = shell.stdin.take();
        let mut stdout = BufReader::new(shell.stdout.take().expect("stdout is piped"));
        let mut pid = String::new();
        stdout.read_line(&mut pid).expect("the shell says the number of the process");
        let pid = pid.trim().parse().expect("the shell says the number of the process");
        (Self { shell, stdin, pid }, stdout)
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.shell.try_wait(), Ok(None))
    }

    /// Sends the program a signal, by its name for `kill`, and waits until it has ended.
    pub fn end_by(&mut self, signal: &str) {
        let sent = Command::new("kill").args([format!("-{signal}"), self.pid.to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "process {} could not be sent {signal}", self.pid);
        let _ = self.shell.wait();
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.shell.wait();
    }
}
