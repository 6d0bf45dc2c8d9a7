#!/usr/bin/env bash
# Clippy without warnings: every target of every package with all features.
# Needs: clippy.
source "$(dirname "$0")/lib.sh"
need_cargo clippy clippy

run cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
