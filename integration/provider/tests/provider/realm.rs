//! The provider: `server.mjs` in a process of its own, and what its clients ask it for.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::tools::script;

/// How long the provider may take to start.
const DEADLINE: Duration = Duration::from_secs(60);

/// The two clients that may introspect, by `client_secret_basic` and by `client_secret_post`.
pub(crate) const API_BASIC: (&str, &str) = ("api one", "s+c%72:e t/&=?~\"\\");
pub(crate) const API_POST: (&str, &str) = ("api&two", "s+c%72:e t/&=?~\"\\");

pub(crate) struct Realm {
    process: Mutex<Process>,
    pub(crate) issuer: String,
    folder: PathBuf,
    client: Client<HttpConnector, Full<Bytes>>,
}

struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// Ends it however the test ends. If this does not run, it ends with its stdin.
impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts the provider. Node.js sometimes stops before it runs the script; another process does not.
    fn start(folder: &Path, port: u16) -> (Self, Value) {
        for _ in 0..3 {
            let mut process = Self::spawn(folder, port);
            let (greeted, watch) = mpsc::channel::<()>();
            let id = process.child.id().to_string();
            let watchdog = thread::spawn(move || {
                if watch.recv_timeout(DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout) {
                    let _ = Command::new("kill").arg("-9").arg(id).status();
                }
            });
            let mut line = String::new();
            process.stdout.read_line(&mut line).unwrap();
            drop(greeted);
            watchdog.join().unwrap();
            if !line.is_empty() {
                let greeting = serde_json::from_str(&line).unwrap();
                return (process, greeting);
            }
        }
        panic!("the provider does not start");
    }

    fn spawn(folder: &Path, port: u16) -> Self {
        let mut child = script(folder, "server.mjs")
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take().unwrap(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the provider has ended");
        serde_json::from_str(&line).unwrap()
    }
}

impl Realm {
    pub(crate) fn start(folder: &Path) -> Self {
        let (process, greeting) = Process::start(folder, 0);
        Self {
            process: Mutex::new(process),
            issuer: greeting["issuer"].as_str().unwrap().to_owned(),
            folder: folder.to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Ends the process.
    pub(crate) fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    /// Starts another process at the same address, with new keys.
    pub(crate) fn restart(&self) {
        let port = self.issuer.parse::<Uri>().unwrap().port_u16().unwrap();
        *self.process.lock().unwrap() = Process::start(&self.folder, port).0;
    }

    /// Publishes new keys next to the old ones.
    pub(crate) fn publish(&self) {
        self.command("publish");
    }

    /// Signs with the newest keys.
    pub(crate) fn sign(&self) {
        self.command("sign");
    }

    /// Takes all keys away but the newest.
    pub(crate) fn remove(&self) {
        self.command("remove");
    }

    /// How many requests came since this was asked last, by the path below the issuer.
    pub(crate) fn requests(&self) -> BTreeMap<String, u64> {
        serde_json::from_value(self.command("requests")).unwrap()
    }

    fn command(&self, command: &str) -> Value {
        tokio::task::block_in_place(|| {
            let mut process = self.process.lock().unwrap();
            writeln!(process.stdin, "{}", serde_json::json!({"command": command})).unwrap();
            process.line()
        })
    }

    /// A token for the client itself.
    pub(crate) async fn client_token(&self, resource: &str, scope: &str) -> String {
        let grant = [
            ("grant_type", "client_credentials"),
            ("resource", resource),
            ("scope", scope),
        ];
        self.token(&grant).await
    }

    /// A token for a user.
    pub(crate) async fn user_token(&self, user: &str, resource: &str, scope: &str) -> String {
        let grant = [
            ("grant_type", "urn:tower-bearer:user"),
            ("username", user),
            ("resource", resource),
            ("scope", scope),
        ];
        self.token(&grant).await
    }

    async fn token(&self, grant: &[(&str, &str)]) -> String {
        let (status, body) = self.post("/token", grant).await;
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Takes a token back.
    pub(crate) async fn revoke(&self, token: &str) {
        let (status, _) = self.post("/token/revocation", &[("token", token)]).await;
        assert_eq!(status, StatusCode::OK);
    }

    /// As the client `shop`.
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (StatusCode, Bytes) {
        let login = [("client_id", "shop"), ("client_secret", "secret-of-shop")];
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let form: Vec<_> = login
            .iter()
            .chain(form)
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        let request = Request::post(format!("{}{path}", self.issuer))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(form.join("&")))
            .unwrap();
        let (parts, body) = self.client.request(request).await.unwrap().into_parts();
        (parts.status, body.collect().await.unwrap().to_bytes())
    }
}

/// What stands in the header of a token.
pub(crate) fn header(token: &str) -> Value {
    part(token, 0)
}

/// The token with another subject and the same signature.
pub(crate) fn for_mallory(token: &str) -> String {
    let mut claims = part(token, 1);
    claims["sub"] = Value::from("mallory");
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let (header, rest) = token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    format!("{header}.{claims}.{signature}")
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
