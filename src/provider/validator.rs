//! What a JWT validator gains by remote keys.

#[cfg(feature = "oidc")]
use super::error::ProviderError;
use super::remote_keys::RemoteKeys;
use crate::jwt::JwtValidator;
#[cfg(feature = "oidc")]
use crate::jwt::JwtValidatorBuilder;

#[cfg(feature = "oidc")]
impl JwtValidator {
    /// Asks the issuer for its metadata and its keys, and starts with them: OpenID Connect Discovery,
    /// or [RFC 8414](https://www.rfc-editor.org/rfc/rfc8414). `issuer` is written exactly as the
    /// provider writes it in `iss`.
    ///
    /// To start while the issuer is down, or to set time limits, the [address of the
    /// metadata](crate::provider::RemoteKeysBuilder::metadata_url) or the algorithms of RSA keys without `alg`,
    /// create the keys with [`RemoteKeys::discover`] and pass them to [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// [`ProviderError`](ProviderError) if the issuer cannot be reached, calls itself
    /// something else, or has no usable key.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use tower_bearer::BearerAuthLayer;
    /// use tower_bearer::jwt::JwtValidator;
    ///
    /// # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
    /// let validator = JwtValidator::discover("https://login.example.com/")
    ///     .await?
    ///     .audience("https://api.example.com")
    ///     .build()?;
    /// let layer = BearerAuthLayer::new(validator);
    /// # let _ = layer; Ok(()) }
    /// ```
    pub async fn discover(issuer: impl Into<String>) -> Result<JwtValidatorBuilder, ProviderError> {
        let keys = RemoteKeys::discover(issuer).connect().await?;
        Ok(Self::builder(keys))
    }
}

impl<C> JwtValidator<C> {
    /// Returns the remote key set, for monitoring or a manual refresh. `None` if the keys are not fetched.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use tower_bearer::jwt::JwtValidator;
    /// # fn main_(validator: JwtValidator) {
    /// if let Some(keys) = validator.remote_keys() {
    ///     let status = keys.status();
    ///     println!("{} keys, last error: {:?}", status.keys().count(), status.last_error());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn remote_keys(&self) -> Option<&RemoteKeys> {
        self.key_provider()?.as_any().downcast_ref()
    }
}
