-- Give every request its own number, so that no cache can answer, and report as JSON.
-- {n} in the path becomes the number, {color} six hexadecimal digits made of it.

local thread_count = 0

function setup(thread)
  thread:set("lane", thread_count)
  thread_count = thread_count + 1
end

function init(args)
  template = args[1]
  number = tonumber(args[2]) + lane * 1000000
end

function request()
  number = number + 1
  -- An odd factor maps 24-bit numbers one to one: no colour comes twice in a run.
  local color = string.format("%06x", (number * 7919) % 16777216)
  local path = template:gsub("{n}", string.format("%d", number)):gsub("{color}", color)
  return wrk.format("GET", path)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "failures": %d, "bytes": %d, "p50_ms": %.3f, "p99_ms": %.3f}\n',
    summary.requests,
    summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    summary.bytes,
    latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3
  ))
end
