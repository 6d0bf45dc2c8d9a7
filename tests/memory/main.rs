//! Memory, as a global allocator sees it: allocations of a request, and tokens in freed blocks.

#[path = "../support/allocator.rs"]
mod allocator;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "aws_lc_rs")]
#[path = "../support/tokens.rs"]
mod tokens;

mod allocations;
#[cfg(feature = "aws_lc_rs")]
mod wiped;
