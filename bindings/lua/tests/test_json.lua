-- SPDX-License-Identifier: MIT
local check = require "check"
local json = require "mote.json"
local test, same = check.test, check.same

test("values as JSON", function()
  same(json.encode { { role = "user", content = "Hello" } }, '[{"content":"Hello","role":"user"}]')
  same(json.encode { 1, 2.5, -3, true, false, json.null, "x" }, '[1,2.5,-3,true,false,null,"x"]')
  same(json.encode {}, "{}")
  same(json.encode(json.array {}), "[]")
  same(json.encode(json.ordered { { "z", 1 }, { "a", json.array {} } }), '{"z":1,"a":[]}')
  same(json.encode(2 ^ 53), "9007199254740992")
  same(json.encode(0.1), "0.10000000000000001")
  same(json.encode "a\"b\\c\n\0\1\127\195\164", '"a\\"b\\\\c\\n\\u0000\\u0001\\u007f\195\164"')
end)

test("what JSON cannot say is refused", function()
  local loop = {}
  loop.loop = loop
  for _, case in ipairs { { loop, "nested" }, { { f = print }, "no function" }, { 1 / 0, "infinity" },
    { 0 / 0, "NaN" }, { { [2] = 1 }, "not a string" }, { json.ordered { { 1, 2 } }, "not a string" } } do
    local text, message = json.encode(case[1])
    same(text, nil)
    assert(message:find(case[2]), message)
  end
end)

check.done()
