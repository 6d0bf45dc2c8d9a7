//! Why Redis did not do what it was asked for.

use std::time::Duration;

use redis::{ErrorKind, RedisError};

use crate::requirements::known_command;

/// The reason why a command failed. Of the text of the server, it contains only the error code, and the name
/// of a command if the store sends that command. A server may repeat its input, passwords and names included.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("it does not answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Io(String),
    #[error("what answers there does not speak the protocol of Redis")]
    Protocol,
    #[error("it answers with the error {code}{}", hint(code, *lacks))]
    Rejected { code: String, lacks: Option<Lacks> },
    #[error("what it answers is not what was asked for")]
    Answer,
}

/// A right that the user does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacks {
    /// The right to run this command.
    Command(&'static str),
    /// The right to run a command that the error does not name.
    SomeCommand,
    /// The right to read or write a key.
    Key,
}

impl Problem {
    /// Returns whether the server accepts the same command later, without a change of its configuration or data.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Rejected { code, .. } => matches!(
                &**code,
                "BUSY" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "TRYAGAIN"
            ),
            _ => true,
        }
    }

    /// Returns whether another connection meets the same problem.
    pub(crate) fn is_of_every_connection(&self) -> bool {
        match self {
            Self::Rejected { code, lacks: None } => {
                matches!(&**code, "MISCONF" | "NOREPLICAS" | "OOM" | "WRONGTYPE")
            }
            _ => false,
        }
    }
}

fn hint(code: &str, lacks: Option<Lacks>) -> String {
    let hint = match (lacks, code) {
        (Some(Lacks::Command(command)), _) => {
            return format!(
                ": its user may not run {command}; the documentation of `RedisStore` has the ACL rules"
            );
        }
        (Some(Lacks::SomeCommand), _) => {
            "its user may not run a command of this store; the documentation of `RedisStore` has the ACL rules"
        }
        (Some(Lacks::Key), _) => {
            "its user may not read and write a key of this store; the documentation of `RedisStore` has the ACL rules"
        }
        (_, "BUSY") => "it runs a script of another client",
        (_, "DENIED") => "it accepts no connections from other machines (protected-mode)",
        (_, "LOADING") => "it is still reading its data",
        (_, "MISCONF") => "it cannot write its data to the disk",
        (_, "NOREPLICAS") => "it has fewer replicas than its `min-replicas-to-write`",
        (_, "OOM") => "its memory is full",
        (_, "READONLY") => "it is a replica",
        (_, "WRONGTYPE") => {
            "another application uses the keys of this store; choose another prefix"
        }
        _ => return String::new(),
    };
    format!(": {hint}")
}

impl From<RedisError> for Problem {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            // The words of the operating system.
            ErrorKind::Io => Self::Io(error.to_string()),
            ErrorKind::Parse => Self::Protocol,
            ErrorKind::UnexpectedReturnType => Self::Answer,
            _ => {
                let category = error.category().to_owned();
                let errors = error.into_server_errors();
                match errors.as_deref().and_then(<[_]>::first) {
                    Some((_, error)) => Self::rejected(code(error.code()), error.details()),
                    None => Self::Io(category),
                }
            }
        }
    }
}

impl Problem {
    fn rejected(code: &str, detail: Option<&str>) -> Self {
        let detail = detail.unwrap_or_default();
        // Within a script, Redis 7.0 reports a missing right with the code ERR.
        let in_script = detail.contains("The user executing the script can't");
        let lacks = (code == "NOPERM" || in_script).then(|| lacks(detail));
        let code = if lacks.is_some() { "NOPERM" } else { code };
        Self::Rejected {
            code: code.into(),
            lacks,
        }
    }
}

/// Returns the missing right. Redis 6 and 7 use these words: "no permissions to run the 'xadd' command", "no
/// permissions to access one of the keys", "can't run this command", "can't access at least one of the keys".
fn lacks(detail: &str) -> Lacks {
    if detail.contains(" access ") && detail.contains(" key") {
        return Lacks::Key;
    }
    let name = detail.split('\'').find_map(known_command);
    name.map_or(Lacks::SomeCommand, Lacks::Command)
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// Returns the code, if it is a word in capitals like the codes of Redis.
fn code(code: &str) -> &str {
    let is_code = code.len() <= 32 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code { code } else { "ERR" }
}
