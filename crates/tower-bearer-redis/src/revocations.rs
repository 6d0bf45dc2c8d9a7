//! Revocations in a stream of Redis.
//!
//! # Where a reader continues
//!
//! A reader continues behind an entry that it has read, its anchor, if the stream still contains exactly that
//! entry. An entry contains a random token, so no other entry is equal to it, even if Redis gives its id once
//! more. Ids only grow. So even if Redis has lost data since, each entry of the stream with a lower id was
//! added before the anchor. The reader has seen that entry, unless it had expired by then. An entry that was
//! lost and is added again has a greater id than the anchor.
//!
//! Without an anchor, the reader reads the whole stream. The script that adds entries never removes the
//! newest entry. It removes other entries only after they have expired, and five minutes after the next entry
//! was added. A reader that was disconnected for less than that finds the last entry that it has read. For
//! longer disconnections, a cursor contains several anchors, the newest first, each of which expires later
//! than those before it.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::{RedisResult, Value, pipe};

use crate::connection::{Link, Refusal, check_server, command_failed};
use crate::problem::Problem;
use crate::scripts::REVOKE;
use crate::store::{RedisStore, seconds};
use tower_bearer::issuing::store::{Changes, Cursor, RevocationStore, StoreError, StoreFuture};
use tower_bearer::revocation::Revocation;

/// In front of all entries.
const START: &str = "0-0";
/// How many are read at once.
const PAGE: usize = 1_000;
/// For how long Redis waits for something new.
const WAIT: Duration = Duration::from_millis(500);
/// The wait on a new connection. It is short, so that a reader that lost the connection is soon up to date.
const FIRST_WAIT: Duration = Duration::from_millis(20);
/// The maximum number of anchors in a cursor.
const ANCHORS: usize = 8;

impl RedisStore {
    fn stream(&self) -> String {
        self.key("revocations", "")
    }

    async fn read(&self, cursor: Option<&Cursor>) -> Result<Changes, StoreError> {
        let wait = cursor.map_or(Duration::ZERO, |_| WAIT);
        let anchors = cursor.map_or_else(Vec::new, read_anchors);
        let read = self.server().run_alone(wait, async |mut link| {
            let last = anchors.first().map_or(START, |anchor| &anchor.id);
            let wait = match link.is_new {
                true => wait.min(FIRST_WAIT),
                false => wait,
            };
            let mut waits = (!wait.is_zero()).then_some((last, wait));
            for (index, anchor) in anchors.iter().enumerate() {
                let mut entries = self.entries(&mut link, &anchor.id, waits.take()).await?;
                if entries.first().is_some_and(|entry| anchor.is(entry)) {
                    entries.remove(0);
                    return Ok((entries, &anchors[index..]));
                }
            }
            let entries = self.entries(&mut link, START, waits).await?;
            Ok((entries, [].as_slice()))
        });
        let (mut entries, anchors) = read.await?;
        let more = entries.len() > PAGE;
        entries.truncate(PAGE);
        let revocations: Result<Vec<_>, _> = entries
            .iter()
            .map(|entry| Revocation::from_text(entry.text()))
            .collect();
        let revocations = revocations?;
        let cursor = cursor_behind(&entries, &revocations, anchors);
        Ok(Changes::new(revocations, cursor, more))
    }

    /// Returns the entries from the id `from` on, after an entry was added behind the id in `waits` or the
    /// time in `waits` has passed. Returns one entry more than a page and an anchor if there are more.
    ///
    /// Each read includes the checks of the server, since a master can become a replica and a policy can
    /// change without a new connection.
    async fn entries(
        &self,
        link: &mut Link,
        from: &str,
        waits: Option<(&str, Duration)>,
    ) -> Result<Vec<Entry>, Refusal> {
        let mut commands = pipe();
        commands.ignore_errors();
        if let Some((last, wait)) = waits {
            commands.cmd("XREAD").arg("COUNT").arg(1);
            commands.arg("BLOCK").arg(wait.as_millis());
            commands.arg("STREAMS").arg(self.stream()).arg(last);
        }
        // Redis 6.0 requires the version of the protocol.
        commands.cmd("HELLO").arg(2);
        if let Some(command) = link.policy.command() {
            commands.add_command(command);
        }
        commands.cmd("XRANGE").arg(self.stream()).arg(from).arg("+");
        commands.arg("COUNT").arg(PAGE + 2);
        let answers: Vec<RedisResult<Value>> = commands
            .query_async(&mut link.commands)
            .await
            .map_err(command_failed)?;
        let mut answers = answers.into_iter();
        let mut next = || match answers.next() {
            Some(answer) => answer.map_err(command_failed),
            None => Err(Refusal::Command(Problem::Answer)),
        };
        if waits.is_some() {
            // Only the fact that there are new entries is used. The stream may have been replaced between two commands.
            next()?;
        }
        check_server(next()?)?;
        if link.policy.command().is_some() {
            link.policy.check(next()?)?;
        }
        read_entries(next()?).ok_or(Refusal::Command(Problem::Answer))
    }
}

/// An entry that a reader has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Anchor {
    id: String,
    /// The second in which the revocation ends.
    end: u64,
    /// The digest of the fields, which include the random token.
    digest: String,
}

impl Anchor {
    fn of(entry: &Entry, revocation: &Revocation) -> Self {
        Self {
            id: entry.id.clone(),
            end: revocation.expires_at_second(),
            digest: entry.digest(),
        }
    }

    fn is(&self, entry: &Entry) -> bool {
        self.id == entry.id && self.digest == entry.digest()
    }
}

/// Creates a cursor behind these entries, which follow one of the anchors of the cursor before.
fn cursor_behind(entries: &[Entry], revocations: &[Revocation], before: &[Anchor]) -> Cursor {
    let mut anchors: Vec<Anchor> = Vec::new();
    let mut end = 0;
    for (entry, revocation) in entries.iter().zip(revocations).rev() {
        if anchors.is_empty() || revocation.expires_at_second() > end {
            end = revocation.expires_at_second();
            // The anchor that expires last takes the last place.
            anchors.truncate(ANCHORS - 1);
            anchors.push(Anchor::of(entry, revocation));
        }
    }
    let is_empty = anchors.is_empty();
    for anchor in before {
        if is_empty || anchor.end > end {
            end = anchor.end;
            anchors.truncate(ANCHORS - 1);
            anchors.push(anchor.clone());
        }
    }
    let texts: Vec<_> = anchors
        .iter()
        .map(|anchor| format!("{}:{}:{}", anchor.id, anchor.end, anchor.digest))
        .collect();
    Cursor::new(texts.join(" "))
}

/// Returns the anchors of a cursor. Empty if any part of the cursor is not from this store.
fn read_anchors(cursor: &Cursor) -> Vec<Anchor> {
    let read = |text: &str| {
        let mut parts = text.split(':');
        let (id, end, digest) = (parts.next()?, parts.next()?, parts.next()?);
        let is_id = id
            .split_once('-')
            .is_some_and(|(time, number)| is_number(time) && is_number(number));
        (is_id && parts.next().is_none()).then_some(())?;
        Some(Anchor {
            id: id.into(),
            end: end.parse().ok()?,
            digest: digest.into(),
        })
    };
    let anchors: Option<Vec<_>> = cursor.as_str().split(' ').map(read).collect();
    anchors.unwrap_or_default()
}

fn is_number(text: &str) -> bool {
    text.parse::<u64>()
        .is_ok_and(|number| number.to_string() == text)
}

impl RevocationStore for RedisStore {
    fn add<'a>(&'a self, revocation: &'a Revocation, now: SystemTime) -> StoreFuture<'a, ()> {
        let mut token = [0; 12];
        if rand::fill(&mut token).is_err() {
            let error =
                StoreError::unavailable("of revocations", "the random number generator failed");
            return Box::pin(std::future::ready(Err(error)));
        }
        let mut revoke = REVOKE.prepare_invoke();
        revoke
            .key(self.stream())
            .key(self.key("revocation-ends", ""))
            .key(self.key("revocation-texts", ""))
            .arg(revocation.to_text())
            .arg(revocation.expires_at_second())
            .arg(seconds(now))
            .arg(URL_SAFE_NO_PAD.encode(token));
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

/// An entry of the stream.
struct Entry {
    id: String,
    /// Names and values, in turn.
    fields: Vec<Vec<u8>>,
}

impl Entry {
    fn text(&self) -> &[u8] {
        self.fields.get(1).map_or(&[], Vec::as_slice)
    }

    fn digest(&self) -> String {
        let mut context = Context::new(&SHA256);
        for field in &self.fields {
            context.update(&(field.len() as u64).to_be_bytes());
            context.update(field);
        }
        let digest = context.finish();
        let bytes = digest.as_ref().iter().take(16);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Reads the answer `[[id, [name, value, …]]]`.
fn read_entries(value: Value) -> Option<Vec<Entry>> {
    let Value::Array(entries) = value else {
        return None;
    };
    entries.into_iter().map(read_entry).collect()
}

/// Reads one entry. The text of the revocation is the first field, `r`.
fn read_entry(value: Value) -> Option<Entry> {
    let [id, fields] = array(value)?;
    let Value::Array(fields) = fields else {
        return None;
    };
    let fields: Vec<_> = fields.into_iter().map(bytes).collect::<Option<_>>()?;
    (fields.len() % 2 == 0 && fields.first().is_some_and(|name| name == b"r")).then_some(())?;
    Some(Entry {
        id: String::from_utf8(bytes(id)?).ok()?,
        fields,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64, end: u64) -> (Entry, Revocation) {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(end);
        let revocation = Revocation::session(None, &number.to_string(), end);
        let entry = Entry {
            id: format!("{number}-0"),
            fields: vec![b"r".to_vec(), revocation.to_text().into()],
        };
        (entry, revocation)
    }

    fn ids(cursor: &Cursor) -> Vec<String> {
        read_anchors(cursor)
            .into_iter()
            .map(|anchor| anchor.id)
            .collect()
    }

    #[test]
    fn cursor_contains_newest_entry_and_those_that_end_later() {
        // M05: resuming readers
        let behind = |ends: &[u64], first: u64, before: &[Anchor]| {
            let entries = ends
                .iter()
                .zip(first..)
                .map(|(end, number)| entry(number, *end));
            let (entries, revocations): (Vec<_>, Vec<_>) = entries.unzip();
            cursor_behind(&entries, &revocations, before)
        };
        let cursor = behind(&[100, 900, 300, 500, 500, 200], 1, &[]);
        assert_eq!(ids(&cursor), ["6-0", "5-0", "2-0"]);
        let before = read_anchors(&cursor);
        assert_eq!(ids(&behind(&[], 7, &before)), ["6-0", "5-0", "2-0"]);
        assert_eq!(ids(&behind(&[400], 7, &before)), ["7-0", "5-0", "2-0"]);
        assert_eq!(ids(&behind(&[1_000], 7, &before)), ["7-0"]);
        assert_eq!(ids(&behind(&[], 7, &before[1..])), ["5-0", "2-0"]);
        // The newest anchor and the one that expires last are always included.
        let many: Vec<u64> = (1..100).rev().collect();
        let many = ids(&behind(&many, 1, &[]));
        assert_eq!(many.len(), ANCHORS);
        assert_eq!((&*many[0], &*many[ANCHORS - 1]), ("99-0", "1-0"));
        assert!(ids(&behind(&[], 1, &[])).is_empty());
    }

    #[test]
    fn anchor_is_equal_only_to_same_id_and_same_fields() {
        // M05: resuming readers
        let (mut entry, revocation) = entry(1, 100);
        let anchor = Anchor::of(&entry, &revocation);
        assert!(anchor.is(&entry));
        entry.fields.extend([b"t".to_vec(), b"token".to_vec()]);
        assert!(!anchor.is(&entry));
        let anchor = Anchor::of(&entry, &revocation);
        assert!(anchor.is(&entry));
        entry.fields[3] = b"other".to_vec();
        assert!(!anchor.is(&entry));
        entry.fields[3] = b"token".to_vec();
        entry.id = "1-1".into();
        assert!(!anchor.is(&entry));
    }

    #[test]
    fn cursor_of_another_store_has_no_anchor() {
        // M05: resuming readers
        let digest = "0".repeat(32);
        for strange in [
            "",
            "x",
            "1-1",
            "1-1:5",
            "+:5:x",
            "-:5:x",
            "1-:5:x",
            "1-1 :5:x",
            "01-1:5:x",
            "1-1:x:x",
            "1-1:5:x:x",
            "18446744073709551616-0:5:x",
        ] {
            assert!(ids(&Cursor::new(strange)).is_empty(), "{strange}");
            let with_valid = format!("1-1:5:{digest} {strange}");
            assert!(ids(&Cursor::new(with_valid)).is_empty(), "{strange}");
        }
        assert_eq!(ids(&Cursor::new(format!("1-1:5:{digest}"))), ["1-1"]);
    }
}
