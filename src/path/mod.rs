//! Request paths: the two forms in which they are matched, the patterns of rules, and the prefix at which a router is
//! nested.

mod canonical;
mod nest;
mod pattern;

pub(crate) use canonical::{Allowed, Reading, read};
pub(crate) use nest::{NOT_NESTED, Nest};
pub(crate) use pattern::{Extent, FormOfPath, PathPattern, Segment, encode_segment};
