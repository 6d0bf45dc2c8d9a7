//! Issuing tokens.
