#!/usr/bin/env bash
# Spelling in all files, by _typos.toml.
# Needs: typos.
source "$(dirname "$0")/lib.sh"
need typos "cargo install --locked typos-cli"

run typos
