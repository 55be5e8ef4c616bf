-- SPDX-License-Identifier: MIT
-- Every member of every struct lies where the C compiler puts it.
local check = require "check"
local api = require "mote.api"
local core = rawget(_G, "jit") and require "mote.jit" or require "mote.core"
local lib = assert(core.open(api, os.getenv "MOTE_LIBRARY"))

check.test("offsets and sizes", function()
  local program = assert(io.popen(os.getenv "MOTE_LAYOUT"))
  local n, structs = 0, 0
  for line in program:lines() do
    local struct, member, offset, size = line:match "(%S+) (%S+) (%d+) (%d+)"
    local offsets, whole = lib.layout(struct)
    assert(offsets, struct)
    if member == "-" then
      check.same(struct .. " " .. whole.size, struct .. " " .. size)
      structs = structs + 1
    else
      check.same(struct .. "." .. member .. " " .. tostring(offsets[member]),
        struct .. "." .. member .. " " .. offset)
    end
    n = n + 1
  end
  program:close()
  local described = 0
  for _ in pairs(api.structs) do described = described + 1 end
  check.same(structs, described)
  assert(n > 100)
end)

check.test("every function of the table is in the library", function()
  local n = 0
  for name in pairs(api.functions) do
    assert(type(lib[name]) == "function", name)
    n = n + 1
  end
  assert(n > 50)
  check.same(lib.mote_version_number(), api.constants.VERSION_NUMBER)
end)

check.done()
