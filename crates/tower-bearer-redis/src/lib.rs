#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::unwrap_used))]

mod address;
mod connection;
mod problem;
mod requirements;
mod revocations;
mod scripts;
mod sessions;
mod store;

pub use store::{RedisStore, RedisStoreBuilder};
