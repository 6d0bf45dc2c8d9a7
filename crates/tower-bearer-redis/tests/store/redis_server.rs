//! A real Redis for one test, on a port and in a folder of its own.

#![allow(dead_code, reason = "each test uses some of it")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

const INSTALL: &str = "redis-server is needed: apt-get install redis-server";
const DEADLINE: Duration = Duration::from_secs(20);

/// It writes down each change before it acknowledges it. Killed when dropped.
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
    folder: PathBuf,
    options: Vec<String>,
}

impl RedisServer {
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With more options, as on its command line.
    #[track_caller]
    pub(crate) fn start_with(options: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("redis-{}-{count}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let options: Vec<_> = options.iter().copied().map(String::from).collect();
        for _ in 0..20 {
            _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            let port = free_port();
            let mut child = spawn(port, &folder, &options);
            if is_ready(&mut child, port) {
                return Self {
                    child,
                    port,
                    folder,
                    options,
                };
            }
            // Somebody else took the port.
        }
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        panic!("redis-server does not start: {log}");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was, with what it wrote down.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.port, &self.folder, &self.options);
        assert!(
            is_ready(&mut self.child, self.port),
            "redis-server does not start again"
        );
    }

    /// Starts the server again in the same folder, with other options.
    pub(crate) fn start_again_with(&mut self, options: &[&str]) {
        self.options = options.iter().copied().map(String::from).collect();
        self.start_again();
    }

    /// Takes away what it wrote down.
    pub(crate) fn lose_everything(&self) {
        fs::remove_dir_all(self.folder.join("appendonlydir")).unwrap();
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops it as it is: connections stay, and nothing is answered.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// What it answers to a command, as `redis-cli` prints it.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("{INSTALL} ({error})"));
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().into()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        _ = fs::remove_dir_all(&self.folder);
    }
}

/// A port on which nobody listens at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn spawn(port: u16, folder: &Path, options: &[String]) -> Child {
    let port = port.to_string();
    Command::new("redis-server")
        .args(["--port", &port, "--bind", "127.0.0.1"])
        .args(["--save", "", "--logfile", "log"])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .arg("--dir")
        .arg(folder)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => panic!("{INSTALL}"),
            _ => panic!("redis-server: {error}"),
        })
}

/// Waits until it answers; not if it ends before.
fn is_ready(child: &mut Child, port: u16) -> bool {
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if answers(port) {
            return true;
        }
        thread::sleep(Duration::from_millis(2));
    }
    false
}

fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = vec![0; 5];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    // With a password it wants that first; while it reads its data it says so.
    ask().is_ok_and(|answer| answer == b"+PONG" || answer == b"-NOAU")
}
