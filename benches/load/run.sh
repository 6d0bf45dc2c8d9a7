#!/usr/bin/env bash
# The same server bare and behind the layer, in turns, under load from another process. Prints Markdown.
#
#   benches/load/run.sh [axum] [tonic]
#
# ROUNDS (5), SECONDS_EACH (3) and WORKERS (1, threads of a server) may be set.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)

say() { printf '%s\n' "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

ROUNDS=${ROUNDS:-5}
SECONDS_EACH=${SECONDS_EACH:-3}
WORKERS=${WORKERS:-1}
for name in ROUNDS SECONDS_EACH WORKERS; do
  [[ ${!name} =~ ^[1-9][0-9]*$ ]] || die "$name: expected a number from 1, got '${!name}'"
done
[ $# -gt 0 ] || set -- axum tonic
for stack in "$@"; do
  [[ $stack == axum || $stack == tonic ]] || die "usage: benches/load/run.sh [axum] [tonic]"
done

missing=()
command -v curl >/dev/null || missing+=(curl)
command -v wrk >/dev/null || missing+=(wrk)
command -v h2load >/dev/null || missing+=(nghttp2-client)
[ ${#missing[@]} -eq 0 ] || die "something is missing; on Debian: apt-get install ${missing[*]}"

say "building"
binary=$(cargo build --release --locked --manifest-path "$here/Cargo.toml" \
  --message-format=json-render-diagnostics | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')

# The servers on some processors, the client on another. Both servers have the same: while one is
# measured, the other has nothing to do.
on_server=()
on_client=()
pinned="not pinned"
cpus=()
if command -v taskset >/dev/null; then
  list=$(taskset -cp $$)
  list=${list##*: }
  for range in ${list//,/ }; do
    for ((cpu = ${range%-*}; cpu <= ${range#*-}; cpu++)); do cpus+=("$cpu"); done
  done
fi
if [ ${#cpus[@]} -gt "$WORKERS" ]; then
  server_cpus=$(IFS=,; echo "${cpus[*]:0:WORKERS}")
  on_server=(taskset -c "$server_cpus")
  on_client=(taskset -c "${cpus[WORKERS]}")
  pinned="servers on CPU $server_cpus, client on CPU ${cpus[WORKERS]}"
fi

work=$(mktemp -d)
servers=()
clean_up() {
  [ ${#servers[@]} -eq 0 ] || kill "${servers[@]}" 2>/dev/null || true
  wait || true
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Of the two servers under load, by side. The token is that of the protected one; both get it.
declare -A address pid
token=

start() { # STACK SIDE
  local tries out="$work/$1-$2"
  : >"$out" # The server may be slower to open it than the loop below.
  "${on_server[@]}" "$binary" "$1" "$2" "$WORKERS" >"$out" &
  pid[$2]=$!
  servers+=("$!")
  for ((tries = 0; tries < 100; tries++)); do
    address[$2]=$(sed -n 's/^address=//p' "$out")
    [ -z "${address[$2]}" ] || break
    kill -0 "${pid[$2]}" 2>/dev/null || die "the server $1 $2 has ended"
    sleep 0.1
  done
  [ -n "${address[$2]}" ] || die "the server $1 $2 does not say where it listens"
}

stop() {
  kill "${servers[@]}"
  wait "${servers[@]}" || true
  servers=()
}

# Sets what is sent for a row of the table.
request() { # STACK KIND
  headers=()
  case $1 in
    axum) path=/orders/7 ;;
    tonic)
      path=/shop.Orders/Get
      body=order.bin
      headers+=(-H "content-type: application/grpc" -H "te: trailers")
      ;;
  esac
  case $1-$2 in
    *-allowed) headers+=(-H "authorization: Bearer $token") ;;
    axum-public) path=/health ;;
    tonic-public)
      path=/grpc.health.v1.Health/Check
      body=empty.bin
      ;;
  esac
}

label() { # KIND
  case $1 in
    allowed) echo "protected path, token" ;;
    public) echo "public path, no token" ;;
    refused) echo "protected path, no token: refused" ;;
  esac
}

# Before anything is measured.

expect() { # WHAT WANTED GOT
  [ "$2" = "$3" ] || die "$1: expected $2, got $3"
}

same_answers() { # STACK KIND
  cmp -s "$work/$2-bare" "$work/$2-protected" || die "$1, $2: the two servers answer differently"
}

# Prints the status, and leaves the body in a file.
ask_axum() { # SIDE KIND
  local headers path
  request axum "$2"
  curl --silent --noproxy '*' --max-time 10 "${headers[@]}" -o "$work/$2-$1" -w '%{http_code}' \
    "http://${address[$1]}$path"
}

check_axum() {
  local side
  for side in bare protected; do
    expect "axum $side, token" 200 "$(ask_axum $side allowed)"
    expect "axum $side, public path" 200 "$(ask_axum $side public)"
  done
  expect "axum bare, no token" 200 "$(ask_axum bare refused)"
  expect "axum protected, no token" 401 "$(ask_axum protected refused)"
  same_answers axum allowed
  same_answers axum public
}

# Prints the status of HTTP and that of gRPC, and leaves the body in a file.
ask_tonic() { # SIDE KIND
  local headers path body data=(-X POST)
  request tonic "$2"
  # What is refused is sent without its message: a server may answer before it has read that, and then
  # some versions of curl lose the answer. h2load does not.
  [ "$1-$2" = protected-refused ] || data=(--data-binary "@$work/$body")
  : >"$work/$2-$1"
  curl --silent --noproxy '*' --max-time 10 --http2-prior-knowledge "${headers[@]}" "${data[@]}" \
    -D "$work/headers" -o "$work/$2-$1" -w '%{http_code} ' "http://${address[$1]}$path"
  sed -n 's/^grpc-status: *\([0-9]*\).*/\1/p' "$work/headers"
}

check_tonic() {
  local side
  # Messages as they are on the wire: no compression, the length in four bytes, the message. An order
  # is asked for by its number, which is 7.
  printf '\000\000\000\000\002\010\007' >"$work/order.bin"
  printf '\000\000\000\000\000' >"$work/empty.bin"
  for side in bare protected; do
    expect "tonic $side, token" "200 0" "$(ask_tonic $side allowed)"
    expect "tonic $side, public path" "200 0" "$(ask_tonic $side public)"
  done
  expect "tonic bare, no token" "200 0" "$(ask_tonic bare refused)"
  expect "tonic protected, no token" "200 16" "$(ask_tonic protected refused)"
  same_answers tonic allowed
  same_answers tonic public
}

# Measuring. Each function appends a line of figures for one side: requests per second, p50, p99, p99.9, and
# the CPU time of the server for a request, all times in µs.

cpu_time() { # SIDE
  awk -v ticks="$(getconf CLK_TCK)" '{ printf "%d\n", ($14 + $15) * 1e6 / ticks }' "/proc/${pid[$1]}/stat" ||
    die "the server $1 has ended"
}

measure_axum() { # KIND CONNECTIONS STREAMS SIDE SECONDS
  local headers path before after requests time refused broken p50 p99 p999 wanted=0
  request axum "$1"
  before=$(cpu_time "$4")
  "${on_client[@]}" wrk --threads 1 --connections "$2" --duration "$5s" --script "$here/figures.lua" \
    "${headers[@]}" "http://${address[$4]}$path" >"$work/wrk" || die "wrk: $(cat "$work/wrk")"
  after=$(cpu_time "$4")
  read -r requests time refused broken p50 p99 p999 < <(sed -n 's/^figures //p' "$work/wrk") ||
    die "wrk says nothing that can be read: $(cat "$work/wrk")"
  [ "$1-$4" != refused-protected ] || wanted=$requests
  if [ "$requests" -eq 0 ] || [ "$refused" -ne "$wanted" ] || [ "$broken" -ne 0 ]; then
    die "axum $4, $1: of $requests answers, $refused were refusals (expected $wanted);" \
      "$broken other errors: $(cat "$work/wrk")"
  fi
  awk -v n="$requests" -v time="$time" -v cpu="$((after - before))" -v latency="$p50 $p99 $p999" \
    'BEGIN { print n / time * 1e6, latency, cpu / n }' >>"$work/figures-$4"
}

measure_tonic() { # KIND CONNECTIONS STREAMS SIDE SECONDS
  local headers path body before after rate good bad data size
  request tonic "$1"
  rm -f "$work/log"
  before=$(cpu_time "$4")
  "${on_client[@]}" h2load --threads 1 --clients "$2" --max-concurrent-streams "$3" --duration "$5" \
    --data "$work/$body" --log-file "$work/log" "${headers[@]}" "http://${address[$4]}$path" \
    >"$work/h2load" || die "h2load: $(cat "$work/h2load")"
  after=$(cpu_time "$4")
  # requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout
  # status codes: 9 2xx, 0 3xx, 0 4xx, 0 5xx
  # traffic: 1.2KB (1234) total, 123B (123) headers (space savings 95.77%), 144B (144) data
  rate=$(sed -n 's/^finished in .*, \([0-9.]*\) req\/s.*/\1/p' "$work/h2load")
  good=$(sed -n 's/^status codes: \([0-9]*\) 2xx.*/\1/p' "$work/h2load")
  bad=$(awk '/^requests:/ { bad += $10 + $12 + $14; lines++ } /^status codes:/ { bad += $5 + $7 + $9; lines++ }
    END { if (lines == 2) print bad }' "$work/h2load")
  data=$(sed -n 's/^traffic: .*(\([0-9]*\)) data$/\1/p' "$work/h2load")
  [[ -n $rate && -n $good && -n $bad && -n $data ]] ||
    die "h2load says nothing that can be read: $(cat "$work/h2load")"
  if [ "$good" -eq 0 ] || [ "$bad" -ne 0 ]; then
    die "tonic $4, $1: $bad answers are bad: $(cat "$work/h2load")"
  fi
  # A refusal is 200 too, but it has no message. So count their bytes; a few may be under way at the end.
  size=$(wc -c <"$work/$1-$4")
  awk -v data="$data" -v expected="$((good * size))" -v more="$(($2 * $3 * size))" \
    'BEGIN { exit !(data >= expected - more && data <= expected + more) }' ||
    die "tonic $4, $1: $good answers of $size bytes expected, got $data bytes: $(cat "$work/h2load")"
  cut -f 3 "$work/log" | sort -n | awk -v rate="$rate" -v cpu="$((after - before))" -v good="$good" '
    function percentile(percent,   rank) {
      rank = int((NR * percent + 99.999) / 100)
      return time[rank > NR ? NR : rank]
    }
    { time[NR] = $1 }
    END { print rate, percentile(50), percentile(99), percentile(99.9), cpu / good }' >>"$work/figures-$4"
}

# Measures both sides in turns and prints a row of the table.
row() { # STACK KIND CONNECTIONS STREAMS
  local round side load="$3"
  [ "$1" = axum ] || load="$3 × $4"
  rm -f "$work/figures-bare" "$work/figures-protected"
  for ((round = 1; round <= ROUNDS; round++)); do
    say "$1, $(label "$2") ($load): round $round of $ROUNDS"
    for side in bare protected; do
      "measure_$1" "$2" "$3" "$4" "$side" "$SECONDS_EACH"
    done
  done
  paste -d ' ' "$work/figures-bare" "$work/figures-protected" | awk -v start="$(label "$2") | $load" '
    function median(column,   sorted, i, j, value) {
      for (i = 1; i <= NR; i++) {
        value = figure[column, i]
        for (j = i - 1; j > 0 && sorted[j] > value; j--) sorted[j + 1] = sorted[j]
        sorted[j + 1] = value
      }
      return (sorted[int((NR + 1) / 2)] + sorted[int(NR / 2) + 1]) / 2
    }
    function ratio(bare, protected) { return bare > 0 ? sprintf("%.2f", protected / bare) : "–" }
    {
      for (i = 1; i <= NF; i++) figure[i, NR] = $i + 0
      rates = $6 / $1
      if (NR == 1 || rates < lowest) lowest = rates
      if (NR == 1 || rates > highest) highest = rates
    }
    END {
      printf "| %s", start
      for (i = 1; i <= 5; i++) {
        bare = median(i)
        protected = median(i + 5)
        printf " | %.*f → %.*f = **%s**", i == 5, bare, i == 5, protected, ratio(bare, protected)
        if (i == 1) printf " | %.2f–%.2f", lowest, highest
      }
      print " |"
    }'
}

table() { # STACK
  local kind load side connections=connections loads=("1 1" "64 1")
  start "$1" bare
  start "$1" protected
  token=$(sed -n 's/^token=//p' "$work/$1-protected")
  [ -n "$token" ] || die "the server $1 protected prints no token"
  "check_$1"
  for side in bare protected; do
    "measure_$1" allowed 64 1 "$side" 1
  done
  if [ "$1" = tonic ]; then
    loads=("1 1" "1 64" "64 1")
    connections="connections × streams"
  fi
  echo
  echo "### $1"
  echo
  echo "| request | $connections | requests/s | in the rounds | p50 µs | p99 µs | p99.9 µs | server CPU µs |"
  echo "|---|---|---|---|---|---|---|---|"
  for kind in allowed public refused; do
    for load in "${loads[@]}"; do
      # shellcheck disable=SC2086 # two numbers
      row "$1" "$kind" $load
    done
  done
  stop
}

echo "Bare → protected = ratio; medians of $ROUNDS rounds of $SECONDS_EACH s; servers of $WORKERS thread(s); $pinned."
for stack in "$@"; do
  table "$stack"
done
