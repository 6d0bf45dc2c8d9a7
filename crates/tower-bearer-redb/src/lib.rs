#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::unwrap_used))]

mod engine;
mod file;
mod queue;
mod store;
mod tables;
mod trial;

#[cfg(test)]
mod tests;

pub use store::RedbStore;
