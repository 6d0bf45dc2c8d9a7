#!/usr/bin/env bash
# The long checks, for once a week: many random histories, longer fuzzing, mutants.
# Needs: what histories.sh, fuzz-smoke.sh and mutants.sh need. Takes hours.
source "$(dirname "$0")/lib.sh"

failed=()
TOWER_BEARER_HISTORIES="${TOWER_BEARER_HISTORIES-100000}" scripts/histories.sh || failed+=(histories.sh)
FUZZ_SECONDS="${FUZZ_SECONDS-900}" scripts/fuzz-smoke.sh || failed+=(fuzz-smoke.sh)
scripts/mutants.sh || failed+=(mutants.sh)
if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
