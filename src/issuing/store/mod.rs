//! Storage of sessions and revocations.
//!
//! | store | crate | survives | shared by several processes |
//! |---|---|---|---|
//! | [`MemoryStore`] | this crate | nothing | no |
//! | `RedbStore` | [`tower-bearer-redb`](https://docs.rs/tower-bearer-redb) | a kill at any moment | no: one process has the file |
//! | `RedisStore` | [`tower-bearer-redis`](https://docs.rs/tower-bearer-redis) | what Redis survives | yes |
//!
//! A store contains no tokens. It contains [`SessionRecord`]s, each of which is replaced only by a caller that has read
//! the version before, and [`Revocation`](crate::revocation::Revocation)s, which are only added. The rules about them are
//! in [`TokenIssuer`](crate::issuing::TokenIssuer) and [`RevocationHub`](crate::issuing::RevocationHub), so every store
//! gives the same results.
//!
//! A store of your own implements [`SessionStore`], [`RevocationStore`] or both. With the feature `testing`, the module
//! `conformance` tests it.

#[cfg(feature = "testing")]
pub mod conformance;
mod error;
mod memory;
mod record;
mod revocations;
mod sessions;

pub use error::StoreError;
pub use memory::MemoryStore;
pub use record::{InvalidSessionId, SessionId, SessionRecord};
pub use revocations::{Changes, Cursor, RevocationStore};
pub use sessions::{SessionStore, SessionsOf, StoreFuture};
