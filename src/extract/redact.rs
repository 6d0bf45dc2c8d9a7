//! Keeping a credential from being seen by accident once it has been read.

use http::{HeaderMap, HeaderName};

/// Marks a field that stands once as sensitive, or removes it.
#[inline]
pub(super) fn redact_field(headers: &mut HeaderMap, name: &HeaderName, remove: bool) {
    if remove {
        headers.remove(name);
    } else if let Some(value) = headers.get_mut(name) {
        value.set_sensitive(true);
    }
}

/// Takes the elements for which `is_secret(previous element, element)` holds out of a list field.
pub(super) fn redact_elements(
    headers: &mut HeaderMap,
    name: &HeaderName,
    separator: u8,
    remove: bool,
    is_secret: impl Fn(&[u8], &[u8]) -> bool,
) {
    if !headers.contains_key(name) {
        return;
    }
    let http::header::Entry::Occupied(mut entry) = headers.entry(name) else {
        return;
    };
    for value in entry.iter_mut() {
        value.set_sensitive(true);
    }
    if !remove {
        return;
    }
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut before: Vec<u8> = Vec::new();
    for value in entry.iter() {
        for element in value.as_bytes().split(|byte| *byte == separator) {
            let element = element.trim_ascii();
            if !is_secret(&before, element) {
                kept.push(element.to_vec());
            }
            before = element.to_vec();
        }
    }
    let joined = kept.join(&[separator, b' '][..]);
    match http::HeaderValue::from_bytes(&joined) {
        Ok(mut value) if !kept.is_empty() => {
            value.set_sensitive(true);
            entry.insert(value);
        }
        _ => {
            entry.remove();
        }
    }
}
