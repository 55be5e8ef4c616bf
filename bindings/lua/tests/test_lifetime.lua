-- SPDX-License-Identifier: MIT
-- Callbacks, cancelling, and closing in every order.
local check = require "check"
local mote = require "mote"
local test, same, fails, raises = check.test, check.same, check.fails, check.raises
local prompt = "Once upon a time there was a little girl named Lily. She loved to play."

test("loading reports and cancels", function()
  local calls, last = 0, nil
  local model = assert(mote.open(nil, { progress = function(stage, done, total)
    calls, last = calls + 1, { stage, done, total }
  end }))
  assert(calls > 0)
  same(last[2], last[3])
  model:close()
  fails(mote.E_CANCELLED, "", mote.open(nil, { progress = function() return true end }))
  fails(mote.E_CANCELLED, "the user left", mote.open(nil, { progress = function() error("the user left", 0) end }))
  raises("function", mote.open, nil, { progress = 5 })
end)

test("an error in a callback may be any value", function()
  local thrown = {}
  local _, message = mote.open(nil, { progress = function() error(thrown) end })
  same(rawequal(message, thrown), true)
  local value = mote.open(nil, { progress = function() error() end })
  same(value, nil)
end)

test("prefilling reports, cancels, and may not be entered twice", function()
  local model = assert(mote.open())
  local s, inner
  local mode = "count"
  local calls = 0
  s = assert(model:session { prefill_tokens = 4, progress = function(stage)
    calls = calls + 1
    same(type(stage), "string")
    if mode == "error" then error("enough", 0) end
    if mode == "enter" then inner = { s:eval "more" } end
    if mode == "other" then inner = mote.open():tokenizer():encode "Hello" end
    if mode == "yield" then coroutine.yield() end
    if mode == "cancel" then s:cancel() end
    if mode == "close" then
      s:close()
      model:close()
    end
    return mode == "stop"
  end })
  assert(s:prompt(prompt))
  assert(calls > 1, calls)
  for _, case in ipairs { { "stop", "" }, { "error", "enough" }, { "cancel", "" } } do
    s:reset()
    mode = case[1]
    fails(mote.E_CANCELLED, case[2], s:prompt(prompt))
  end
  mode = "enter"
  s:reset()
  assert(s:prompt(prompt))
  fails(mote.E_INVALID, "inside a call", inner[1], inner[2], inner[3])
  mode = "other"
  s:reset()
  assert(s:prompt(prompt))
  same(inner, model:tokenizer():encode "Hello")
  mode = "yield"
  s:reset()
  local co = coroutine.create(function() return s:prompt(prompt) end)
  local _, value, message, code = coroutine.resume(co)
  fails(mote.E_CANCELLED, "yield", value, message, code)
  mode = "close" -- takes effect when the call is over
  s:reset()
  assert(s:prompt(prompt))
  fails(mote.E_INVALID, "closed", s:position())
  fails(mote.E_INVALID, "closed", model:info())
end)

test("a cancelled generation raises in the loop", function()
  local model = assert(mote.open())
  local s = assert(model:session())
  local n = 0
  local ok, e = pcall(function()
    for _ in assert(s:generate(prompt, { max_tokens = 50 })) do
      n = n + 1
      if n == 3 then s:cancel() end
    end
  end)
  if not ok then -- or the cancel came between calls and is over
    same(e.code, mote.E_CANCELLED)
    same(tostring(e), e.message)
  end
  s:close()
  ok, e = pcall(function()
    local t = assert(model:session())
    for _ in assert(t:generate(prompt)) do t:close() end
  end)
  same(ok, false)
  same(e.code, mote.E_INVALID)
  assert(tostring(e):find "closed")
end)

test("a model stays until its sessions are gone", function()
  collectgarbage() -- what earlier tests forgot may go at any time
  collectgarbage()
  local before = mote.memory()
  local model = assert(mote.open())
  local s, tok = assert(model:session()), assert(model:tokenizer())
  local schema, decoder = assert(model:schema()), assert(tok:decoder())
  model:close()
  fails(mote.E_INVALID, "closed", model:session())
  fails(mote.E_INVALID, "closed", model:tokenizer())
  fails(mote.E_INVALID, "closed", tok:encode "x")
  assert(s:prompt(prompt)) -- what was made goes on
  assert(mote.memory() > before)
  s:close()
  s:close()
  schema:close()
  decoder:close()
  fails(mote.E_INVALID, "closed", s:prompt(prompt))
  fails(mote.E_INVALID, "closed", decoder:push(5))
  same(mote.memory(), before)
  assert(tostring(model):find "closed" and tostring(s):find "session")
end)

test("the collector frees what is forgotten, in any order", function()
  collectgarbage()
  collectgarbage()
  local before = mote.memory()
  for i = 1, 20 do
    local model = assert(mote.open(nil, { n_threads = 1 }))
    local s = assert(model:session { context_tokens = 64 })
    assert(s:generate("Once", { max_tokens = 3, schema = { type = "integer" } }))
    local fork = assert(s:fork())
    if i % 2 == 0 then model:close() end
    if i % 3 == 0 then s:close() end
    local cycle = { model, s, fork }
    cycle.cycle = cycle
  end
  collectgarbage()
  collectgarbage()
  same(mote.memory(), before)
end)

test("to-be-closed variables", function()
  if _VERSION ~= "Lua 5.4" then return end
  local before = mote.memory()
  assert(load([[
    local mote = ...
    local model <close> = assert(mote.open())
    local session <close> = assert(model:session())
    assert(session:prompt "Once")
  ]]))(mote)
  same(mote.memory(), before)
end)

-- What is still open when the state closes is freed then; a crash would show.
kept = { mote.open() }
kept[2] = kept[1]:session { progress = function() end }
kept[3] = kept[2]:generate(prompt)
check.done()
