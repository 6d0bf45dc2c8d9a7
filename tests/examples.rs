//! The main example as a newcomer uses it: start it, read its tokens, run every curl line it prints.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Ends the server however the test ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments);
    command
}

/// Where cargo puts the example, whatever the target directory is.
fn example(name: &str) -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let built = cargo(&["build", "--quiet", "--all-features", "--example", name])
        .arg("--target-dir")
        .arg(profile.parent().unwrap())
        .status()
        .unwrap();
    assert!(built.success(), "the example {name} does not build");
    profile.join("examples").join(name)
}

#[test]
fn every_curl_line_that_the_axum_example_prints_gives_what_it_promises() {
    assert!(
        Command::new("curl")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok(),
        "curl is not installed: apt-get install curl"
    );
    let mut server = Server(
        Command::new(example("axum"))
            .env("ADDR", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let mut tokens = Vec::new();
    let mut tried = 0;
    // The WebSocket line is the last one printed.
    while let Some(Ok(line)) = lines.next() {
        if let Some((name @ ("ALICE" | "BOB" | "ADMIN"), token)) = line.split_once('=') {
            tokens.push((name.to_owned(), token.to_owned()));
        }
        let Some((command, expected)) = line.split_once("   # ") else {
            continue;
        };
        let output = Command::new("sh")
            .arg("-c")
            .arg(command.replacen("curl", "curl --silent", 1))
            .envs(tokens.clone())
            .output()
            .unwrap();
        let answer = String::from_utf8_lossy(&output.stdout);
        let status = expected.split([' ', ',']).next().unwrap();
        let head = answer.lines().next().unwrap_or_default();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{command}\n{answer}"
        );
        if expected.contains("insufficient_scope") {
            assert!(
                answer.contains(r#"www-authenticate: Bearer realm="shop", error="insufficient_scope", scope="orders:write""#),
                "{answer}"
            );
        }
        if expected.contains("mfa") {
            assert!(
                answer.contains(r#"error="insufficient_user_authentication", acr_values="mfa""#),
                "{answer}"
            );
        }
        if command.contains("/me") && status == "200" {
            assert!(answer.contains(r#"{"subject":"alice"}"#), "{answer}");
        }
        for (_, token) in &tokens {
            assert!(
                !answer.contains(token.as_str()),
                "a token in an answer: {answer}"
            );
        }
        tried += 1;
        if expected.contains("WebSocket") {
            break;
        }
    }
    assert_eq!(tokens.len(), 3);
    assert_eq!(tried, 15);
}

#[test]
fn an_address_that_is_none_is_named() {
    let output = Command::new(example("axum"))
        .env("ADDR", "nowhere")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("ADDR=nowhere") && error.contains("IP:PORT"),
        "{error}"
    );
}
