-- SPDX-License-Identifier: MIT
-- lua story.lua ["Once upon a time" [MODEL]]: write on from a prompt, piece by piece.
local mote = require "mote"

local prompt = arg[1] or "Once upon a time"
local model = assert(mote.open(arg[2]))
local session = assert(model:session())

io.write(prompt)
for piece in assert(session:generate(prompt, { max_tokens = 60 })) do
  io.write(piece.text)
  io.flush()
end
io.write "\n"
