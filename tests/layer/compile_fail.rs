//! The mistakes that users make most: each does not compile, and the message says what to do.
//!
//! The messages are searched for the sentences that this crate adds, and not compared as a whole, so
//! that the test does not depend on the version of the compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A project that depends on the crate and holds one case at a time.
fn project() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile_fail");
    std::fs::create_dir_all(project.join("src")).unwrap();
    std::fs::copy(root.join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let manifest = format!(
        "[package]\nname = \"case\"\nedition = \"2024\"\n\n[dependencies]\n\
         tower-bearer = {{ path = {:?}, default-features = false }}\n\n[workspace]\n",
        root.display().to_string(),
    );
    std::fs::write(project.join("Cargo.toml"), manifest).unwrap();
    project
}

/// What the compiler says; `None` if it is content.
fn compile(project: &Path, case: &str) -> Option<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/layer/compile_fail")
        .join(case)
        .with_extension("rs");
    std::fs::copy(source, project.join("src/lib.rs")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["check", "--offline", "--quiet", "--color", "never"])
        .current_dir(project)
        .env("CARGO_TARGET_DIR", project.join("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (!output.status.success()).then_some(said)
}

#[test]
fn common_mistake_fails_to_compile_with_helpful_message() {
    let project = project();
    // Without this, a broken project would pass for a refused mistake.
    assert_eq!(compile(&project, "control"), None);
    let cases: &[(&str, &[&str])] = &[
        (
            "closure_without_validator_fn",
            &[
                "is not a `Validator`",
                "wrap a closure in `tower_bearer::validator_fn(|credential| ...)`",
            ],
        ),
        (
            "validator_returns_option",
            &[
                "a closure given to `validator_fn` cannot return `Option<User>`",
                "return `Result<Principal, tower_bearer::Failure>`",
            ],
        ),
        (
            "principal_without_claims",
            &[
                "the built-in policies cannot ask a `User` for its scopes, roles, tenant or subject",
                "implement `tower_bearer::policy::Claims` for `User`",
            ],
        ),
        (
            "policy_for_another_principal",
            &["is not a `Policy` for the principal `User`"],
        ),
        (
            "principal_not_sync",
            &[
                "`Cell<u64>` cannot be shared between threads safely",
                "within `User`, the trait `Sync` is not implemented",
                "to implement `Validator`",
            ],
        ),
        (
            "principal_not_sync_async",
            &[
                "`Cell<u64>` cannot be shared between threads safely",
                "to implement `Validator`",
            ],
        ),
        (
            "principal_of_validator_not_sync",
            &[
                "`Cell<u64>` cannot be shared between threads safely",
                "required by a bound in `tower_bearer::Validator::Principal`",
            ],
        ),
        (
            "bare_closure_as_rule",
            &["a closure is wrapped in `policy_fn("],
        ),
    ];
    for (case, sentences) in cases {
        let said = compile(&project, case).unwrap_or_else(|| panic!("{case} compiles"));
        for sentence in *sentences {
            assert!(
                said.contains(sentence),
                "{case} does not say {sentence:?}:\n{said}"
            );
        }
    }
}
