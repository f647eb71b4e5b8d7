-- wrk script: POST bodies prepared once, sent in turn. Settings come from the environment:
--   LOAD_PATH, LOAD_TOKEN, LOAD_FILE (one body per line, base64 when LOAD_GZIP is set)
local bodies, at = {}, 0

local function from_base64(text)
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local value = {}
  for i = 1, #alphabet do value[alphabet:sub(i, i)] = i - 1 end
  local out, bits, count = {}, 0, 0
  for c in text:gmatch("[%w+/]") do
    bits, count = bits * 64 + value[c], count + 6
    if count >= 8 then
      count = count - 8
      local unit = 2 ^ count
      out[#out + 1] = string.char(math.floor(bits / unit))
      bits = bits % unit
    end
  end
  return table.concat(out)
end

local thread_of

function setup(thread)
  thread_of = thread
end

function init()
  local headers = { ["Content-Type"] = "application/json" }
  local gzip = os.getenv("LOAD_GZIP") == "1"
  if gzip then headers["Content-Encoding"] = "gzip" end
  for line in io.lines(os.getenv("LOAD_FILE")) do
    local body = gzip and from_base64(line) or line
    bodies[#bodies + 1] = wrk.format("POST", os.getenv("LOAD_PATH"), headers, body)
  end
  began = os.clock() -- CPU time of the process; read by done() through the thread
end

function request()
  at = at % #bodies + 1
  return bodies[at]
end

function done(summary, latency)
  io.write(string.format('RESULT {"requests":%d,"duration_us":%d,"bad":%d,"errors":%d,"p50_us":%d,"p99_us":%d,"load_us":%d}\n',
    summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99), (os.clock() - thread_of:get("began")) * 1e6))
end
