#!/usr/bin/env bash
# Runs each fuzz target for a short time. A finding fails, and its input is in fuzz/artifacts.
#   fuzz-smoke.sh [TARGET...]
#   FUZZ_SECONDS   seconds for each target; 60 if unset
# Needs: cargo-fuzz and a C++ compiler. Uses the installed toolchain, with its unstable options turned on for this build.
source "$(dirname "$0")/lib.sh"
need_cargo fuzz
need c++ "apt-get install g++"
# Coverage and sanitizers are unstable options of rustc.
export RUSTC_BOOTSTRAP=1

if [ $# -eq 0 ]; then
  mapfile -t targets < <(cargo fuzz list)
else
  targets=("$@")
fi
[ ${#targets[@]} -gt 0 ] || { echo "error: there is no fuzz target" >&2; exit 1; }
for target in "${targets[@]}"; do
  seeds="fuzz/seeds/$target"
  folders=("fuzz/corpus/$target")
  mkdir -p "${folders[0]}"
  if [ -d "$seeds" ]; then folders+=("$seeds"); fi
  run cargo fuzz run "$target" "${folders[@]}" -- -max_total_time="${FUZZ_SECONDS-60}" -max_len=8192 -timeout=10 -rss_limit_mb=2048
done
