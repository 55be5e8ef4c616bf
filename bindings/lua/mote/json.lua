-- SPDX-License-Identifier: MIT
-- Lua values as JSON text: messages, tools and schemas. Nothing is read here.
--
-- A table with a first element is an array, any other an object; an empty one is an object
-- unless array() marked it. Names of objects come in alphabetical order, or in that of an
-- ordered() list of pairs.
local json = {}

json.null = setmetatable({}, { __tostring = function() return "null" end })

local arrays = setmetatable({}, { __mode = "k" })
local lists = setmetatable({}, { __mode = "k" })

--- Mark a table as an array, also when it is empty.
function json.array(t)
  arrays[t] = true
  return t
end

--- An object whose names keep their order: ordered{{"name", value}, {"age", value}}.
function json.ordered(pairs_list)
  lists[pairs_list] = true
  return pairs_list
end

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quoted(s)
  return '"' .. s:gsub('[%z\1-\31\127"\\]', function(c)
    return escapes[c] or string.format("\\u%04x", c:byte())
  end) .. '"'
end

local function number(v)
  if v ~= v or v == math.huge or v == -math.huge then
    error("JSON has no infinity and no NaN", 0)
  end
  if v == math.floor(v) and v > -2 ^ 53 and v < 2 ^ 53 then
    return (string.format("%.0f", v))
  end
  if math.type and math.type(v) == "integer" then
    return (string.format("%d", v))
  end
  return (string.format("%.17g", v):gsub(",", ".")) -- whatever the host's locale
end

local write

local function write_pair(out, name, value, depth)
  if type(name) ~= "string" then
    error("a name in an object is a " .. type(name) .. ", not a string", 0)
  end
  out[#out + 1] = quoted(name)
  out[#out + 1] = ":"
  write(out, value, depth)
end

local function write_table(out, t, depth)
  if depth > 64 then
    error("a table is nested too deep, or in itself", 0)
  end
  if lists[t] then
    out[#out + 1] = "{"
    for i, pair in ipairs(t) do
      if i > 1 then out[#out + 1] = "," end
      write_pair(out, pair[1], pair[2], depth)
    end
    out[#out + 1] = "}"
  elseif arrays[t] or t[1] ~= nil then
    out[#out + 1] = "["
    for i = 1, #t do
      if i > 1 then out[#out + 1] = "," end
      write(out, t[i], depth)
    end
    out[#out + 1] = "]"
  else
    local names = {}
    for name in pairs(t) do
      if type(name) ~= "string" then
        error("a name in an object is a " .. type(name) .. ", not a string", 0)
      end
      names[#names + 1] = name
    end
    table.sort(names)
    out[#out + 1] = "{"
    for i, name in ipairs(names) do
      if i > 1 then out[#out + 1] = "," end
      write_pair(out, name, t[name], depth)
    end
    out[#out + 1] = "}"
  end
end

function write(out, v, depth)
  local kind = type(v)
  if v == nil or rawequal(v, json.null) then
    out[#out + 1] = "null"
  elseif kind == "string" then
    out[#out + 1] = quoted(v)
  elseif kind == "number" then
    out[#out + 1] = number(v)
  elseif kind == "boolean" then
    out[#out + 1] = tostring(v)
  elseif kind == "table" then
    write_table(out, v, depth + 1)
  else
    error("JSON has no " .. kind, 0)
  end
end

--- The text, or nil and a message.
function json.encode(v)
  local out = {}
  local ok, message = pcall(write, out, v, 0)
  if not ok then
    return nil, message
  end
  return table.concat(out)
end

return json
