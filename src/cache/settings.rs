//! How much is remembered, and for how long.

use std::time::Duration;

/// The bounds of a cache.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::cache::CacheSettings;
///
/// // Roles change often here, and there are many users.
/// let settings = CacheSettings::new()
///     .with_time_to_live(Duration::from_secs(60))
///     .with_max_entries(100_000)
///     .with_max_bytes(256 * 1024 * 1024);
/// # let _ = settings;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    pub(crate) time_to_live: Duration,
    pub(crate) max_entries: usize,
    pub(crate) max_bytes: usize,
    pub(crate) max_token_length: usize,
    pub(crate) principal_bytes: usize,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self::new()
    }
}

impl CacheSettings {
    /// 5 minutes, 10,000 entries, 32 MiB, tokens of up to 4 KiB.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            time_to_live: Duration::from_secs(300),
            max_entries: 10_000,
            max_bytes: 32 * 1024 * 1024,
            max_token_length: 4 * 1024,
            principal_bytes: 0,
        }
    }

    /// How long a verdict is kept at most, counted from when the validator was asked. It goes earlier when the
    /// credential expires or a [`Dependency`](crate::Dependency) no longer holds. With zero nothing is kept.
    /// Default: 5 minutes.
    #[must_use]
    pub const fn with_time_to_live(mut self, time_to_live: Duration) -> Self {
        self.time_to_live = time_to_live;
        self
    }

    /// How many verdicts are kept at most. With zero none is. Both bounds count, so raise both: with 32 MiB there
    /// is room for 10,000 tokens of 1,200 bytes. Default: 10,000.
    #[must_use]
    pub const fn with_max_entries(mut self, max_entries: usize) -> Self {
        self.max_entries = max_entries;
        self
    }

    /// How much memory they may take, in bytes. A verdict counts twice its token, since a principal that was read from
    /// it is about as long, what claims as JSON take besides, and about 500 bytes: for a usual JWT of 700 bytes some
    /// 2 KiB. With zero none is kept. Default: 32 MiB.
    #[must_use]
    pub const fn with_max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// The longest token that is kept, in bytes; a longer one is validated each time. Default: 4096.
    #[must_use]
    pub const fn with_max_token_length(mut self, max_token_length: usize) -> Self {
        self.max_token_length = max_token_length;
        self
    }

    /// What a principal takes on the heap besides as many bytes as its token has, for principals that were not
    /// read from their tokens. Default: 0.
    #[must_use]
    pub const fn with_principal_bytes(mut self, principal_bytes: usize) -> Self {
        self.principal_bytes = principal_bytes;
        self
    }
}
