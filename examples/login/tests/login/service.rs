//! A running example.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The passwords that a test gives to the users.
pub(crate) const ALICE: &str = "correct horse & battery=staple";
pub(crate) const ADMIN: &str = "Tr0ub4dor&3 %41+";

/// A process that is killed when the test ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Service {
    server: Server,
    pub(crate) address: SocketAddr,
    /// What it has printed at the start.
    pub(crate) printed: Vec<String>,
}

impl Service {
    /// With the passwords above, everything in memory.
    pub(crate) fn start() -> Self {
        Self::with(&[("ALICE_PASSWORD", ALICE), ("ADMIN_PASSWORD", ADMIN)])
    }

    pub(crate) fn with(variables: &[(&str, &str)]) -> Self {
        let mut command = command(variables);
        let mut server = Server(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
        let mut printed = Vec::new();
        let address = loop {
            let line = lines.next().expect("it has not started").unwrap();
            printed.push(line.clone());
            if let Some(address) = line.strip_prefix("URL=http://") {
                break address.parse().unwrap();
            }
        };
        // It goes on to print; nobody else reads it.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            server,
            address,
            printed,
        }
    }

    /// `kill -9`, and gone when this returns.
    pub(crate) fn kill(mut self) {
        self.server.0.kill().unwrap();
        self.server.0.wait().unwrap();
    }
}

/// The example on any free port, with nothing else in its environment.
pub(crate) fn command(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_example-login"));
    for name in [
        "ALICE_PASSWORD",
        "ADMIN_PASSWORD",
        "ACCESS_TTL",
        "SIGNING_KEY",
        "STORE",
    ] {
        command.env_remove(name);
    }
    command.env("ADDR", "127.0.0.1:0");
    command.envs(variables.iter().copied());
    command
}

/// An empty folder for this test.
pub(crate) fn folder(name: &str) -> PathBuf {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("login");
    let folder = base.join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
