//! The validator for JSON Web Tokens: settings, attacks, properties and the examples of the RFCs.

#[path = "../support/pem.rs"]
mod pem;
#[path = "../support/tokens.rs"]
mod tokens;
#[path = "../support/verdicts.rs"]
mod verdicts;

mod attacks;
mod properties;
mod validator;
mod vectors;
