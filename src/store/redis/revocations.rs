//! Revocations in a stream of Redis.
//!
//! A cursor is the id of an entry. Ids only grow, and the newest entry is never cleared away; so if there is none, or its id is
//! less than the cursor, Redis has lost something, and there may be entries with lower ids that nobody has seen: all of
//! it has to be read again. After any failure it is in any case.

use std::time::{Duration, SystemTime};

use ::redis::{Value, pipe};

use super::RedisStore;
use super::problem::Problem;
use super::scripts::REVOKE;
use crate::revocation::{Revocation, seconds};
use crate::store::{Changes, Cursor, RevocationStore, StoreError, StoreFuture};

/// In front of all entries.
const START: &str = "0-0";
/// How many are read at once.
const PAGE: usize = 1_000;
/// For how long Redis waits for something new.
const WAIT: Duration = Duration::from_millis(500);

impl RedisStore {
    fn stream(&self) -> String {
        self.key("revocations", "")
    }

    async fn read(&self, cursor: Option<&Cursor>) -> Result<Changes, StoreError> {
        let after = cursor.map_or(START, Cursor::as_str);
        let wait = if cursor.is_some() {
            WAIT
        } else {
            Duration::ZERO
        };
        let mut commands = pipe();
        commands
            .cmd("XREVRANGE")
            .arg(self.stream())
            .arg("+")
            .arg("-")
            .arg("COUNT")
            .arg(1);
        // With one more than are handed out it is known whether there are more.
        commands.cmd("XREAD").arg("COUNT").arg(PAGE + 1);
        if !wait.is_zero() {
            commands.arg("BLOCK").arg(wait.as_millis());
        }
        commands.arg("STREAMS").arg(self.stream()).arg(after);
        let (newest, read): (Value, Value) = self
            .server()
            .run_alone(wait, async |mut connection| {
                commands.query_async(&mut connection).await
            })
            .await?;
        let answer = || self.server().unavailable(Problem::Answer);
        let newest = read_entries(newest).ok_or_else(answer)?;
        let newest = newest.first().and_then(|(id, _)| place(id));
        if after != START && newest < place(after) {
            return Err(self.server().unavailable(Problem::Lost));
        }
        let mut entries = read_stream(read).ok_or_else(answer)?;
        let more = entries.len() > PAGE;
        entries.truncate(PAGE);
        let last = entries.last().map_or(after, |(id, _)| id);
        let cursor = Cursor::new(last);
        let texts = entries.iter().map(|(_, text)| text);
        let revocations: Result<_, _> = texts.map(|text| Revocation::from_text(text)).collect();
        Ok(Changes::new(revocations?, cursor, more))
    }
}

impl RevocationStore for RedisStore {
    fn add<'a>(&'a self, revocation: &'a Revocation, now: SystemTime) -> StoreFuture<'a, ()> {
        let mut revoke = REVOKE.prepare_invoke();
        revoke
            .key(self.stream())
            .key(self.key("revocation-ends", ""))
            .key(self.key("revocation-texts", ""))
            .arg(revocation.to_text())
            .arg(revocation.ends_at_second())
            .arg(seconds(now));
        Box::pin(async move {
            self.server()
                .run(async |mut commands| revoke.invoke_async(&mut commands).await)
                .await
        })
    }

    fn changes<'a>(&'a self, cursor: Option<&'a Cursor>) -> StoreFuture<'a, Changes> {
        Box::pin(self.read(cursor))
    }

    fn is_shared(&self) -> bool {
        true
    }
}

/// The id of an entry, and its text.
/// Milliseconds, and a number within one. `None`, which is less than any, for what is no id.
fn place(id: &str) -> Option<(u64, u64)> {
    let (time, number) = id.split_once('-')?;
    Some((time.parse().ok()?, number.parse().ok()?))
}

type Entry = (String, Vec<u8>);

/// `[[stream, entries]]`, or nothing at all.
fn read_stream(value: Value) -> Option<Vec<Entry>> {
    if value == Value::Nil {
        return Some(Vec::new());
    }
    let [stream] = array(value)?;
    let [_, entries] = array(stream)?;
    read_entries(entries)
}

/// `[[id, [field, text]]]`.
fn read_entries(value: Value) -> Option<Vec<Entry>> {
    let Value::Array(entries) = value else {
        return None;
    };
    entries.into_iter().map(read_entry).collect()
}

fn read_entry(value: Value) -> Option<Entry> {
    let [id, fields] = array(value)?;
    let [_, text] = array(fields)?;
    Some((String::from_utf8(bytes(id)?).ok()?, bytes(text)?))
}

fn array<const N: usize>(value: Value) -> Option<[Value; N]> {
    match value {
        Value::Array(values) => values.try_into().ok(),
        _ => None,
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}
