//! `try.sh` shows what README.md says.

use std::process::Command;

use crate::service::Service;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Login, `/me`, refresh, the reuse that ends the session, logout at the next request, one answer for a wrong password and
/// an unknown user: each line of it, and in the README to the letter.
#[test]
fn the_script_shows_the_life_of_a_token() {
    // The passwords are those that it makes up and prints.
    let service = Service::with(&[]);
    let printed = service.printed.iter();
    let variables: Vec<_> = printed.filter_map(|line| line.split_once('=')).collect();
    let names: Vec<_> = variables.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["ALICE_PASSWORD", "ADMIN_PASSWORD", "URL"]);
    assert_ne!(variables[0].1, variables[1].1);
    let output = Command::new("sh")
        .current_dir(ROOT)
        .arg("examples/login/try.sh")
        .envs(variables)
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}\n{shown}");
    assert!(complaints.is_empty(), "{complaints}");
    let outcomes: Vec<_> = shown
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(_, outcome)| outcome.trim())
        .collect();
    let expected = [
        "200",
        "401",
        "200",
        "invalid_grant",
        "401",
        "invalid_grant",
        "200",
        "204",
        "401",
        "200",
        "401",
        "403",
        "200",
        "401",
        "invalid_grant",
        "invalid_grant",
        "ES256",
    ];
    assert_eq!(outcomes, expected, "{shown}");

    let readme = std::fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    assert!(readme.contains("\nexamples/login/try.sh\n"));
    assert!(
        readme.contains(&format!("```text\n{shown}```\n")),
        "README.md shows something else than\n{shown}"
    );
    let source = std::fs::read_to_string(format!("{ROOT}/examples/login/src/main.rs")).unwrap();
    let command = source.split('`').find(|text| text.starts_with("cargo run"));
    assert!(readme.contains(&format!("\n{}\n", command.unwrap())));
}
