//! Authentication: from a credential to a principal.

mod and_then;
mod contract;
mod dependency;
mod expiring;
mod for_scheme;
#[cfg(feature = "opaque")]
mod opaque;
mod or;
mod validated;
mod validator_fn;
mod verdict;

pub use and_then::AndThen;
pub use contract::Validator;
pub use dependency::Dependency;
pub use expiring::Expiring;
pub use for_scheme::ForScheme;
#[cfg(feature = "opaque")]
pub use opaque::{OpaqueTokens, TokenDigest};
pub use or::Or;
pub use validated::Validated;
pub use validator_fn::{IntoVerdict, ValidatorFn, markers, validator_fn};
pub use verdict::{BoxFuture, Verdict};
