-- SPDX-License-Identifier: MIT
-- Processor time per token of a generate loop on one thread, the best of several rounds; to
-- be set beside what tests/overhead.c prints for the same loop in C. Figures, not a test.
local mote = require "mote"
local model = assert(mote.open(nil, { n_threads = 1 }))
local session = assert(model:session { draft = "off" })
local best, text = math.huge, 0
for _ = 1, tonumber((arg or {})[1]) or 20 do
  local before, tokens = os.clock(), 0
  for piece in assert(session:generate("Once upon a time", { max_tokens = 200, ignore_eos = true })) do
    tokens, text = tokens + #piece.tokens, text + #piece.text
  end
  best = math.min(best, (os.clock() - before) / tokens * 1e6)
end
print(string.format("%-20s %.2f us per token", rawget(_G, "jit") and jit.version or _VERSION, best))
