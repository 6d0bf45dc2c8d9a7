//! Why Redis did not do what it was asked for.

use std::time::Duration;

use ::redis::{ErrorKind, RedisError};

/// Why a command failed. Nothing that the server says is in it but the code of an error: a server repeats what it was
/// sent, password and names included.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("it does not answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Io(String),
    #[error("what answers there does not speak the protocol of Redis")]
    Protocol,
    #[error("it answers with the error {code}{}", hint(code))]
    Refused { code: String },
    #[error("what it held is gone: all of it has to be read again")]
    Lost,
    #[error("what it answers is not what was asked for")]
    Answer,
}

fn hint(code: &str) -> &'static str {
    match code {
        "DENIED" => ": it takes no connections from other machines (protected-mode)",
        "LOADING" => ": it is still reading its data",
        "MISCONF" => ": it cannot write its data to the disk",
        "NOPERM" => ": its user may not do what this store does",
        "OOM" => ": its memory is full",
        "READONLY" => ": it is a replica",
        "WRONGTYPE" => ": something else uses the keys of this store; choose another prefix",
        _ => "",
    }
}

impl From<RedisError> for Problem {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            // The words of the operating system.
            ErrorKind::Io => Self::Io(error.to_string()),
            ErrorKind::Parse => Self::Protocol,
            ErrorKind::UnexpectedReturnType => Self::Answer,
            _ => {
                let errors = error.into_server_errors();
                let first = errors.as_deref().and_then(<[_]>::first);
                Self::Refused {
                    code: first.map_or("ERR", |(_, error)| code(error.code())).into(),
                }
            }
        }
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// If it is a word of capitals, as the codes of Redis are.
fn code(code: &str) -> &str {
    let is_code = code.len() <= 32 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code { code } else { "ERR" }
}
