-- Give every request its own number, so that no cache can answer, and report as JSON.
-- {n} in the path becomes the number, {color} six hexadecimal digits made of it;
-- {title} and {size} the line of that number in a file, which begins anew at its end.

local thread_count = 0

function setup(thread)
  thread:set("lane", thread_count)
  thread_count = thread_count + 1
end

function init(args)
  template = args[1]
  number = tonumber(args[2]) + lane * 1000000
  lines = {}
  if args[3] then
    for line in io.lines(args[3]) do
      local title, size = line:match("(%S+) (%S+)")
      lines[#lines + 1] = { title = title, size = size }
    end
  end
end

function request()
  number = number + 1
  -- An odd factor maps 24-bit numbers one to one: no colour comes twice in a run.
  local color = string.format("%06x", (number * 7919) % 16777216)
  local path = template:gsub("{n}", string.format("%d", number)):gsub("{color}", color)
  if #lines > 0 then
    path = path:gsub("{(%a+)}", lines[number % #lines + 1])
  end
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
