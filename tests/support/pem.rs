//! Spellings of one PEM block.

/// The same key with white space and text that mean nothing
/// ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468#section-2)).
pub(crate) fn pem_spellings(pem: &str) -> Vec<(&'static str, String)> {
    let bare = pem.trim_end();
    let lines: Vec<_> = bare.lines().collect();
    let body = lines[1..lines.len() - 1].concat();
    let (begin, end) = (lines[0], lines[lines.len() - 1]);
    let width = |width: usize| {
        let body: Vec<_> = body
            .as_bytes()
            .chunks(width)
            .map(<[u8]>::escape_ascii)
            .collect();
        let body: Vec<_> = body.into_iter().map(|line| line.to_string()).collect();
        format!("{begin}\n{}\n{end}\n", body.join("\n"))
    };
    vec![
        ("as it is", pem.to_owned()),
        ("no line end", bare.to_owned()),
        ("a blank line behind it", format!("{bare}\n\n")),
        ("blank lines behind it", format!("{bare}\n \n\t\n\n")),
        ("a space behind it", format!("{bare} ")),
        ("a space and a line end", format!("{bare} \n")),
        ("a tab behind it", format!("{bare}\t")),
        ("CRLF", format!("{}\r\n", lines.join("\r\n"))),
        (
            "CRLF and a blank line",
            format!("{}\r\n\r\n", lines.join("\r\n")),
        ),
        ("CR", format!("{}\r", lines.join("\r"))),
        (
            "a space behind each line",
            lines.iter().map(|line| format!("{line} \n")).collect(),
        ),
        (
            "a tab behind each line",
            lines.iter().map(|line| format!("{line}\t\r\n")).collect(),
        ),
        (
            "indented",
            lines.iter().map(|line| format!("    {line}\n")).collect(),
        ),
        ("a blank line after each", lines.join("\n\n")),
        ("on one line", lines.join(" ")),
        ("without any white space", lines.concat()),
        (
            "vertical tab and form feed",
            format!("{}\u{b}\u{c}", lines.join("\n\u{b}")),
        ),
        ("lines of 76", width(76)),
        ("lines of 4", width(4)),
        ("lines of 61", width(61)),
        ("a blank line in front", format!("\n{pem}")),
        ("spaces in front", format!("  {pem}")),
        ("a byte order mark in front", format!("\u{feff}{pem}")),
        (
            "text in front",
            format!("Bag Attributes\n    friendlyName: k\u{e9}y\nsubject=CN = a\n{pem}"),
        ),
        (
            "text behind",
            format!("{bare}\nsubject=CN = a\n-- end --\n"),
        ),
    ]
}

/// Texts that must not load.
pub(crate) fn damaged_pems(pem: &str) -> Vec<(&'static str, String)> {
    let bare = pem.trim_end();
    let lines: Vec<_> = bare.lines().collect();
    let last = lines.len() - 1;
    let end = lines[last].replace("KEY", "KEYS");
    let changed = |line: usize, text: &str| {
        let mut lines = lines.clone();
        lines[line] = text;
        lines.join("\n")
    };
    let (begin, first) = (lines[0], lines[1]);
    vec![
        ("nothing", String::new()),
        ("two blocks", format!("{pem}{pem}")),
        ("the beginning of a second one", format!("{pem}{begin}\n")),
        ("no end", lines[..last].join("\n")),
        ("no beginning", lines[1..].join("\n")),
        ("the end of another label", changed(last, &end)),
        (
            "an end in lower case",
            changed(last, &lines[last].to_lowercase()),
        ),
        ("a beginning of four dashes", changed(0, &begin[1..])),
        (
            "a character that is none of base64",
            changed(1, &first.replacen('M', "-", 1)),
        ),
        (
            "a character beyond ASCII",
            changed(1, &first.replacen('M', "\u{e9}", 1)),
        ),
        ("a NUL", changed(1, &first.replacen('M', "\0", 1))),
        ("a header", changed(1, &format!("Comment: a\n\n{first}"))),
        ("a character too few", changed(1, &first[1..])),
        ("padding in the middle", changed(1, &format!("AA=={first}"))),
        ("no bytes", format!("{begin}\n{}", lines[last])),
        (
            "a line end in a label",
            changed(0, "-----BEGIN PUBLIC\nKEY-----"),
        ),
        (
            "no label",
            "-----BEGIN -----\nMCow\n-----END -----".to_owned(),
        ),
        ("nested", format!("{begin}\n{pem}")),
    ]
}
