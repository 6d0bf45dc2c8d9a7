#!/usr/bin/env bash
# Licences, bans, sources and advisories of all dependencies, by deny.toml. Arguments choose among the checks:
#   deny.sh bans licenses sources   needs no network
# Needs: cargo-deny; access to github.com for advisories.
source "$(dirname "$0")/lib.sh"
need_cargo deny

run cargo deny --locked --workspace --all-features check "$@"
