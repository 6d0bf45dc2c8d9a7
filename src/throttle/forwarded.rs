//! What proxies say about where a request comes from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName};

use super::client_address::ProxyHeader;

const FORWARDED: HeaderName = http::header::FORWARDED;
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The first address, from the connection on, that is not trusted to tell a further one.
///
/// The list is read from its end, and cut at commas wherever they stand: an element that says an address has none. So
/// what a client has written, an opened quote say, cannot reach the elements that proxies have added after it.
pub(super) fn client(
    peer: IpAddr,
    headers: &HeaderMap,
    header: ProxyHeader,
    is_trusted: impl Fn(&IpAddr) -> bool,
) -> IpAddr {
    let (name, address): (_, fn(&str) -> Option<IpAddr>) = match header {
        ProxyHeader::Forwarded => (FORWARDED, forwarded_for),
        ProxyHeader::XForwardedFor => (X_FORWARDED_FOR, node),
    };
    let lines = headers.get_all(name);
    let elements = lines
        .iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let mut client = peer;
    for element in elements {
        if !is_trusted(&client) {
            break;
        }
        let text = std::str::from_utf8(element).ok().map(trim);
        // RFC 9110 section 5.6.1: empty elements are passed over.
        if text == Some("") {
            continue;
        }
        match text.and_then(address) {
            Some(address) => client = address,
            None => break,
        }
    }
    client
}

/// The address of the one `for` in an element of `Forwarded`
/// ([RFC 7239 section 4](https://www.rfc-editor.org/rfc/rfc7239#section-4)).
///
/// Each other parameter has to be well-formed too: else one that repeats what the client has sent, `host` say, could
/// bring a comma and a `for` of its own.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.split_once('=')?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return None;
        }
        let value = match value.strip_prefix('"') {
            Some(rest) => rest
                .strip_suffix('"')
                .filter(|inside| inside.bytes().all(is_plainly_quoted))?,
            None if !value.is_empty() && value.bytes().all(is_token) => value,
            None => return None,
        };
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
    }
    node(found?)
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:4711`, `[2001:db8::1]`, `[2001:db8::1]:4711`, and as
/// `X-Forwarded-For` has it, `2001:db8::1`. Names such as `unknown` and `_hidden` are none.
fn node(text: &str) -> Option<IpAddr> {
    let address = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| {
            let inside = text.strip_prefix('[')?.strip_suffix(']')?;
            inside.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        });
    address.map(|address| address.to_canonical())
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What a quoted string may hold, but for escapes, which no address needs.
fn is_plainly_quoted(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PEER: &str = "10.0.0.1";

    fn read(header: ProxyHeader, lines: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, other) = match header {
                ProxyHeader::Forwarded => (FORWARDED, X_FORWARDED_FOR),
                ProxyHeader::XForwardedFor => (X_FORWARDED_FOR, FORWARDED),
            };
            headers.append(name, HeaderValue::from_bytes(line).unwrap());
            headers.insert(other, HeaderValue::from_static("8.8.8.8"));
        }
        let is_trusted = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.octets()[0] == 10,
            IpAddr::V6(address) => address.segments()[0] == 0xfd00,
        };
        client(PEER.parse().unwrap(), &headers, header, is_trusted).to_string()
    }

    #[test]
    fn x_forwarded_for_is_read_from_the_right() {
        for (lines, expected) in [
            (&[][..], PEER),
            (&[""], PEER),
            (&["192.0.2.1"], "192.0.2.1"),
            (&["1.1.1.1, 192.0.2.1"], "192.0.2.1"),
            (&["1.1.1.1,192.0.2.1 , 10.9.9.9"], "192.0.2.1"),
            (&["192.0.2.1, 10.2.2.2, 10.9.9.9"], "192.0.2.1"),
            // All trusted: the farthest known.
            (&["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
            // Several lines are one list.
            (&["1.1.1.1", "192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1", "10.2.2.2"], "192.0.2.1"),
            (&["192.0.2.1, 10.2.2.2", "", "10.3.3.3"], "192.0.2.1"),
            (&["192.0.2.1,, ,"], "192.0.2.1"),
            // Unreadable: the nearest known.
            (&["192.0.2.1, junk"], PEER),
            (&["192.0.2.1, unknown"], PEER),
            (&["192.0.2.1, unknown, 10.2.2.2"], "10.2.2.2"),
            (&["192.0.2.1, 10.2.2.256"], PEER),
            (&["192.0.2.1, 010.2.2.2"], PEER),
            (&["192.0.2.1 10.2.2.2"], PEER),
            (&["junk, 192.0.2.1"], "192.0.2.1"),
            // With ports, and IPv6.
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["[2001:db8::1"], PEER),
            (&["[192.0.2.1]"], PEER),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1, ::ffff:10.2.2.2"], "192.0.2.1"),
            (&["2001:db8::1, fd00::7"], "2001:db8::1"),
            (&["fe80::1%eth0"], PEER),
            (&["\"192.0.2.1\""], PEER),
        ] {
            let bytes: Vec<_> = lines.iter().map(|line: &&str| line.as_bytes()).collect();
            assert_eq!(
                read(ProxyHeader::XForwardedFor, &bytes),
                expected,
                "{lines:?}"
            );
        }
        let not_utf8: &[&[u8]] = &[b"192.0.2.1, \xff"];
        assert_eq!(read(ProxyHeader::XForwardedFor, not_utf8), PEER);
    }

    #[test]
    fn forwarded_is_read_from_the_right() {
        for (lines, expected) in [
            (&["for=192.0.2.1"][..], "192.0.2.1"),
            (&["For=\"192.0.2.1\""], "192.0.2.1"),
            (&["for=192.0.2.1;proto=https;by=203.0.113.43"], "192.0.2.1"),
            (&["proto=https;for=\"192.0.2.1:80\""], "192.0.2.1"),
            (&["for=\"[2001:db8::1]:4711\""], "2001:db8::1"),
            (&["for=\"[2001:db8::1]\""], "2001:db8::1"),
            (&["for=1.1.1.1, for=192.0.2.1"], "192.0.2.1"),
            (&["for=192.0.2.1, for=10.2.2.2"], "192.0.2.1"),
            (
                &["for=1.1.1.1", "for=192.0.2.1;host=\"example.com\""],
                "192.0.2.1",
            ),
            (&["for=unknown"], PEER),
            (&["for=_hidden, for=10.2.2.2"], "10.2.2.2"),
            (&["by=192.0.2.1"], PEER),
            (&["192.0.2.1"], PEER),
            (&["for=192.0.2.1;for=1.1.1.1"], PEER),
            (&["for="], PEER),
            (&["for=\""], PEER),
            (&["for=\"192.0.2.1"], PEER),
            (&["for=192.0.2.1;"], PEER),
            (&["for=192.0.2.1;proto"], PEER),
            (&["for =192.0.2.1"], PEER),
            // A quote that the client has opened swallows nothing.
            (&["for=\"1.1.1.1, for=192.0.2.1"], "192.0.2.1"),
            (&["for=\"", "for=192.0.2.1"], "192.0.2.1"),
            // What a proxy repeats of the client's `Host` says nothing.
            (&["for=192.0.2.1;host=\"a, for=1.1.1.1\""], PEER),
            (&["for=192.0.2.1;host=\"a, for=1.1.1.1;x=y\""], PEER),
            (&["for=192.0.2.1;host=\"a, for=1.1.1.1;x=\\\"\""], PEER),
            (&["for=192.0.2.1;host=\"a, for=1.1.1.1, b\""], PEER),
        ] {
            let bytes: Vec<_> = lines.iter().map(|line: &&str| line.as_bytes()).collect();
            assert_eq!(read(ProxyHeader::Forwarded, &bytes), expected, "{lines:?}");
        }
    }

    proptest! {
        /// Whatever a client sends, what the nearest proxy adds decides.
        #[test]
        fn client_supplied_entries_do_not_change_the_address(sent in "[ -~]{0,60}", own_line: bool, forwarded: bool) {
            let (header, added) = match forwarded {
                true => (ProxyHeader::Forwarded, "for=192.0.2.1;host=x"),
                false => (ProxyHeader::XForwardedFor, "192.0.2.1"),
            };
            let joined = format!("{sent}, {added}");
            let found = match own_line {
                true => read(header, &[sent.as_bytes(), added.as_bytes()]),
                false => read(header, &[joined.as_bytes()]),
            };
            prop_assert_eq!(found, "192.0.2.1");
        }

        #[test]
        fn parsing_never_panics(lines in proptest::collection::vec("[ -~\t\u{80}-\u{ff}]{0,40}", 0..4), forwarded: bool) {
            let header = if forwarded { ProxyHeader::Forwarded } else { ProxyHeader::XForwardedFor };
            let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
            read(header, &lines);
        }
    }
}
