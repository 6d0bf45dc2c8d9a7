#!/usr/bin/env bash
# The public API of each published package, with all features, is the one in api/. A change of the API is thus seen in review.
#   --bless   write the API to api/
# Needs: python3. Uses the installed toolchain, with unstable options of its rustdoc turned on.
source "$(dirname "$0")/lib.sh"

case ${1-} in
  '') bless= ;;
  --bless) bless=1 ;;
  *) echo "usage: $0 [--bless]" >&2 && exit 2 ;;
esac
export RUSTDOC_ORIGINAL="${RUSTDOC:-rustdoc}"
export RUSTDOC="$PWD/scripts/public-api/rustdoc.sh"
target="${CARGO_TARGET_DIR:-target}"

packages=$(workspace publishable)
mkdir -p "$target/public-api" api
changed=()
for package in $packages; do
  # Warnings are for docs.sh.
  RUSTDOCFLAGS="--cap-lints=allow" cargo rustdoc --quiet --locked -p "$package" --lib --all-features -- \
    -Z unstable-options --output-format json
  actual="$target/public-api/$package.txt"
  python3 scripts/public-api/list.py "$target/doc/${package//-/_}.json" >"$actual"
  if [ "$bless" ]; then
    cp "$actual" "api/$package.txt"
    echo "wrote api/$package.txt: $(wc -l <"$actual") items"
  elif diff --unified=0 --label "api/$package.txt" --label "public API of $package" "api/$package.txt" "$actual"; then
    echo "$package: $(wc -l <"$actual") items, as in api/$package.txt"
  else
    changed+=("$package")
  fi
done
for file in api/*.txt; do
  grep -qx "$(basename "$file" .txt)" <<<"$packages" || { echo "error: $file is of no published package" >&2; exit 1; }
done
if [ ${#changed[@]} -gt 0 ]; then
  echo "error: the public API of ${changed[*]} has changed. If that is intended, run scripts/public-api.sh --bless" >&2
  exit 1
fi
