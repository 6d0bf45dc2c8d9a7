#!/usr/bin/env bash
# The tests of the unpublished packages: gRPC, the login service in a browser, a real OpenID provider.
#   TOWER_BEARER_REQUIRE   suites that fail, and are not ignored, if their tools are missing; `browser,provider` if unset
# Needs: Python 3.11 with pip and its registry, Node.js 20.12 with npm and its registry, Chromium.
source "$(dirname "$0")/lib.sh"
export TOWER_BEARER_REQUIRE="${TOWER_BEARER_REQUIRE-browser,provider}"

packages=()
for package in $(workspace others); do packages+=(-p "$package"); done
[ ${#packages[@]} -gt 0 ] || { echo "error: the workspace has no such package" >&2; exit 1; }
run cargo test --locked "${packages[@]}"
