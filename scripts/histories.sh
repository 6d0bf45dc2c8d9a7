#!/usr/bin/env bash
# Revocations under clocks that differ, in random histories.
#   TOWER_BEARER_HISTORIES   number of histories; 5000 if unset
source "$(dirname "$0")/lib.sh"
export TOWER_BEARER_HISTORIES="${TOWER_BEARER_HISTORIES-5000}"

run cargo test --locked -p "$(workspace root)" --all-features --test conformance clocks
