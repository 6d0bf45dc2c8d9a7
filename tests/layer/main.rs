//! The layer as a Tower service: requests, rejections, stacks, sizes and compiler messages.

#[cfg(feature = "tracing")]
#[path = "../support/dispatcher.rs"]
mod dispatcher;
#[path = "../support/mod.rs"]
mod support;

mod compile_fail;
#[cfg(feature = "opaque")]
mod opaque_tokens;
mod properties;
mod rejections;
#[cfg(all(feature = "opaque", feature = "tracing"))]
mod secrets;
mod sizes;
#[cfg(all(feature = "axum", feature = "opaque"))]
mod stacks;
mod wire;
