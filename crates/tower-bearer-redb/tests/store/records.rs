//! Records of the tests.

use std::time::{Duration, SystemTime};

use tower_bearer::issuing::store::{
    Cursor, RevocationStore, SessionId, SessionRecord, SessionStore, SessionsOf,
};
use tower_bearer::revocation::Revocation;

pub(crate) const ISSUER: &str = "https://issuer.example";

pub(crate) fn hour() -> Duration {
    Duration::from_secs(3_600)
}

pub(crate) fn id(number: u64) -> SessionId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    SessionId::from_bytes(bytes)
}

/// Returns version 0 of a session of alice by the client web.
pub(crate) fn record(number: u64, end: SystemTime) -> SessionRecord {
    SessionRecord::new(id(number), 0, ISSUER, "alice", "web", end, vec![0, 255])
}

/// Returns the same session with another version and other data.
pub(crate) fn version(record: &SessionRecord, version: u64) -> SessionRecord {
    SessionRecord::new(
        record.id(),
        version,
        ISSUER,
        record.subject(),
        record.client(),
        record.expires_at(),
        version.to_be_bytes().to_vec(),
    )
}

/// Returns all sessions of a list, read in pages of `limit`.
pub(crate) async fn list_all(
    store: &impl SessionStore,
    of: SessionsOf<'_>,
    limit: usize,
) -> Vec<SessionRecord> {
    let mut all: Vec<SessionRecord> = Vec::new();
    loop {
        let after = all.last().map(SessionRecord::id);
        let page = store.list(ISSUER, of, after, limit).await.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Returns all revocations, read page by page.
pub(crate) async fn all_changes(store: &impl RevocationStore) -> Vec<Revocation> {
    let mut all = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let changes = store.changes(cursor.as_ref()).await.unwrap();
        all.extend(changes.revocations);
        if !changes.more {
            return all;
        }
        cursor = Some(changes.cursor);
    }
}
