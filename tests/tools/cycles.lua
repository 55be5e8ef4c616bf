-- SPDX-License-Identifier: MIT
-- Memory through create, generate, destroy: cycles.lua [CYCLES] prints the resident memory and
-- the open descriptors after 1000 cycles and at every tenth of the way. The sibling is cycles.py.
--
-- LUA_PATH='bindings/lua/?.lua' LUA_CPATH='build/bindings/lua/5.4/?.so' \
-- MOTE_LIBRARY=build/lib/libmote.so.0 lua5.4 tests/tools/cycles.lua 200000
local mote = require "mote"

local function resident_kib()
  local f = assert(io.open "/proc/self/status")
  local text = f:read "*a"
  f:close()
  return tonumber(text:match "VmRSS:%s*(%d+)")
end

local function descriptors()
  local f = assert(io.open "/proc/self/stat")
  local pid = f:read "*n"
  f:close()
  f = assert(io.popen("ls /proc/" .. string.format("%d", pid) .. "/fd"))
  local _, n = f:read("*a"):gsub("\n", "")
  f:close()
  return n - 1 -- one is the pipe from which they are read
end

local model = assert(mote.open(nil, { n_threads = 1 }))
local function cycle(i)
  local session = assert(model:session { context_tokens = 32, prefill_tokens = 16 })
  for piece in assert(session:generate("Once", { max_tokens = 2, stop = { "zebra" }, seed = i })) do
    assert(piece.tokens)
  end
  if i % 10 == 0 then assert(#session:save() > 0 and #session:logits() > 0) end
  if i % 50 == 0 then
    for _ in assert(session:generate("Once", { max_tokens = 2, schema = { enum = { "yes" } } })) do
    end
  end
  if i % 2 == 0 then session:close() end -- the others are left to the collector
end

local cycles = tonumber((arg or {})[1]) or 200000
local name = rawget(_G, "jit") and jit.version or _VERSION
local tenth, first, now = math.max(math.floor(cycles / 10), 1), nil, 0
for i = 1, cycles do
  cycle(i)
  if i == 1000 or i % tenth == 0 then
    now = resident_kib()
    first = first or now
    print(string.format("%s: %d cycles: %d KiB, %d descriptors", name, i, now, descriptors()))
    io.stdout:flush()
  end
end
print(string.format("%s: grew %d KiB", name, now - first))
