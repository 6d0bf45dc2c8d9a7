//! A process that is killed at any moment loses nothing that it has acknowledged.

#[path = "support/kill.rs"]
mod kill;

#[path = "store_redb/directory.rs"]
mod directory;
#[path = "kill/issuer.rs"]
mod issuer;
#[path = "kill/store.rs"]
mod store;
