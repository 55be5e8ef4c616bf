-- SPDX-License-Identifier: MIT
-- Thousands of sessions made, used and destroyed, half of them left to the collector: the
-- process does not grow. MOTE_CYCLES says how many (default 3000).
local check = require "check"
local mote = require "mote"

local function resident_kib()
  local f = io.open "/proc/self/status"
  if not f then return nil end
  local text = f:read "*a"
  f:close()
  return tonumber(text:match "VmRSS:%s*(%d+)")
end

local model = assert(mote.open(nil, { n_threads = 1 }))
local function cycle(i)
  local s = assert(model:session { context_tokens = 32, prefill_tokens = 16,
    progress = function() end })
  for piece in assert(s:generate("Once", { max_tokens = 2, stop = { "zebra" } })) do
    assert(piece.tokens)
  end
  if i % 10 == 0 then assert(#s:save() > 0 and #s:logits() > 0) end
  if i % 50 == 0 then
    assert(s:generate("Once", { max_tokens = 2, schema = { enum = { "yes" } } }))
  end
  if i % 2 == 0 then s:close() end
end

check.test("memory is flat", function()
  local cycles = tonumber(os.getenv "MOTE_CYCLES") or 3000
  if not resident_kib() then
    print "no /proc: not measured"
    return
  end
  -- What the heap keeps of the garbage between two collections comes in steps, where the
  -- allocator was not told to give it back (meson.build does); a leak grows in every batch. So
  -- the smallest growth counts: 400 bytes lost per cycle (most of it may fill holes), or one
  -- session in a batch, show.
  local batch, smallest, before = math.floor(cycles / 4), math.huge, nil
  for n = 0, 4 do
    for i = 1, batch do cycle(i) end
    collectgarbage()
    collectgarbage()
    local now = resident_kib()
    if n > 0 then smallest = math.min(smallest, now - before) end
    before = now
    print(string.format("%d cycles: %d KiB", (n + 1) * batch, now))
  end
  assert(smallest < 100 * batch / 1024, smallest)
end)

check.done()
