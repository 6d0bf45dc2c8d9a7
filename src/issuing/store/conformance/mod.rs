//! A conformance test suite for implementations of the store traits.
//!
//! | function | tests |
//! |---|---|
//! | [`check_sessions`] | a [`SessionStore`](super::SessionStore) |
//! | [`check_revocations`] | a [`RevocationStore`](super::RevocationStore) that keeps its revocations |
//! | [`check_issuers`] | a store that implements both traits, with token issuers on several machines |
//! | [`SessionModel::check`] | a store that implements both traits, with random histories that are compared with a model |
//!
//! Call them inside a Tokio runtime. On failure they panic, and the message names the violated rule.
//!
//! # Examples
//!
//! The complete tests of [`MemoryStore`](super::MemoryStore). A store that keeps revocations also passes
//! [`check_revocations`] and [`check_issuers`], and its [`SessionModel`] includes restarts.
//!
//! ```
//! use tower_bearer::issuing::store::MemoryStore;
//! use tower_bearer::issuing::store::conformance::{SessionModel, check_sessions};
//!
//! // With `#[tokio::test]` in the tests of a store.
//! async fn sessions_conform() {
//!     check_sessions(async || MemoryStore::new()).await;
//! }
//!
//! async fn histories_conform() {
//!     let new_location = || async || MemoryStore::new();
//!     SessionModel::new().histories(20).without_restarts().check(new_location).await;
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! sessions_conform().await;
//! histories_conform().await;
//! # }
//! ```
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod faulty;
mod issuers;
mod model;
mod random;
mod revocations;
mod rule;
mod sessions;

pub use issuers::check_issuers;
pub use model::SessionModel;
pub use revocations::check_revocations;
pub use sessions::check_sessions;
