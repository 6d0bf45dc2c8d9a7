//! A validator for one scheme only.

use super::{Validator, Verdict};
use crate::extract::{Credential, Scheme, UncheckedCredential};
use crate::failure::Failure;
use crate::request::RequestView;

/// A validator that is asked only for one scheme. Made by [`Validator::for_scheme`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ForScheme<V> {
    validator: V,
    scheme: Scheme,
}

impl<V> ForScheme<V> {
    pub(super) fn new(validator: V, scheme: Scheme) -> Self {
        Self { validator, scheme }
    }
}

impl<V: Validator> Validator for ForScheme<V> {
    type Principal = V::Principal;

    fn validate(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
    ) -> Verdict<Self::Principal> {
        if credential.scheme() == self.scheme {
            self.validator.validate(credential, request)
        } else {
            Verdict::Ready(Err(Failure::unrecognized()))
        }
    }

    fn cached_verdict(
        &self,
        unchecked: &UncheckedCredential<'_>,
        request: &RequestView<'_>,
    ) -> Option<Verdict<Self::Principal>> {
        if unchecked.scheme() == self.scheme {
            self.validator.cached_verdict(unchecked, request)
        } else {
            None
        }
    }
}
