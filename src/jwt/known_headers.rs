//! Headers that come again and again: the tokens of one key have the same one, letter by letter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::{ArcSwap, Guard};

use super::error::TokenError;
use super::header::Header;

/// How many are remembered.
const MAX_KNOWN: usize = 8;
/// The longest that is remembered, in characters of base64url.
const MAX_LENGTH: usize = 512;
/// When there are as many as allowed, one in so many others takes the place of the oldest. Keys are
/// replaced now and then; an issuer whose headers never repeat costs no more than that.
const TURNS: u32 = 64;

/// Headers of tokens whose signature was good, with what they say. What a header means for a token is
/// decided each time: only its reading is spared.
///
/// Strangers put nothing in here, and reading takes no lock.
#[derive(Default)]
pub(crate) struct KnownHeaders {
    /// The oldest first.
    all: ArcSwap<Vec<Known>>,
    turned_away: AtomicU32,
}

#[derive(Clone)]
pub(crate) struct Known {
    text: Box<[u8]>,
    header: Header,
}

/// A header, and where it was found.
pub(crate) enum FoundHeader {
    Read(Header),
    /// Among those that are known, at this place.
    Known(Guard<Arc<Vec<Known>>>, usize),
}

impl KnownHeaders {
    /// Finds a header in base64url, or reads it.
    pub(crate) fn find_or_read(&self, text: &[u8]) -> Result<FoundHeader, TokenError> {
        let all = self.all.load();
        match all.iter().position(|known| *known.text == *text) {
            Some(place) => Ok(FoundHeader::Known(all, place)),
            None => Header::read(text).map(FoundHeader::Read),
        }
    }

    /// Remembers a header of a token whose signature was good.
    pub(crate) fn remember(&self, text: &[u8], found: &FoundHeader) {
        let FoundHeader::Read(header) = found else {
            return;
        };
        let is_full = self.all.load().len() >= MAX_KNOWN;
        if text.len() > MAX_LENGTH || is_full && !self.is_its_turn() {
            return;
        }
        self.all.rcu(|all| {
            if all.iter().any(|known| *known.text == *text) {
                return Arc::clone(all);
            }
            let too_many = (all.len() + 1).saturating_sub(MAX_KNOWN);
            let known = Known {
                text: text.into(),
                header: header.to_kept(),
            };
            Arc::new(all.iter().skip(too_many).cloned().chain([known]).collect())
        });
    }

    fn is_its_turn(&self) -> bool {
        self.turned_away.fetch_add(1, Ordering::Relaxed) % TURNS == TURNS - 1
    }
}

impl FoundHeader {
    pub(crate) fn get(&self) -> &Header {
        match self {
            Self::Read(header) => header,
            Self::Known(all, place) => &all[*place].header,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn header(kid: &str) -> Vec<u8> {
        encode(&format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#))
    }

    fn encode(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.encode(text).into_bytes()
    }

    fn is_known(headers: &KnownHeaders, text: &[u8]) -> bool {
        matches!(headers.find_or_read(text), Ok(FoundHeader::Known(..)))
    }

    fn remember(headers: &KnownHeaders, text: &[u8]) {
        let found = headers.find_or_read(text).unwrap();
        headers.remember(text, &found);
        assert!(headers.all.load().len() <= MAX_KNOWN);
    }

    #[test]
    fn known_header_matches_by_its_whole_text() {
        let headers = KnownHeaders::default();
        let text = header("2026-11");
        assert!(!is_known(&headers, &text));
        remember(&headers, &text);
        remember(&headers, &text);
        assert_eq!(headers.all.load().len(), 1);
        let found = headers.find_or_read(&text).unwrap();
        assert_eq!(found.get().kid(), Some("2026-11"));
        assert!(is_known(&headers, &text));

        for other in [
            header("2026-12"),
            header("2026-1"),
            text[..text.len() - 4].to_vec(),
            [&text[..], b"AAAA"].concat(),
            text.to_ascii_lowercase(),
            Vec::new(),
        ] {
            assert!(!is_known(&headers, &other), "{}", other.escape_ascii());
        }
        for place in 0..text.len() {
            let mut other = text.clone();
            other[place] = if other[place] == b'A' { b'B' } else { b'A' };
            assert!(!is_known(&headers, &other), "{place}");
        }
    }

    #[test]
    fn known_headers_are_bounded() {
        // (F06: bounded cache)
        let headers = KnownHeaders::default();
        let long = format!(r#"{{"alg":"RS256","x5t":"{}"}}"#, "x".repeat(400));
        remember(&headers, &encode(&long));
        assert_eq!(headers.all.load().len(), 0);

        let first: Vec<_> = (0..MAX_KNOWN).map(|n| header(&format!("{n:02}"))).collect();
        for text in &first {
            remember(&headers, text);
        }
        assert!(first.iter().all(|text| is_known(&headers, text)));

        // A key is replaced: its header is known before long, and the oldest is not.
        let new = header("new");
        let tries = (1..).find(|_| {
            remember(&headers, &new);
            is_known(&headers, &new)
        });
        assert_eq!(tries, Some(TURNS));
        assert!(!is_known(&headers, &first[0]));
        assert!(first[1..].iter().all(|text| is_known(&headers, text)));
    }
}
