//! The main example as a newcomer uses it: start it, read its tokens, run every curl line it prints.

#[path = "support/example.rs"]
mod example;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use example::{Server, example};

/// Starts an example, runs the first `lines` curl lines that it prints, each with the tokens printed
/// before it, and compares the status with the one promised: behind the line, or in the line above it.
/// Returns the command lines and the answers.
fn try_out(name: &str, lines: usize) -> Vec<(String, String)> {
    assert!(
        Command::new("curl")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok(),
        "curl is not installed: apt-get install curl"
    );
    let mut server = Server(
        Command::new(example(name))
            .env("ADDR", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut printed = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let mut tokens: Vec<(String, String)> = Vec::new();
    let mut promised = String::new();
    let mut answers = Vec::new();
    while answers.len() < lines {
        let line = printed.next().expect("more lines").unwrap();
        if let Some((name, token)) = line.split_once('=')
            && name.bytes().all(|byte| byte.is_ascii_uppercase())
        {
            tokens.push((name.to_owned(), token.to_owned()));
        }
        if let Some(comment) = line.strip_prefix("# ") {
            comment.clone_into(&mut promised);
        }
        if !line.starts_with("curl ") {
            continue;
        }
        let (command, behind) = line.split_once("   # ").unwrap_or((&line, &promised));
        let status: String = behind.chars().take_while(char::is_ascii_digit).collect();
        let output = Command::new("sh")
            .arg("-c")
            .arg(command.replacen("curl", "curl --silent", 1))
            .envs(tokens.clone())
            .output()
            .unwrap();
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        let code = answer.split(' ').nth(1).unwrap_or_default();
        assert_eq!(code, status, "{name}: {line}\n{promised}\n{answer}");
        for (_, token) in &tokens {
            assert!(
                !answer.contains(token.as_str()),
                "a token in an answer: {answer}"
            );
        }
        answers.push((command.to_owned(), answer));
    }
    answers
}

#[test]
fn responses_of_the_axum_example_are_those_it_prints() {
    let answers = try_out("axum", 15);
    let find = |part: &str| {
        let found = answers.iter().find(|(command, _)| command.contains(part));
        &found.unwrap_or_else(|| panic!("no line with {part}")).1
    };
    let answer = find(r#"/me -H "Authorization: Bearer $ALICE"#);
    assert!(answer.contains(r#"{"subject":"alice"}"#), "{answer}");
    let answer = find(r#"-X POST"#);
    let challenge = r#"www-authenticate: Bearer realm="shop", error="insufficient_scope", scope="orders:write""#;
    assert!(answer.contains(challenge), "{answer}");
    let answer = find("-X DELETE");
    let challenge = r#"error="insufficient_user_authentication", acr_values="mfa""#;
    assert!(answer.contains(challenge), "{answer}");
}

#[test]
fn responses_of_each_example_are_those_it_prints() {
    for (name, lines) in [
        ("hyper", 9),
        ("introspection", 8),
        ("jwt", 17),
        ("oidc", 5),
        ("async_validator", 11),
        ("custom_responses", 9),
        ("metrics", 4),
    ] {
        assert_eq!(try_out(name, lines).len(), lines, "{name}");
    }
}

#[test]
fn invalid_address_is_an_error_that_names_it() {
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
