//! Slowing clients that guess.
