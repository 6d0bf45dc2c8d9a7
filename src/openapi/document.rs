//! Writing into a document.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value, json};

use super::{OpenApiError, OperationAccess, Security};
use crate::policy::Requirement;

/// The minor version of an OpenAPI 3 document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u32);

impl Version {
    pub(super) const LATER: Self = Self(1);

    fn of(document: &Map<String, Value>) -> Result<Self, OpenApiError> {
        let text = document.get("openapi").and_then(Value::as_str);
        text.and_then(|text| {
            let (minor, _) = text.strip_prefix("3.")?.split_once('.')?;
            minor.parse().ok()
        })
        .map(Self)
        .ok_or_else(|| OpenApiError::Version {
            found: text.map(ToOwned::to_owned),
        })
    }

    /// Since 3.1 any scheme may list what a caller needs
    /// (<https://spec.openapis.org/oas/v3.1.0#security-requirement-object>).
    pub(super) fn permits_roles(self) -> bool {
        self >= Self(1)
    }

    /// Since 3.2 an operation may have any method
    /// (<https://spec.openapis.org/oas/v3.2.0#path-item-object>).
    fn permits_any_method(self) -> bool {
        self >= Self(2)
    }
}

/// All or nothing: an error half way would leave locks on some operations only.
pub(super) fn apply(security: &Security, document: &mut Value) -> Result<(), OpenApiError> {
    let mut changed = document.clone();
    let root = object(&mut changed, "")?;
    let mut writer = Writer {
        security,
        version: Version::of(root)?,
        needed: BTreeSet::new(),
    };
    let Some(paths) = root.get_mut("paths") else {
        return Err(shape("/paths", "an object"));
    };
    for (path, item) in object(paths, "/paths")? {
        if !path.starts_with("x-") {
            writer.path(path, item)?;
        }
    }
    writer.schemes(root)?;
    *document = changed;
    Ok(())
}

struct Writer<'s> {
    security: &'s Security,
    version: Version,
    /// The scopes of all operations.
    needed: BTreeSet<Arc<str>>,
}

impl Writer<'_> {
    fn path(&mut self, path: &str, item: &mut Value) -> Result<(), OpenApiError> {
        let pointer = format!("/paths/{}", escape(path));
        let item = object(item, &pointer)?;
        if item.contains_key("$ref") {
            return Err(OpenApiError::Reference {
                path: path.to_owned(),
            });
        }
        for (key, member) in item {
            let pointer = format!("{pointer}/{}", escape(key));
            if let Some(method) = self.method(key) {
                self.operation(&method, path, member, &pointer)?;
            } else if key == "additionalOperations" && self.version.permits_any_method() {
                for (key, operation) in object(member, &pointer)? {
                    let pointer = format!("{pointer}/{}", escape(key));
                    let Ok(method) = Method::from_bytes(key.as_bytes()) else {
                        return Err(shape(&pointer, "the name of a method"));
                    };
                    self.operation(&method, path, operation, &pointer)?;
                }
            }
        }
        Ok(())
    }

    /// The method that a member of a path item describes, if it is one
    /// (<https://spec.openapis.org/oas/v3.1.0#path-item-object>).
    fn method(&self, key: &str) -> Option<Method> {
        match key {
            "get" => Some(Method::GET),
            "put" => Some(Method::PUT),
            "post" => Some(Method::POST),
            "delete" => Some(Method::DELETE),
            "options" => Some(Method::OPTIONS),
            "head" => Some(Method::HEAD),
            "patch" => Some(Method::PATCH),
            "trace" => Some(Method::TRACE),
            "query" if self.version.permits_any_method() => Method::from_bytes(b"QUERY").ok(),
            _ => None,
        }
    }

    fn operation(
        &mut self,
        method: &Method,
        path: &str,
        operation: &mut Value,
        pointer: &str,
    ) -> Result<(), OpenApiError> {
        let operation = object(operation, pointer)?;
        let access = self.security.access(method, path)?;
        let requirements = self
            .security
            .requirements_of(&access, method, path, self.version)?;
        operation.insert("security".to_owned(), requirements);
        if self.security.documents_refusals {
            let responses = operation.entry("responses").or_insert_with(|| json!({}));
            document_refusals(&access, object(responses, &format!("{pointer}/responses"))?);
        }
        self.needed.extend(access.scopes().iter().cloned());
        Ok(())
    }

    fn schemes(&self, root: &mut Map<String, Value>) -> Result<(), OpenApiError> {
        let components = root.entry("components").or_insert_with(|| json!({}));
        let schemes = object(components, "/components")?
            .entry("securitySchemes")
            .or_insert_with(|| json!({}));
        let schemes = object(schemes, "/components/securitySchemes")?;
        for (name, scheme) in self.security.schemes_with(&self.needed) {
            match schemes.get(&name) {
                Some(known) if *known == scheme => {}
                Some(_) => return Err(OpenApiError::SchemeTaken { name }),
                None => {
                    schemes.insert(name, scheme);
                }
            }
        }
        Ok(())
    }
}

fn document_refusals(access: &OperationAccess, responses: &mut Map<String, Value>) {
    let texts: &[(&str, &str)] = match access.requirement() {
        Requirement::Public => &[],
        // Who need not be there is not refused for what they may.
        Requirement::Optional => &[("401", "The credential is not valid.")],
        Requirement::Credential => &[
            ("401", "There is no credential, or it is not valid."),
            ("403", "The credential does not permit this request."),
        ],
    };
    for (status, description) in texts {
        if responses.contains_key(*status) || responses.contains_key("4XX") {
            continue;
        }
        let response = json!({
            "description": description,
            "headers": {
                "WWW-Authenticate": {
                    "description": "What to present instead (RFC 9110 section 11.6.1).",
                    "schema": { "type": "string" },
                },
            },
            "content": { "application/problem+json": { "schema": { "type": "object" } } },
        });
        responses.insert((*status).to_owned(), response);
    }
}

fn object<'v>(
    value: &'v mut Value,
    pointer: &str,
) -> Result<&'v mut Map<String, Value>, OpenApiError> {
    value
        .as_object_mut()
        .ok_or_else(|| shape(pointer, "an object"))
}

fn shape(pointer: &str, expected: &'static str) -> OpenApiError {
    OpenApiError::Shape {
        pointer: pointer.to_owned(),
        expected,
    }
}

/// One part of a JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901#section-3)).
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
