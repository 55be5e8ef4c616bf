-- SPDX-License-Identifier: MIT
-- The example of doc/getting-started-lua.md runs, and writes what the library writes.
local check = require "check"
local mote = require "mote"

check.test("examples/story.lua", function()
  local program = assert(io.popen(os.getenv "LUA_INTERPRETER" .. " " .. os.getenv "MOTE_STORY"
    .. ' "Once upon a time" 2>&1'))
  local found = program:read "*a"
  program:close()
  local session = assert(assert(mote.open()):session())
  local expected = { "Once upon a time" }
  for piece in assert(session:generate("Once upon a time", { max_tokens = 60 })) do
    expected[#expected + 1] = piece.text
  end
  check.same(found, table.concat(expected) .. "\n")
end)

check.done()
