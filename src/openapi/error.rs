//! What can be wrong with a document or with what is said about it.

use http::Method;

use crate::path_ambiguity::PathAmbiguity;

/// A document that cannot be understood, or a security scheme that cannot be written into it.
///
/// Every variant carries what is at fault, and its `Display` says what was expected. Nothing of it comes
/// from a request.
///
/// # Example
///
/// ```
/// use tower_bearer::openapi::{OpenApiError, Security};
/// use tower_bearer::{BearerAuthLayer, Failure, validator_fn};
///
/// let layer = BearerAuthLayer::new(validator_fn(|_| Ok::<_, Failure>(())));
/// let mut swagger = serde_json::json!({ "swagger": "2.0", "paths": {} });
/// let error = Security::of(&layer).apply(&mut swagger).unwrap_err();
/// assert_eq!(error, OpenApiError::Version { found: None });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenApiError {
    /// A path that the layer refuses with 400, whoever asks for it.
    #[error("path {path:?} is refused with 400 by the layer, because it contains {ambiguity}")]
    AmbiguousPath {
        /// The path as it stands in the document.
        path: String,
        /// Why it has no single meaning.
        ambiguity: PathAmbiguity,
    },
    /// A base path that cannot stand in front of the paths of a document.
    #[error(
        "base path {base_path:?}: expected a path that begins with `/` and does not end with it, without query and fragment"
    )]
    BasePath {
        /// The text at fault.
        base_path: String,
    },
    /// A description of bearer tokens for a layer that takes none.
    #[error(
        "scheme {name:?} describes bearer tokens, but `Source::bearer()` is not among the sources of the layer"
    )]
    BearerNotOffered {
        /// The name that the scheme was given.
        name: String,
    },
    /// A name that two schemes were given.
    #[error("two security schemes are named {name:?}")]
    DuplicateScheme {
        /// The name.
        name: String,
    },
    /// An operation that needs a credential which OpenAPI has no scheme for. Left as it is, it would look
    /// public.
    #[error(
        "{method} {path} needs a credential, but OpenAPI has no scheme for the sources of the layer"
    )]
    NoScheme {
        /// The method of the operation.
        method: Method,
        /// The path of the operation.
        path: String,
    },
    /// An operation outside of the prefix at which the layer is nested, so that no request for this operation
    /// reaches the layer.
    #[error(
        "path {path:?} is outside of {prefix:?}, the prefix that the layer is `nested_at`; if the paths of the document are below that prefix, set it with `with_base_path`"
    )]
    OutsidePrefix {
        /// The path as it stands in the document.
        path: String,
        /// The prefix of the layer.
        prefix: String,
    },
    /// A path that is no template of
    /// [OpenAPI](https://spec.openapis.org/oas/v3.1.0#path-templating).
    #[error(
        "path {path:?}: expected a path that begins with `/`, without query and fragment, and with whole `{{name}}`s"
    )]
    Path {
        /// The text at fault.
        path: String,
    },
    /// A path whose operations stand elsewhere.
    #[error(
        "path {path:?} is a `$ref`: what it needs depends on the path, so write its operations out"
    )]
    Reference {
        /// The path as it stands in the document.
        path: String,
    },
    /// A name that cannot stand among the components.
    #[error(
        "security scheme {name:?}: expected 1 or more ASCII letters, digits, `.`, `-` or `_` (OpenAPI, Components Object)"
    )]
    SchemeName {
        /// The text at fault.
        name: String,
    },
    /// A scheme of another meaning that the document has under the same name already.
    #[error(
        "the document describes the security scheme {name:?} in another way already; remove it there or rename it here"
    )]
    SchemeTaken {
        /// The name.
        name: String,
    },
    /// A part of the document that is missing or of another type.
    #[error("document, at {pointer:?}: expected {expected}")]
    Shape {
        /// Where ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)); empty for the document itself.
        pointer: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A scheme that is not there.
    #[error("there is no security scheme {name:?}; known are {known:?}")]
    UnknownScheme {
        /// The name asked for.
        name: String,
        /// The names that are known.
        known: Vec<String>,
    },
    /// A text that is no URL.
    #[error("URL {url:?}: expected 1 or more printable ASCII characters without space")]
    Url {
        /// The text at fault.
        url: String,
    },
    /// A document of another version.
    #[error("`openapi` is {found:?}: expected \"3.0\", \"3.1\" or a later 3")]
    Version {
        /// What its member `openapi` says.
        found: Option<String>,
    },
}
