#!/usr/bin/env bash
# The tests of the unpublished packages: gRPC, the login service in a browser, a real OpenID provider.
#   --stores               run the tests of tests-stores.sh too, in the same build
#   TOWER_BEARER_REQUIRE   suites that fail, and are not ignored, if their tools are missing; `browser,provider` if unset
# Needs: Python 3.11 with pip and its registry, Node.js 20.12 with npm and its registry, Chromium; redis-server for --stores.
source "$(dirname "$0")/lib.sh"
export TOWER_BEARER_REQUIRE="${TOWER_BEARER_REQUIRE-browser,provider}"

names=$(workspace others)
case ${1-} in
  '') ;;
  --stores)
    need redis-server "apt-get install redis-server"
    need redis-cli "apt-get install redis-tools"
    root=$(workspace root)
    stores=$(workspace publishable)
    names+=" $(grep -vx "$root" <<<"$stores")"
    ;;
  *) echo "usage: $0 [--stores]" >&2 && exit 2 ;;
esac
packages=()
for package in $names; do packages+=(-p "$package"); done
[ ${#packages[@]} -gt 0 ] || { echo "error: the workspace has no such package" >&2; exit 1; }
run cargo test --locked "${packages[@]}" --all-features
