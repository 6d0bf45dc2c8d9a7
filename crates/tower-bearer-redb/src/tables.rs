//! What stands in the file, and how it is changed and read.

use std::ops::Bound;

use aws_lc_rs::digest::{SHA256, digest};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use tower_bearer::issuing::store::{
    Changes, Cursor, SessionId, SessionRecord, SessionsOf, StoreError,
};
use tower_bearer::revocation::Revocation;

/// The format of the tables below.
pub(crate) const FORMAT: u64 = 2;
/// So many that have ended are cleared away at a time: more than come in, so none pile up.
pub(crate) const CLEARED_AT_A_TIME: usize = 64;
/// Changes are read in portions of so many,
const PORTION: usize = 4_096;
/// or of about so many bytes.
const PORTION_BYTES: usize = 1 << 20;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// In `META`.
const FORMAT_KEY: &str = "format";
/// In `META`: the number of the next revocation. No number is used twice.
const NUMBER_KEY: &str = "revocation";

type Id = &'static [u8; 16];
/// A digest of issuer and name, which bounds the length of the key, and the id of a session.
type NameAndId = &'static [u8; 32];

const SESSIONS: TableDefinition<'_, Id, &[u8]> = TableDefinition::new("sessions");
const SUBJECTS: TableDefinition<'_, NameAndId, ()> = TableDefinition::new("session-subjects");
const CLIENTS: TableDefinition<'_, NameAndId, ()> = TableDefinition::new("session-clients");
const ENDS: TableDefinition<'_, (u64, Id), ()> = TableDefinition::new("session-ends");
/// By number, oldest first.
const REVOCATIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("revocations");
/// By a digest of the text.
const NUMBERS: TableDefinition<'_, Id, u64> = TableDefinition::new("revocation-numbers");
const REVOCATION_ENDS: TableDefinition<'_, (u64, u64), ()> =
    TableDefinition::new("revocation-ends");

/// A change that is made entirely or not at all.
#[derive(Debug)]
pub(crate) enum Write {
    Add { text: String, end: u64, now: u64 },
    Insert { record: SessionRecord, now: u64 },
    Remove(SessionId),
    Replace(SessionRecord),
}

/// Nothing can be said about the file any more. Boxed, since redb says much and it is moved often.
#[derive(Debug)]
pub(crate) struct Failed(Box<redb::Error>);

impl Failed {
    pub(crate) fn error(&self) -> &redb::Error {
        &self.0
    }
}

impl<E: Into<redb::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(Box::new(error.into()))
    }
}

/// What a change came to. The outer error means that nothing can be said about the file any more.
pub(crate) type Outcome<T> = Result<Result<T, StoreError>, Failed>;

pub(crate) struct Tables<'a> {
    meta: Table<'a, &'static str, u64>,
    sessions: Table<'a, Id, &'static [u8]>,
    subjects: Table<'a, NameAndId, ()>,
    clients: Table<'a, NameAndId, ()>,
    ends: Table<'a, (u64, Id), ()>,
    revocations: Table<'a, u64, &'static [u8]>,
    numbers: Table<'a, Id, u64>,
    revocation_ends: Table<'a, (u64, u64), ()>,
    /// Whether there is anything to commit.
    has_changed: bool,
}

impl<'a> Tables<'a> {
    pub(crate) fn open(transaction: &'a WriteTransaction) -> Result<Self, Failed> {
        Ok(Self {
            meta: transaction.open_table(META)?,
            sessions: transaction.open_table(SESSIONS)?,
            subjects: transaction.open_table(SUBJECTS)?,
            clients: transaction.open_table(CLIENTS)?,
            ends: transaction.open_table(ENDS)?,
            revocations: transaction.open_table(REVOCATIONS)?,
            numbers: transaction.open_table(NUMBERS)?,
            revocation_ends: transaction.open_table(REVOCATION_ENDS)?,
            has_changed: false,
        })
    }

    /// Says in an empty file what it is.
    pub(crate) fn set_up(&mut self) -> Result<(), Failed> {
        self.meta.insert(FORMAT_KEY, FORMAT)?;
        Ok(())
    }

    pub(crate) fn has_changed(&self) -> bool {
        self.has_changed
    }

    pub(crate) fn execute(&mut self, write: &Write) -> Outcome<bool> {
        match write {
            Write::Add { text, end, now } => self.add(text, *end, *now).map(|()| Ok(true)),
            Write::Insert { record, now } => self.insert(record, *now),
            Write::Remove(id) => self.remove(*id),
            Write::Replace(record) => self.replace(record),
        }
    }

    fn insert(&mut self, record: &SessionRecord, now: u64) -> Outcome<bool> {
        self.clear_sessions(now)?;
        match self.session(record.id())? {
            Ok(None) => {}
            // It has ended, and it was not its turn to be cleared away.
            Ok(Some(known)) if known.expires_at_second() <= now => self.forget(&known)?,
            Ok(Some(_)) => return Ok(Err(StoreError::Exists)),
            Err(corrupt) => return Ok(Err(corrupt)),
        }
        self.keep(record)?;
        Ok(Ok(true))
    }

    fn replace(&mut self, record: &SessionRecord) -> Outcome<bool> {
        let known = match self.session(record.id())? {
            Ok(Some(known)) => known,
            Ok(None) => return Ok(Ok(false)),
            Err(corrupt) => return Ok(Err(corrupt)),
        };
        if known.version().checked_add(1) != Some(record.version()) {
            return Ok(Ok(false));
        }
        let stands_elsewhere = known.expires_at_second() != record.expires_at_second()
            || known.issuer() != record.issuer()
            || known.subject() != record.subject()
            || known.client() != record.client();
        if stands_elsewhere {
            self.forget(&known)?;
            self.keep(record)?;
        } else {
            self.put(record)?;
        }
        Ok(Ok(true))
    }

    fn remove(&mut self, id: SessionId) -> Outcome<bool> {
        match self.session(id)? {
            Ok(Some(known)) => self.forget(&known)?,
            Ok(None) => return Ok(Ok(false)),
            Err(corrupt) => return Ok(Err(corrupt)),
        }
        Ok(Ok(true))
    }

    fn session(&self, id: SessionId) -> Outcome<Option<SessionRecord>> {
        let Some(bytes) = self.sessions.get(id.as_bytes())? else {
            return Ok(Ok(None));
        };
        Ok(SessionRecord::from_bytes(id, bytes.value()).map(Some))
    }

    fn put(&mut self, record: &SessionRecord) -> Result<(), Failed> {
        self.has_changed = true;
        let bytes = record.to_bytes();
        self.sessions
            .insert(record.id().as_bytes(), bytes.as_slice())?;
        Ok(())
    }

    fn keep(&mut self, record: &SessionRecord) -> Result<(), Failed> {
        self.put(record)?;
        let id = record.id();
        self.subjects
            .insert(&index_key(record.issuer(), record.subject(), id), ())?;
        self.clients
            .insert(&index_key(record.issuer(), record.client(), id), ())?;
        self.ends
            .insert((record.expires_at_second(), id.as_bytes()), ())?;
        Ok(())
    }

    fn forget(&mut self, record: &SessionRecord) -> Result<(), Failed> {
        self.has_changed = true;
        let id = record.id();
        self.sessions.remove(id.as_bytes())?;
        self.subjects
            .remove(&index_key(record.issuer(), record.subject(), id))?;
        self.clients
            .remove(&index_key(record.issuer(), record.client(), id))?;
        self.ends
            .remove((record.expires_at_second(), id.as_bytes()))?;
        Ok(())
    }

    fn clear_sessions(&mut self, now: u64) -> Result<(), Failed> {
        let ended: Vec<(u64, [u8; 16])> = self
            .ends
            .range(..=(now, &[u8::MAX; 16]))?
            .take(CLEARED_AT_A_TIME)
            .map(|entry| {
                entry.map(|(key, _)| {
                    let (end, id) = key.value();
                    (end, *id)
                })
            })
            .collect::<Result<_, _>>()?;
        for (end, id) in ended {
            match self.session(SessionId::from_bytes(id))? {
                Ok(Some(record)) => self.forget(&record)?,
                // Nobody can read it, nor will anybody need it: that is no reason to refuse others.
                Ok(None) | Err(_) => {
                    self.has_changed = true;
                    self.sessions.remove(&id)?;
                    self.ends.remove((end, &id))?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, text: &str, end: u64, now: u64) -> Result<(), Failed> {
        self.clear_revocations(now)?;
        let key = short_digest(text.as_bytes());
        if self.numbers.get(&key)?.is_some() {
            return Ok(());
        }
        self.has_changed = true;
        let number = self.meta.get(NUMBER_KEY)?.map_or(1, |next| next.value());
        self.meta.insert(NUMBER_KEY, number + 1)?;
        self.revocations.insert(number, text.as_bytes())?;
        self.numbers.insert(&key, number)?;
        self.revocation_ends.insert((end, number), ())?;
        Ok(())
    }

    fn clear_revocations(&mut self, now: u64) -> Result<(), Failed> {
        let ended: Vec<(u64, u64)> = self
            .revocation_ends
            .range(..=(now, u64::MAX))?
            .take(CLEARED_AT_A_TIME)
            .map(|entry| entry.map(|(key, _)| key.value()))
            .collect::<Result<_, _>>()?;
        for (end, number) in ended {
            self.has_changed = true;
            self.revocation_ends.remove((end, number))?;
            if let Some(text) = self.revocations.remove(number)? {
                self.numbers.remove(&short_digest(text.value()))?;
            }
        }
        Ok(())
    }
}

/// The format of the file, if it says one.
pub(crate) fn read_format(reading: &ReadTransaction) -> Result<Option<u64>, Failed> {
    let meta = match reading.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        meta => meta?,
    };
    Ok(meta.get(FORMAT_KEY)?.map(|format| format.value()))
}

pub(crate) fn read_session(
    reading: &ReadTransaction,
    id: SessionId,
) -> Outcome<Option<SessionRecord>> {
    let sessions = reading.open_table(SESSIONS)?;
    let Some(bytes) = sessions.get(id.as_bytes())? else {
        return Ok(Ok(None));
    };
    Ok(SessionRecord::from_bytes(id, bytes.value()).map(Some))
}

pub(crate) fn list_sessions(
    reading: &ReadTransaction,
    issuer: &str,
    of: SessionsOf<'_>,
    after: Option<SessionId>,
    limit: usize,
) -> Outcome<Vec<SessionRecord>> {
    let (table, name) = match of {
        SessionsOf::Subject(name) => (SUBJECTS, name),
        SessionsOf::Client(name) => (CLIENTS, name),
    };
    let index = reading.open_table(table)?;
    let sessions = reading.open_table(SESSIONS)?;
    let first = index_key(
        issuer,
        name,
        after.unwrap_or(SessionId::from_bytes([0; 16])),
    );
    let last = index_key(issuer, name, SessionId::from_bytes([u8::MAX; 16]));
    let first = match after {
        Some(_) => Bound::Excluded(&first),
        None => Bound::Included(&first),
    };
    let mut found = Vec::new();
    if after == Some(SessionId::from_bytes([u8::MAX; 16])) {
        // Nothing stands behind it, and the range would have no length.
        return Ok(Ok(found));
    }
    for entry in index.range::<&[u8; 32]>((first, Bound::Included(&last)))? {
        if found.len() >= limit {
            break;
        }
        let (key, _) = entry?;
        let Some((_, id)) = key.value().split_last_chunk::<16>() else {
            continue;
        };
        let Some(bytes) = sessions.get(id)? else {
            continue;
        };
        match SessionRecord::from_bytes(SessionId::from_bytes(*id), bytes.value()) {
            Ok(record) if record.issuer() == issuer && is_of(&record, of) => found.push(record),
            Ok(_) => {}
            Err(corrupt) => return Ok(Err(corrupt)),
        }
    }
    Ok(Ok(found))
}

pub(crate) fn read_changes(reading: &ReadTransaction, after: Option<u64>) -> Outcome<Changes> {
    let next = reading
        .open_table(META)?
        .get(NUMBER_KEY)?
        .map_or(1, |next| next.value());
    // A place that is not there yet is one of another file.
    let after = after.filter(|after| *after < next).unwrap_or(0);
    let table = reading.open_table(REVOCATIONS)?;
    let (mut revocations, mut bytes, mut last) = (Vec::new(), 0, after);
    for entry in table.range((Bound::Excluded(after), Bound::Unbounded))? {
        let (number, text) = entry?;
        if revocations.len() >= PORTION || bytes >= PORTION_BYTES {
            let cursor = Cursor::new(last.to_string());
            return Ok(Ok(Changes::new(revocations, cursor, true)));
        }
        bytes += text.value().len();
        last = number.value();
        match Revocation::from_text(text.value()) {
            Ok(revocation) => revocations.push(revocation),
            Err(corrupt) => return Ok(Err(corrupt.into())),
        }
    }
    // Numbers in front of the next one may have been cleared away, or not been used yet, but not later on.
    let cursor = Cursor::new((next - 1).to_string());
    Ok(Ok(Changes::new(revocations, cursor, false)))
}

fn is_of(record: &SessionRecord, of: SessionsOf<'_>) -> bool {
    match of {
        SessionsOf::Subject(name) => record.subject() == name,
        SessionsOf::Client(name) => record.client() == name,
    }
}

fn index_key(issuer: &str, name: &str, id: SessionId) -> [u8; 32] {
    let mut key = [0; 32];
    let (front, back) = key.split_at_mut(16);
    // The digest of the issuer has a fixed length, so no two pairs of names have the same key.
    let mut text = digest(&SHA256, issuer.as_bytes()).as_ref().to_vec();
    text.extend(name.as_bytes());
    front.copy_from_slice(&short_digest(&text));
    back.copy_from_slice(id.as_bytes());
    key
}

/// Nobody can find two texts with the same one, at a cost that would pay: and two names that have are told apart.
fn short_digest(text: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    let all = digest(&SHA256, text);
    short.copy_from_slice(&all.as_ref()[..16]);
    short
}
