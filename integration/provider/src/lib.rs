//! Tests of tower-bearer against a real OpenID provider: see `tests/provider`.
