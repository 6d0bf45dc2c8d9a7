//! Sessions in Redis.

use std::time::SystemTime;

use redis::cmd;

use crate::scripts::{INSERT, LIST, REMOVE, REPLACE};
use crate::store::{RedisStore, seconds};
use tower_bearer::issuing::store::{
    SessionId, SessionRecord, SessionStore, SessionsOf, StoreError, StoreFuture,
};

impl RedisStore {
    fn session(&self, id: &str) -> String {
        self.key("session:", id)
    }

    /// Returns the key of an index. The length in front of the issuer prevents two pairs of names from having
    /// the same key.
    fn index(&self, issuer: &str, of: SessionsOf<'_>) -> String {
        let (kind, name) = match of {
            SessionsOf::Subject(name) => ("subject:", name),
            SessionsOf::Client(name) => ("client:", name),
        };
        self.key(kind, &format!("{}:{issuer}{name}", issuer.len()))
    }
}

impl SessionStore for RedisStore {
    fn insert(&self, record: SessionRecord, now: SystemTime) -> StoreFuture<'_, ()> {
        let id = to_hex(record.id());
        let mut insert = INSERT.prepare_invoke();
        insert
            .key(self.session(&id))
            .key(self.index(record.issuer(), SessionsOf::Subject(record.subject())))
            .key(self.index(record.issuer(), SessionsOf::Client(record.client())))
            .key(self.key("ends", ""))
            .arg(self.prefix())
            .arg(id)
            .arg(record.to_bytes())
            .arg(record.expires_at_second())
            .arg(seconds(now));
        Box::pin(async move {
            let is_new: bool = self
                .server()
                .run(async |mut commands| insert.invoke_async(&mut commands).await)
                .await?;
            match is_new {
                true => Ok(()),
                false => Err(StoreError::Exists),
            }
        })
    }

    fn find(&self, id: SessionId) -> StoreFuture<'_, Option<SessionRecord>> {
        let mut get = cmd("GET");
        get.arg(self.session(&to_hex(id)));
        Box::pin(async move {
            let found: Option<Vec<u8>> = self
                .server()
                .run(async |mut commands| get.query_async(&mut commands).await)
                .await?;
            let record = found.map(|bytes| SessionRecord::from_bytes(id, &bytes));
            record.transpose()
        })
    }

    fn replace(&self, record: SessionRecord) -> StoreFuture<'_, bool> {
        let Some(before) = record.version().checked_sub(1) else {
            return Box::pin(std::future::ready(Ok(false)));
        };
        let id = to_hex(record.id());
        let mut replace = REPLACE.prepare_invoke();
        replace
            .key(self.session(&id))
            .key(self.key("ends", ""))
            .arg(id)
            .arg(&before.to_be_bytes()[..])
            .arg(record.to_bytes())
            .arg(record.expires_at_second());
        Box::pin(async move {
            self.server()
                .run(async |mut commands| replace.invoke_async(&mut commands).await)
                .await
        })
    }

    fn remove(&self, id: SessionId) -> StoreFuture<'_, bool> {
        let id = to_hex(id);
        let mut remove = REMOVE.prepare_invoke();
        remove
            .key(self.session(&id))
            .key(self.key("ends", ""))
            .arg(self.prefix())
            .arg(id);
        Box::pin(async move {
            self.server()
                .run(async |mut commands| remove.invoke_async(&mut commands).await)
                .await
        })
    }

    fn list<'a>(
        &'a self,
        issuer: &'a str,
        of: SessionsOf<'a>,
        after: Option<SessionId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<SessionRecord>> {
        let first = after.map_or_else(|| "-".into(), |id| format!("({}", to_hex(id)));
        let mut list = LIST.prepare_invoke();
        list.key(self.index(issuer, of))
            .arg(self.prefix())
            .arg(first)
            .arg(limit.min(1 << 31));
        Box::pin(async move {
            let found: Vec<Vec<u8>> = self
                .server()
                .run(async |mut commands| list.invoke_async(&mut commands).await)
                .await?;
            let pairs = found.chunks_exact(2);
            pairs
                .map(|pair| SessionRecord::from_bytes(from_hex(&pair[0])?, &pair[1]))
                .collect()
        })
    }
}

/// In the order of the bytes, as base64url is not.
fn to_hex(id: SessionId) -> String {
    id.as_bytes().iter().fold(String::new(), |mut hex, byte| {
        for digit in [byte >> 4, byte & 15] {
            hex.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
        hex
    })
}

fn from_hex(hex: &[u8]) -> Result<SessionId, StoreError> {
    let read = || {
        let number = u128::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?;
        (hex.len() == 32).then(|| SessionId::from_bytes(number.to_be_bytes()))
    };
    read().ok_or_else(|| StoreError::corrupt("the id of a session", "not 32 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        let id = SessionId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0x9a, 0xff]);
        assert_eq!(to_hex(id), "000102030405060708090a0b0c0d9aff");
        assert_eq!(from_hex(to_hex(id).as_bytes()).unwrap(), id);
        for bad in [
            "",
            "00",
            "000102030405060708090a0b0c0d9afg",
            "+00102030405060708090a0b0c0d9aff0",
        ] {
            assert!(from_hex(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
