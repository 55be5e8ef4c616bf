-- SPDX-License-Identifier: MIT
local check = require "check"
local mote = require "mote"
local test, same, fails, raises = check.test, check.same, check.fails, check.raises

local model = assert(mote.open())
local prompt = "Once upon a time"

local function collect(session, ...)
  local text, ids, last = {}, {}, nil
  for piece in assert(session:generate(...)) do
    text[#text + 1] = piece.text
    for i, id in ipairs(piece.tokens) do
      ids[#ids + 1] = id
      assert(piece.logprobs[i] <= 0)
    end
    last = piece
  end
  return table.concat(text), ids, last
end

test("greedy generation is the highest logit, step by step", function()
  local s = assert(model:session())
  local text, ids, last = collect(s, prompt, { max_tokens = 30 })
  same(#ids, 30)
  same(last.stop, "length")
  same(last.channel, "content")
  same(model:tokenizer():decode(ids), text)
  local t = assert(model:session())
  assert(t:prompt(prompt))
  local step = {}
  for i = 1, 30 do
    step[i] = t:logits():argmax()
    assert(t:eval { step[i] })
  end
  same(ids, step)
end)

test("seeds, going on, stop strings, bias", function()
  local s = assert(model:session())
  local o = { max_tokens = 20, temperature = 0.9, top_p = 0.95, seed = 7 }
  local a = collect(s, prompt, o)
  same(collect(s, prompt, o), a)
  o.seed = 8
  assert(collect(s, prompt, o) ~= a)
  local whole = collect(s, prompt, { max_tokens = 24 })
  local first = collect(s, prompt, { max_tokens = 12 })
  same(first .. collect(s, nil, { max_tokens = 12 }), whole)
  local stop = whole:sub(20, 24)
  local cut, _, last = collect(s, prompt, { max_tokens = 24, stop = stop })
  same(cut, whole:sub(1, whole:find(stop, 1, true) - 1))
  same(last.stop, "stop")
  same((collect(s, prompt, { max_tokens = 24, stop = { "never seen", stop } })), cut)
  local _, ids = collect(s, prompt, { max_tokens = 1 })
  local _, banned = collect(s, prompt, { max_tokens = 1, logit_bias = { [ids[1]] = -1 / 0 } })
  assert(banned[1] ~= ids[1])
end)

test("constrained output", function()
  local s = assert(model:session())
  local schema = { enum = { "yes", "no" } }
  local text, _, last = collect(s, prompt, { schema = schema })
  assert(text == '"yes"' or text == '"no"', text)
  same(last.stop, "schema")
  local compiled = assert(model:schema '{"type":"integer","minimum":10,"maximum":99}')
  for seed = 1, 5 do
    assert(collect(s, prompt, { schema = compiled, temperature = 1, seed = seed }):find "^%d%d$")
  end
  compiled:close() -- still used by the session: freed later
  fails(mote.E_INVALID, "closed", s:generate(prompt, { schema = compiled }))
  fails(mote.E_FORMAT, "", s:generate(prompt, { schema = "{" }))
  fails(mote.E_UNSUPPORTED, "", s:generate(prompt, { schema = { type = "string", pattern = "a" } }))
end)

test("loops may be left, taken over and yielded from", function()
  local s = assert(model:session())
  for _ in assert(s:generate(prompt, { max_tokens = 50 })) do break end
  local old = assert(s:generate(prompt, { max_tokens = 50 }))
  assert(old())
  local new = assert(s:generate(prompt, { max_tokens = 50 }))
  same(old(), nil)
  assert(new())
  local function story(session)
    return coroutine.wrap(function()
      for piece in assert(session:generate(prompt, { max_tokens = 10 })) do
        coroutine.yield(piece.text)
      end
    end)
  end
  local a, b, out = story(s), story(assert(model:session())), { "", "" }
  while true do
    local x, y = a(), b()
    if not x then break end
    out[1], out[2] = out[1] .. x, out[2] .. y
  end
  same(out[1], (collect(s, prompt, { max_tokens = 10 })))
  same(out[2], out[1])
end)

test("next() by hand", function()
  local s = assert(model:session())
  fails(mote.DONE, "done", s:next()) -- nothing was begun
  fails(mote.E_INVALID, "", s:generate()) -- nothing to go on from
  assert(s:generate(prompt, { max_tokens = 2 }))
  local n = 0
  while true do
    local piece, message, code = s:next()
    if not piece then
      same(message, "done")
      same(code, mote.DONE)
      break
    end
    n = n + #piece.tokens
  end
  same(n, 2)
end)

test("chat", function()
  local s = assert(model:session())
  local messages = { { role = "user", content = "Tell me a story." } }
  local reply = assert(s:chat(messages, { max_tokens = 16 }))
  assert(#reply.content > 0)
  same(reply.content, tostring(reply))
  same(#reply.tokens, 16)
  same(reply.stop, "length")
  same(#reply.tool_calls, 0)
  local text = ""
  for piece in assert(s:chat(messages, { format = model:format(), max_tokens = 16, stream = true })) do
    text = text .. piece.text
  end
  same(text, reply.content)
  -- The same by hand: the rendered tokens, and nothing but them, come before the reply.
  local ids = assert(model:format():render(model:tokenizer(), messages))
  local _, generated = collect(s, ids, { max_tokens = 16 })
  same(generated, reply.tokens)
  -- The next turn begins with what is in the cache already.
  table.insert(messages, reply:message())
  table.insert(messages, { role = "user", content = "Go on." })
  local before = s:stats().reused_tokens
  assert(s:chat(messages, { max_tokens = 4 }))
  assert(s:stats().reused_tokens >= before + #ids)
  -- R1's prompt opens the reasoning.
  local thought = assert(s:chat(messages, { format = "deepseek-r1", max_tokens = 8 }))
  same(thought.content, "")
  assert(#thought.reasoning > 0)
  fails(mote.E_UNSUPPORTED, "im_system", s:chat(messages, { format = "kimi-k2" }))
  fails(mote.E_FORMAT, "", s:chat("[", {}))
end)

test("tool calls are gathered", function()
  -- Pieces as the library gives them, from a session that plays them back.
  local s = assert(model:session())
  local pieces = {
    { channel = "reasoning", text = "Hm.", tokens = { 1 } },
    { channel = "content", text = "Let me ", tokens = { 2 } },
    { channel = "content", text = "look.", tokens = { 3 } },
    { channel = "tool", text = "", tokens = { 4 }, tool_index = 0, tool_name = "weather" },
    { channel = "tool", text = '{"city":', tokens = { 5 }, tool_index = 0, tool_name = "weather" },
    { channel = "tool", text = '"Rome"}', tokens = { 6 }, tool_index = 0, tool_name = "weather" },
    { channel = "tool", text = "{}", tokens = { 7 }, tool_index = 1, tool_name = "time", stop = "eos" },
  }
  function s.next()
    local piece = table.remove(pieces, 1)
    if piece then return piece end
    return nil, "done", mote.DONE
  end
  local reply = assert(s:chat({ { role = "user", content = "?" } }, { max_tokens = 1 }))
  same(reply.reasoning .. "|" .. reply.content, "Hm.|Let me look.")
  same(reply.tokens, { 1, 2, 3, 4, 5, 6, 7 })
  same(reply.stop, "eos")
  local calls = reply:message().tool_calls
  same(#calls, 2)
  same(calls[1]["function"].name .. calls[1]["function"].arguments, 'weather{"city":"Rome"}')
  same(calls[2]["function"].name .. calls[2]["function"].arguments, "time{}")
end)

test("a context that fills up ends the text", function()
  local s = assert(model:session { context_tokens = 16 })
  local _, ids, last = collect(s, prompt, { ignore_eos = true })
  same(last.stop, "context")
  assert(#ids < 16)
end)

test("wrong options", function()
  local s = assert(model:session())
  fails(mote.E_INVALID, "no option tempo", s:generate(prompt, { tempo = 1 }))
  fails(mote.E_INVALID, "temperature", s:generate(prompt, { temperature = -1 }))
  fails(mote.E_INVALID, "temperature", s:generate(prompt, { temperature = 0 / 0 }))
  fails(mote.E_INVALID, "top_p", s:generate(prompt, { top_p = "much" }))
  fails(mote.E_INVALID, "stop", s:generate(prompt, { stop = { 1 } }))
  fails(mote.E_INVALID, "stop", s:generate(prompt, { stop = "a\0b" }))
  fails(mote.E_NOT_FOUND, "nothing", s:generate(prompt, { format = "nothing" }))
  fails(mote.E_INVALID, "format", s:generate(prompt, { format = {} }))
  fails(mote.E_INVALID, "format", s:chat({}, { format = 5 }))
  raises("token 1", s.generate, s, prompt, { logit_bias = { x = 1 } })
  assert(s:generate(prompt, { max_tokens = 1 }))
end)

test("numbers keep their fraction", function()
  local s = assert(model:session())
  local cold = collect(s, prompt, { max_tokens = 12, temperature = 1e-3, seed = 3 })
  same(cold, (collect(s, prompt, { max_tokens = 12 })))
end)

check.done()
