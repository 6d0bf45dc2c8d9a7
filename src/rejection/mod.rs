//! Rejections: why the layer answered a request itself, and with which response.
//!
//! [`mapping`] has the one function from a [`RejectionKind`] to status, challenge and gRPC status; `responder` builds the
//! response.

mod challenge;
mod mapping;
mod reason;
mod responder;

pub use challenge::Challenge;
#[cfg(feature = "throttle")]
pub(crate) use mapping::answer;
pub use reason::{Rejection, RejectionKind, RequestFault};
pub(crate) use responder::RejectionResponses;
#[cfg(any(feature = "logout", feature = "throttle"))]
pub(crate) use responder::retry_after_seconds;
pub use responder::{ProblemDetails, Responder, responder_fn};
