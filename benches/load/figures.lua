-- One line of wrk for run.sh: requests, µs, answers above 399, other errors, and three percentiles in µs.
function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format("figures %d %d %d %d %d %d %d", summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
