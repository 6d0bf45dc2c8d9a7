//! Where a Redis is.

use std::fmt;
#[cfg(unix)]
use std::path::PathBuf;

use redis::{ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo, parse_redis_url};

use tower_bearer::issuing::store::StoreError;

const FORM: &str = "expected redis://[user:password@]host[:port][/database]";

/// What a URL says. `Display` shows where the server is, and nothing that gives access to it.
pub(crate) struct Address {
    pub(crate) place: Place,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: i64,
}

pub(crate) enum Place {
    Tcp {
        host: String,
        port: u16,
    },
    #[cfg(unix)]
    Unix(PathBuf),
}

impl Address {
    /// Reads a URL. No part of it is in the error: a password with a character that has to be escaped ends up
    /// anywhere.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        let wrong = |problem: &str| StoreError::open("Redis", format!("{problem}; {FORM}"));
        let Some(parsed) = parse_redis_url(url) else {
            return Err(wrong("the URL cannot be read"));
        };
        let is_unix = parsed.scheme().contains("unix");
        if matches!(parsed.scheme(), "rediss" | "valkeys") {
            return Err(wrong(
                "TLS is not spoken here: put a tunnel, such as stunnel, between",
            ));
        }
        if parsed.fragment().is_some() {
            return Err(wrong(
                "the URL has a `#`, which is written %23 in a password",
            ));
        }
        if !is_unix && parsed.query().is_some() {
            return Err(wrong(
                "the URL has a `?`, which is written %3F in a password",
            ));
        }
        if !is_unix && parsed.host().is_none() {
            return Err(wrong("the URL names no host"));
        }
        let info = parsed.into_connection_info().map_err(|_| {
            wrong("what follows the host is not the number of a database, or a character has to be escaped")
        })?;
        let settings = info.redis_settings();
        Ok(Self {
            place: place(info.addr()).ok_or_else(|| wrong("the URL names no host"))?,
            user: settings.username().map(String::from),
            password: settings.password().map(String::from),
            database: database(settings)
                .ok_or_else(|| wrong("there is no database with a negative number"))?,
        })
    }
}

fn place(address: &ConnectionAddr) -> Option<Place> {
    match address {
        ConnectionAddr::Tcp(host, port) => Some(Place::Tcp {
            host: host.clone(),
            port: *port,
        }),
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => Some(Place::Unix(path.clone())),
        _ => None,
    }
}

fn database(settings: &RedisConnectionInfo) -> Option<i64> {
    Some(settings.db()).filter(|number| *number >= 0)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp { host, port } if host.contains(':') => write!(f, "redis://[{host}]:{port}"),
            Place::Tcp { host, port } => write!(f, "redis://{host}:{port}"),
            #[cfg(unix)]
            Place::Unix(path) => write!(f, "redis+unix://{}", path.display()),
        }?;
        match self.database {
            0 => Ok(()),
            number => write!(f, "/{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_gives_access() {
        for (url, shown) in [
            ("redis://localhost", "redis://localhost:6379"),
            ("valkey://localhost", "redis://localhost:6379"),
            (
                "redis://alice:hunter2@db.example:7000/3",
                "redis://db.example:7000/3",
            ),
            ("redis://:hunter2@[::1]:7000", "redis://[::1]:7000"),
            (
                "redis+unix:///run/redis.sock?pass=hunter2&db=2",
                "redis+unix:///run/redis.sock/2",
            ),
        ] {
            assert_eq!(Address::parse(url).ok().unwrap().to_string(), shown);
        }
        let address = Address::parse("redis://al%20ice:hunter%232@h")
            .ok()
            .unwrap();
        assert_eq!(address.user.as_deref(), Some("al ice"));
        assert_eq!(address.password.as_deref(), Some("hunter#2"));
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_without_repeating_it() {
        for (url, why) in [
            ("", "cannot be read"),
            ("localhost:6379", "cannot be read"),
            ("http://hunter2@localhost", "cannot be read"),
            ("redis://", "no host"),
            ("redis://:hunter2@host:port", "cannot be read"),
            ("redis://:hunter2@host:99999", "cannot be read"),
            ("redis://:hunter2@host/users", "number of a database"),
            ("redis://:hunter2@host/-1", "negative"),
            ("redis://user:12#hunter2@host", "%23"),
            ("redis://user:12?hunter2@host", "%3F"),
            ("redis://user:12/hunter2@host", "number of a database"),
            ("redis://:hunter2@host?protocol=hunter2", "%3F"),
            ("rediss://:hunter2@host", "TLS"),
        ] {
            let error = Address::parse(url).err().unwrap();
            let said = format!("{error} {error:?}");
            assert!(said.contains(why), "{url}: {said}");
            assert!(!said.contains("hunter2"), "{url}: {said}");
        }
    }
}
