//! Shared code of the examples: the listen address, random tokens, and local servers.

#![allow(
    clippy::exhaustive_structs,
    missing_debug_implementations,
    reason = "only the examples use this"
)]

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpListener;
use tower_bearer::policy::{Claims, scope_list_contains};

#[cfg(feature = "introspection")]
pub mod authorization_server;
pub mod directory;
#[cfg(feature = "jwt")]
pub mod issuer;

/// The error of an example. `main` prints its `Debug`, which is the message of the error.
pub struct Failure(Box<dyn Error>);

impl<E: Into<Box<dyn Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Listens on the address in `ADDR`, or on `default`. Returns the listener and the address.
///
/// # Errors
///
/// An `ADDR` that is not an IP address with a port, or an address that is in use.
pub async fn listen(default: &str) -> Result<(TcpListener, String), Failure> {
    let addr = variable("ADDR").unwrap_or_else(|| default.to_owned());
    let addr: std::net::SocketAddr = addr
        .parse()
        .map_err(|_| format!("ADDR={addr}: expected IP:PORT, for example {default}"))?;
    let listener = TcpListener::bind(addr).await.map_err(|error| {
        format!("cannot listen on {addr}: {error}; choose another with ADDR=IP:PORT")
    })?;
    let base = listener.local_addr()?.to_string();
    Ok((listener, base))
}

/// Returns the value of an environment variable. `None` if it is not set or empty.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?.to_string_lossy().into_owned();
    (!value.is_empty()).then_some(value)
}

/// Returns 256 random bits in hexadecimal digits.
///
/// # Errors
///
/// Returns an error if the operating system provides no random bytes.
pub fn random_token() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Prints commands to try, with `base` in place of `BASE`.
pub fn print_tries(base: &str, tries: &str) {
    print!("{}", tries.replace("BASE", base));
}

/// The id of a request, in its extensions. The server chooses it, since an id of the client could be anything.
#[derive(Clone, Copy, Debug)]
pub struct RequestId(pub u64);

/// Puts a [`RequestId`] into each request. For `axum::middleware::from_fn`.
pub async fn with_request_id(
    mut request: axum::extract::Request,
    next: axum::middleware::Next,
) -> axum::response::Response {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    request.extensions_mut().insert(RequestId(id));
    next.run(request).await
}

/// The principal of the examples that need no other.
#[derive(Debug)]
pub struct User {
    /// The login name.
    pub name: &'static str,
    /// The projects of which the user is a member.
    pub projects: &'static [&'static str],
    /// The scopes, with spaces between them.
    pub scope: &'static str,
}

impl User {
    /// Returns alice, who has all rights, and bob, who has none.
    #[must_use]
    pub fn all() -> [Self; 2] {
        [
            Self {
                name: "alice",
                projects: &["apollo"],
                scope: "reports:read",
            },
            Self {
                name: "bob",
                projects: &[],
                scope: "",
            },
        ]
    }

    /// Generates a token for the user, and prints it as a shell variable.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system provides no random bytes.
    pub fn print_token(&self) -> Result<String, Failure> {
        let token = random_token()?;
        println!("{}={token}", self.name.to_uppercase());
        Ok(token)
    }
}

impl Claims for User {
    fn has_scope(&self, scope: &str) -> bool {
        scope_list_contains(self.scope, scope)
    }
}
