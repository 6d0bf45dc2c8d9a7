//! Texts that are nearly always short.

use std::fmt;

/// A text that takes no allocation up to `N` bytes, of which there are at most 255.
#[derive(Clone)]
pub(crate) struct InlineText<const N: usize>(Kind<N>);

#[derive(Clone)]
enum Kind<const N: usize> {
    Inline { length: u8, bytes: [u8; N] },
    Boxed(Box<str>),
}

impl<const N: usize> InlineText<N> {
    pub(crate) fn as_str(&self) -> &str {
        match &self.0 {
            Kind::Inline { length, bytes } => {
                // It was a text when it came, so the fallback is never taken.
                let bytes = bytes.get(..usize::from(*length)).unwrap_or_default();
                std::str::from_utf8(bytes).unwrap_or_default()
            }
            Kind::Boxed(text) => text,
        }
    }

    /// The same, faster to read and with an allocation: for what is kept.
    pub(crate) fn to_kept(&self) -> Self {
        Self(Kind::Boxed(self.as_str().into()))
    }
}

impl<const N: usize> From<&str> for InlineText<N> {
    fn from(text: &str) -> Self {
        let mut bytes = [0; N];
        Self(
            match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
                (Ok(length), Some(start)) => {
                    start.copy_from_slice(text.as_bytes());
                    Kind::Inline { length, bytes }
                }
                _ => Kind::Boxed(text.into()),
            },
        )
    }
}

impl<const N: usize> fmt::Debug for InlineText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_text_round_trips() {
        for length in [0, 1, 6, 7, 8, 9, 255, 256, 257, 600] {
            let text = "\u{eb}".repeat(length / 2) + &"x".repeat(length % 2);
            let short = InlineText::<8>::from(&*text);
            assert_eq!(short.as_str(), text, "{length}");
            assert_eq!(short.to_kept().as_str(), text, "{length}");
            assert_eq!(InlineText::<300>::from(&*text).as_str(), text, "{length}");
        }
    }
}
