-- SPDX-License-Identifier: MIT
local check = require "check"
local mote = require "mote"
local test, same, fails, raises = check.test, check.same, check.fails, check.raises

local model = assert(mote.open())
local tok = assert(model:tokenizer())
local text = "Once upon a time, \195\169t\195\169 \230\151\165\230\156\172 123"

test("bytes survive encode and decode", function()
  same(tok:decode(tok:encode(text)), text)
  same(tok:decode(tok:encode ""), "")
  local all = {}
  for i = 0, 255 do all[#all + 1] = string.char(i) end
  all = table.concat(all)
  same(tok:decode(tok:encode(all)), all)
  local long = ("Lily went to the park. "):rep(2000) -- beyond the first buffer
  same(tok:decode(tok:encode(long)), long)
end)

test("BOS and control tokens only where asked for", function()
  local plain, bos = tok:encode "Hello", tok:encode("Hello", { bos = true })
  assert(tok:adds_bos())
  same(#bos, #plain + 1)
  same(bos[1], tok:bos())
  local name = tok:token(tok:bos())
  same(tok:find(name), tok:bos())
  same(tok:encode(name, { special = true }), { tok:bos() })
  assert(#tok:encode(name) > 1)
  assert(tok:is_special(tok:bos()) and not tok:is_special(plain[1]))
  same(tok:decode(bos, { skip_special = true }), "Hello")
  same(tok:find "Hello", nil)
  assert(tok:size() <= model:info().vocab_size and tok:eos() < tok:size())
end)

test("a decoder never splits a character", function()
  local decoder, out = assert(tok:decoder()), {}
  for _, id in ipairs(tok:encode(text)) do
    local piece = assert(decoder:push(id))
    assert(not piece:find "^[\128-\191]", "begins within a character")
    out[#out + 1] = piece
  end
  out[#out + 1] = decoder:finish()
  same(table.concat(out), text)
end)

test("wrong ids, wrong values", function()
  fails(mote.E_INVALID, "%d", tok:decode { 99999999 })
  same(tok:token(99999999), nil)
  raises("token 2", tok.decode, tok, { 1, "x" })
  raises("token 1", tok.decode, tok, { 2 ^ 40 })
  raises("token 1", tok.decode, tok, { 0.5 })
  raises("array", tok.decode, tok, 5)
  raises("string", tok.encode, tok, {})
end)

test("a tokenizer alone", function()
  local alone = assert(mote.tokenizer(mote.bundled()))
  same(alone:encode(text), tok:encode(text))
  alone:close()
  alone:close()
  fails(mote.E_INVALID, "closed", alone:encode(text))
  fails(mote.E_NOT_FOUND, "nowhere", mote.tokenizer "/nowhere")
  raises("zero byte", mote.tokenizer, "a\0b")
end)

test("chat formats", function()
  local names = mote.formats()
  assert(#names >= 10)
  local f = assert(mote.format(names[1]))
  same(f.name, names[1])
  fails(mote.E_NOT_FOUND, "nothing", mote.format "nothing")
  local r1 = assert(mote.format "deepseek-r1")
  local messages = { { role = "user", content = "Hi" } }
  local rendered = assert(r1:render_text(messages))
  assert(rendered:find "Hi")
  same(rendered, r1:render_text '[{"role":"user","content":"Hi"}]')
  assert(#rendered > #r1:render_text(messages, { generate = false }))
  fails(mote.E_FORMAT, "", r1:render_text "[")
  fails(mote.E_FORMAT, "function", r1:render_text { { role = print } })
end)

test("options are described", function()
  local found = {}
  for _, o in ipairs(mote.options "session") do found[o.name] = o end
  assert(found.kv_type.values:find "bf16")
  fails(mote.E_INVALID, "nonsense", mote.options "nonsense")
end)

check.done()
