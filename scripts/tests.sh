#!/usr/bin/env bash
# The tests that need no server: runs the test command of README.md.
# Needs: a C compiler, curl.
source "$(dirname "$0")/lib.sh"
need curl "https://curl.se/download.html"

command=$(sed -n 's/^\(cargo test .*\)$/\1/p' README.md | head -n 1)
[ -n "$command" ] || { echo "error: README.md has no line that starts with 'cargo test'" >&2; exit 1; }
read -ra words <<<"$command"
run "${words[@]}" "$@"
