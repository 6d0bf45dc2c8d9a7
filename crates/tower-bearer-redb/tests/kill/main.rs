//! A process that is killed at any moment loses nothing that the store has acknowledged.

#[path = "../store/directory.rs"]
mod directory;
mod issuer;
mod store;
mod worker;
