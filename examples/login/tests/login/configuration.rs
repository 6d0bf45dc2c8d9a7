//! What is wrong in the environment is named, and nothing is harmed by it.

use std::fs;
#[cfg(unix)]
use std::path::Path;
use std::process::Command;

use crate::service::{ADMIN, ALICE, command, folder};

/// What the example says about it when it does not start.
fn complaint(variables: &[(&str, &str)]) -> String {
    let passwords = [("ALICE_PASSWORD", ALICE), ("ADMIN_PASSWORD", ADMIN)];
    complaint_of(command(&[&passwords, variables].concat()))
}

fn complaint_of(mut command: Command) -> String {
    let output = command.output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(!complaint.contains("panicked"), "{complaint}");
    for secret in [ALICE, ADMIN, "hunter2", "MIIE", "c2VjcmV0"] {
        assert!(!complaint.contains(secret), "{complaint}");
        assert!(!printed.contains(secret), "{printed}");
    }
    complaint
}

#[test]
fn a_wrong_variable_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let weak = include_str!("../../../../tests/keys/rsa-1024.pem");
    let public = include_str!("../../../../tests/keys/p256.pub.pem");
    let garbage = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    let cases: &[(&str, &str, &[&str])] = &[
        ("ADDR", "bad", &["ADDR=bad", "IP:PORT"]),
        (
            "ADDR",
            "localhost:3000",
            &["ADDR=localhost:3000", "IP:PORT"],
        ),
        ("ADDR", &taken, &["ADDR: ", "in use"]),
        ("ACCESS_TTL", "bad", &["ACCESS_TTL=bad", "1 to 86400"]),
        ("ACCESS_TTL", "0", &["ACCESS_TTL=0", "1 to 86400"]),
        ("ACCESS_TTL", "86401", &["ACCESS_TTL=86401", "1 to 86400"]),
        ("SIGNING_KEY", "garbage", &["SIGNING_KEY: ", "PEM"]),
        ("SIGNING_KEY", garbage, &["SIGNING_KEY: "]),
        ("SIGNING_KEY", weak, &["SIGNING_KEY: ", "2048"]),
        ("SIGNING_KEY", public, &["SIGNING_KEY: "]),
        (
            "STORE",
            "/nonexistent/dir/x",
            &["STORE: ", "/nonexistent/dir/x", "directory"],
        ),
        (
            "STORE",
            "redis://alice:hunter2@nowhere.invalid:1",
            &["STORE: ", "nowhere.invalid:1", "because: "],
        ),
        (
            "STORE",
            "redis://alice:hunter2@127.0.0.1:1",
            &["STORE: ", "127.0.0.1:1", "because: "],
        ),
        (
            "STORE",
            "redis://alice:hunter2@[::1:1",
            &["STORE: ", "redis://"],
        ),
        (
            "STORE",
            "postgres://alice:hunter2@localhost/x",
            &["STORE: ", "redis://"],
        ),
    ];
    for (name, value, parts) in cases {
        let complaint = complaint(&[(name, value)]);
        for part in *parts {
            assert!(complaint.contains(part), "{name}={value}: {complaint}");
        }
    }
}

/// Not as if it were not set, which would mean a store in memory.
#[test]
#[cfg(unix)]
fn a_variable_that_is_no_text_is_named() {
    use std::os::unix::ffi::OsStrExt as _;

    let value = std::ffi::OsStr::from_bytes(b"hunter2\xff");
    for name in [
        "ADDR",
        "ACCESS_TTL",
        "ALICE_PASSWORD",
        "SIGNING_KEY",
        "STORE",
    ] {
        let mut command = command(&[]);
        command.env(name, value);
        let complaint = complaint_of(command);
        assert_eq!(complaint, format!("{name}: expected UTF-8\n"));
    }
}

#[test]
fn a_file_that_is_something_else_is_left_alone() {
    let folder = folder("damaged");
    let path = folder.join("store");
    let store = path.to_str().unwrap();
    // Wrong for another reason: it is not even made.
    complaint(&[("STORE", store), ("ACCESS_TTL", "bad")]);
    complaint(&[("STORE", store), ("SIGNING_KEY", "bad")]);
    complaint(&[("STORE", store), ("ADDR", "bad")]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    for name in ["store", "store.users"] {
        let path = folder.join(name);
        for content in ["a letter to grandmother\n".repeat(1_000), "short".into()] {
            fs::write(&path, &content).unwrap();
            // The file is rejected for its content.
            #[cfg(unix)]
            set_mode(&path, 0o600);
            let complaint = complaint(&[("STORE", store)]);
            assert!(!complaint.contains("every user"), "{complaint}");
            assert!(complaint.contains("STORE: "), "{complaint}");
            assert!(complaint.contains(path.to_str().unwrap()), "{complaint}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        fs::remove_file(&path).unwrap();
    }
    fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;

    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// M07: private files. The file of the users is treated like that of the sessions.
#[test]
#[cfg(unix)]
fn link_or_public_file_in_place_of_users_is_rejected() {
    let folder = folder("link");
    let (store, target) = (folder.join("store"), folder.join("target"));
    let users = folder.join("store.users");
    let variables = [("STORE", store.to_str().unwrap())];
    for is_there in [false, true] {
        if is_there {
            // An empty file is one that redb would write to.
            fs::write(&target, "").unwrap();
            set_mode(&target, 0o600);
        }
        std::os::unix::fs::symlink(&target, &users).unwrap();
        let complaint = complaint(&variables);
        assert!(complaint.contains("not a regular file"), "{complaint}");
        assert!(complaint.contains(users.to_str().unwrap()), "{complaint}");
        assert_eq!(target.exists(), is_there);
        fs::remove_file(&users).unwrap();
    }
    assert_eq!(fs::read(&target).unwrap(), b"");
    fs::write(&users, "").unwrap();
    set_mode(&users, 0o604);
    let complaint = complaint(&variables);
    assert!(complaint.contains("every user"), "{complaint}");
    assert_eq!(fs::read(&users).unwrap(), b"");
    fs::remove_dir_all(folder).unwrap();
}
