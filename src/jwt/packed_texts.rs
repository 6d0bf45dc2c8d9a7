//! Many short texts in one allocation.

use super::json::Text;

/// Where a text stands in what a [`Packer`] has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// No text.
    pub(crate) const NONE: Self = Self {
        start: u32::MAX,
        end: 0,
    };

    /// The text itself. `None` if there is none, or if it is of something else.
    pub(crate) fn of(self, all: &str) -> Option<&str> {
        all.get(self.start as usize..self.end as usize)
    }
}

impl Default for Span {
    fn default() -> Self {
        Self::NONE
    }
}

/// A list of texts, as a part of all [spans](Span) of lists.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct List {
    start: u32,
    end: u32,
}

impl List {
    pub(crate) fn of(self, all: &[Span]) -> &[Span] {
        all.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// Puts texts one behind the other.
pub(crate) struct Packer {
    text: String,
    lists: Vec<Span>,
}

impl Packer {
    /// With room for so many bytes, and for so many texts in lists.
    pub(crate) fn new(bytes: usize, listed: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            lists: Vec::with_capacity(listed),
        }
    }

    pub(crate) fn text(&mut self, text: Option<&str>) -> Span {
        let Some(text) = text else {
            return Span::NONE;
        };
        let start = self.text.len();
        self.text.push_str(text);
        // What is too long for its numbers is not there.
        match (u32::try_from(start), u32::try_from(self.text.len())) {
            (Ok(start), Ok(end)) => Span { start, end },
            _ => Span::NONE,
        }
    }

    pub(crate) fn list(&mut self, texts: &[Text<'_>]) -> List {
        let start = self.lists.len();
        for text in texts {
            let span = self.text(Some(text));
            self.lists.push(span);
        }
        match (u32::try_from(start), u32::try_from(self.lists.len())) {
            (Ok(start), Ok(end)) => List { start, end },
            _ => List::default(),
        }
    }

    /// All texts, and the spans of all lists.
    pub(crate) fn finish(self) -> (Box<str>, Box<[Span]>) {
        (self.text.into_boxed_str(), self.lists.into_boxed_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_texts_round_trip() {
        let texts = ["https://a", "", "zo\u{eb}"];
        let items = ["x", "", "yz"].map(Text::from);
        let mut packer = Packer::new(16, 3);
        let spans = texts.map(|text| packer.text(Some(text)));
        assert_eq!(packer.text(None), Span::NONE);
        let empty = packer.list(&[]);
        let list = packer.list(&items);
        let (text, lists) = packer.finish();
        assert_eq!(
            spans.map(|span| span.of(&text)),
            [Some("https://a"), Some(""), Some("zo\u{eb}")]
        );
        let read = |list: List| -> Vec<_> {
            let spans = list.of(&lists).iter();
            spans.map(|span| span.of(&text)).collect()
        };
        assert_eq!(read(list), [Some("x"), Some(""), Some("yz")]);
        assert_eq!(read(empty), []);
        // (D08: absent claims)
        assert_eq!(Span::NONE.of(&text), None);
        // Of another text.
        assert_eq!(spans[0].of("x"), None);
        assert_eq!(spans[2].of("https://\u{20ac}"), None);
        assert_eq!(list.of(&[]), []);
    }
}
