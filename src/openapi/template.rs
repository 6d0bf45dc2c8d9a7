//! From the path template of a document to a path that a client could send.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Stands where a `{name}` stands. It names nothing, so rules for literal segments do not mean it, and
/// rules for a `{name}` do.
const ANY_VALUE: &str = "tower-bearer-any-value";

/// What a client escapes in the literal parts. A `%` is an escape already, and what has no single meaning
/// is left for the layer to refuse.
const NOT_IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'|');

/// The path of a request for `template`
/// ([path templating](https://spec.openapis.org/oas/v3.1.0#path-templating)); nothing if it is no template.
pub(super) fn expand(template: &str) -> Option<String> {
    if !template.starts_with('/') || template.contains(['?', '#']) {
        return None;
    }
    let mut path = String::with_capacity(template.len() + ANY_VALUE.len());
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (literal, variable) = rest.split_at(at);
        let (name, behind) = variable.strip_prefix('{')?.split_once('}')?;
        if name.is_empty() || name.contains(['{', '/']) {
            return None;
        }
        path.extend(utf8_percent_encode(literal, NOT_IN_PATH));
        path.push_str(ANY_VALUE);
        rest = behind;
    }
    path.extend(utf8_percent_encode(rest, NOT_IN_PATH));
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_parameters_become_a_value_that_no_rule_names() {
        let any = ANY_VALUE;
        for (template, expected) in [
            ("/", Some("/".to_owned())),
            ("/orders/", Some("/orders/".to_owned())),
            ("/orders/{id}", Some(format!("/orders/{any}"))),
            ("/a/{b}/c/{d}", Some(format!("/a/{any}/c/{any}"))),
            ("/files/{name}.json", Some(format!("/files/{any}.json"))),
            ("/{from}-{to}", Some(format!("/{any}-{any}"))),
            ("/files/{*rest}", Some(format!("/files/{any}"))),
            ("/a b/é", Some("/a%20b/%C3%A9".to_owned())),
            ("/%C3%A9", Some("/%C3%A9".to_owned())),
            ("/a;b\\c", Some("/a;b\\c".to_owned())),
            ("", None),
            ("orders", None),
            ("{base}/orders", None),
            ("/a?b=1", None),
            ("/a#b", None),
            ("/a/{", None),
            ("/a/}", None),
            ("/a/}{", None),
            ("/a/{}", None),
            ("/a/{b{c}}", None),
            ("/a/{b/c}", None),
        ] {
            assert_eq!(expand(template), expected, "{template:?}");
        }
    }
}
