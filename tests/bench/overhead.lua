-- SPDX-License-Identifier: MIT
-- The loop of overhead.c through the Lua binding.
local mote = require "mote"
local model = assert(mote.open(arg[1], { n_threads = 1 }))
local session = assert(model:session { draft = "off" })
for _ in io.lines() do
  local before, tokens, size = os.clock(), 0, 0
  for piece in assert(session:generate("Once upon a time", { max_tokens = 200, ignore_eos = true })) do
    tokens, size = tokens + #piece.tokens, size + #piece.text
  end
  print(string.format("%.0f %d", (os.clock() - before) / tokens * 1e9, size))
  io.stdout:flush()
end
