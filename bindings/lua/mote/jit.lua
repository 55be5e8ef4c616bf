-- SPDX-License-Identifier: MIT
-- What mote.core is to Lua, for LuaJIT: the functions of mote.api through ffi. The same
-- kinds, results and errors (src/core.h lists them); a wrapper per function is written out
-- as Lua text when the library is opened.
local ffi = require "ffi"

local core = {}
local int32_array = ffi.typeof "int32_t[?]"
local float_array = ffi.typeof "float[?]"
local char_array = ffi.typeof "char[?]"
local string_array = ffi.typeof "const char *[?]"

-- Logits, indexed from 0 by token id.
local methods = {}
local floats = ffi.metatype("struct { int32_t n; float v[?]; }", {
  __len = function(self) return self.n end,
  __index = function(self, key)
    if type(key) ~= "number" then return methods[key] end
    if key >= 0 and key < self.n then return tonumber(self.v[key]) end
  end,
})
function methods.argmax(self)
  if self.n == 0 then return end
  local best = 0
  for i = 1, self.n - 1 do
    if self.v[i] > self.v[best] then best = i end
  end
  return best, tonumber(self.v[best])
end
function methods.bytes(self) return ffi.string(self.v, 4 * self.n) end

-- ---- values in and out, used by the wrappers ----------------------------------------

local help = { ffi = ffi, tonumber = tonumber, floats = floats, char_array = char_array,
  int32_array = int32_array }

function help.handle(v, name, index)
  if v == nil then
    error("bad argument #" .. index .. ": the " .. name .. " is closed", 0)
  end
  return v
end

function help.number(v, low, high, index)
  if type(v) ~= "number" or not (v >= low and v <= high) then
    error("bad argument #" .. index .. ": " .. tostring(v) .. " is out of range", 0)
  end
  return v
end

function help.text(v, index, whole)
  if v ~= nil and type(v) ~= "string" then
    error("bad argument #" .. index .. ": expected a string", 0)
  end
  if v and whole and v:find("%z") then
    error("bad argument #" .. index .. ": the string contains a zero byte", 0)
  end
  return v
end

function help.ids(t, index)
  if type(t) ~= "table" then
    error("bad argument #" .. index .. ": expected an array of token ids", 0)
  end
  local n = #t
  local ids = int32_array(n + 1)
  for i = 1, n do
    local v = t[i]
    if type(v) ~= "number" or v % 1 ~= 0 or v < -2147483648 or v > 2147483647 then
      error("token " .. i .. " is not a token id", 0)
    end
    ids[i - 1] = v
  end
  return ids, n
end

function help.array(p, n)
  local t = {}
  for i = 1, n do t[i] = tonumber(p[i - 1]) end
  return t
end

function help.string(p)
  if p ~= nil then return ffi.string(p) end
end

function help.hash(v) -- more bits than a number has
  return string.format("%08x%08x", tonumber(v / 4294967296ULL), tonumber(v % 4294967296ULL))
end

-- ---- options --------------------------------------------------------------------------

local function number_text(v)
  if v % 1 == 0 and v > -9e15 and v < 9e15 then return string.format("%.0f", v) end
  return (string.format("%.9g", v):gsub(",", ".")) -- whatever the host's locale
end

local function option_array(kind, value)
  if kind == "strings" then
    if type(value) == "string" then value = { value } end
    if type(value) ~= "table" then return end
    local a = string_array(#value + 1)
    for i, s in ipairs(value) do
      if type(s) ~= "string" or s:find("%z") then return end
      a[i - 1] = s
    end
    return a, #value, value
  elseif type(value) ~= "table" then
    return
  elseif kind == "ids" then
    return help.ids(value, 0)
  end
  local a = float_array(#value + 1)
  for i, v in ipairs(value) do
    if type(v) ~= "number" then return end
    a[i - 1] = v
  end
  return a, #value
end

-- Fields by name: {kind=, extra=, counts=}.
local function describe(api, struct)
  local fields, list = {}, {}
  for i, line in ipairs(api.structs[struct]) do
    local kind, name, extra = line:match "^(%S+) (%S+) ?(%S*)$"
    local f = { kind = kind, name = name, extra = extra }
    list[i], fields[name] = f, f
  end
  for _, f in ipairs(list) do
    if fields[f.extra] then fields[f.extra].counts = true end
  end
  return fields, list
end

-- A function that makes the struct from a table; nil and a failure when one is refused.
local function options_maker(lib, struct)
  local fields = describe(lib.api, struct)
  local new, pointer = ffi.typeof(struct), ffi.typeof "void *"
  local kind_number = lib.api.option_kinds[struct]
  local size = ffi.sizeof(struct)
  return function(t)
    local o, keep = new(), {}
    o.struct_size = size
    for name, value in pairs(t or {}) do
      local f = fields[name]
      local kind = f and name ~= "struct_size" and f.kind or "string" -- the library refuses
      local why
      if f and f.counts then
        why = "expected a number, a boolean or a name"
      elseif kind:find "^[iuf]%d" or kind == "string" then
        local text = type(value) == "boolean" and (value and "1" or "0")
          or type(value) == "number" and number_text(value)
          or type(value) == "string" and value
        if not text then
          why = "expected a number, a boolean or a name"
        else
          keep[#keep + 1] = text
          if lib.C.mote_options_set_text(kind_number, o, name, text, lib.err) < 0 then
            return nil, lib.failure(lib.err.status)
          end
        end
      elseif kind == "strings" or kind == "ids" or kind == "floats" then
        local array, n, anchor = option_array(kind, value)
        if array then
          o[name], o[f.extra] = array, n
          keep[#keep + 1], keep[#keep + 2] = array, anchor
        else
          why = "expected an array of the right kind"
        end
      elseif kind:find "^handle:" then
        o[name] = value
      elseif kind == "callback" then
        o[name] = lib.progress
        o[name .. "_user"] = ffi.cast(pointer, value)
      else
        why = "there is none of this name for Lua"
      end
      if why then
        return nil, nil, "option " .. tostring(name) .. ": " .. why, -1
      end
    end
    return o, keep
  end
end

-- Lua text of a table made from struct `s`.
local function struct_text(api, struct)
  local _, list = describe(api, struct)
  local out = {}
  for _, f in ipairs(list) do
    local at = "s." .. f.name
    local text
    if f.counts or f.name == "reserved" or f.name == "struct_size" then
      text = nil
    elseif f.kind == "u64" and f.extra ~= "" then
      text = "array(" .. at .. ", " .. f.extra .. ")"
    elseif f.kind == "u64" then
      text = "tonumber(" .. at .. ")"
    elseif f.kind == "hash" then
      text = "hash(" .. at .. ")"
    elseif f.kind == "bytes" then
      text = "ffi.string(" .. at .. ", s." .. f.extra .. ")"
    elseif f.kind == "string" then
      text = "string(" .. at .. ")"
    elseif f.kind == "ids" or f.kind == "floats" then
      text = "array(" .. at .. ", s." .. f.extra .. ")"
    elseif f.kind:find "^[iuf]32" then
      text = at
    end
    if text then out[#out + 1] = f.name .. " = " .. text end
  end
  return "{" .. table.concat(out, ", ") .. "}"
end

-- ---- wrappers -------------------------------------------------------------------------

local ranges = { i32 = "-2147483648, 2147483647", u32 = "0, 4294967295",
  u64 = "0, 9007199254740992", size = "0, 9007199254740992",
  f32 = "-math.huge, math.huge", f64 = "-math.huge, math.huge" }
local cells = { get_i32 = "int32_t[1]", get_u64 = "uint64_t[1]",
  get_string = "const char *[1]", length = "size_t[1]" }

-- The text of one wrapper.
local function wrapper(lib, name, calling)
  local names, head, body, arguments, results, finish = {}, {}, {}, {}, {}, {}
  local buffered
  local function add(t, ...) t[#t + 1] = string.format(...) end
  for i = 2, #calling do
    local kind, type_name = calling[i]:match "^([^:]+):?(.*)$"
    local v, a = "v" .. i, "a" .. i
    local index = #names + 1
    if ranges[kind] then
      names[index] = a
      add(body, "number(%s, %s, %d)", a, ranges[kind], index)
      arguments[#arguments + 1] = a
    elseif kind == "string" then
      names[index] = a
      add(body, "text(%s, %d, true)", a, index)
      arguments[#arguments + 1] = a
    elseif kind == "bytes" then
      names[index] = a
      add(body, "text(%s, %d)", a, index)
      add(arguments, "%s, %s and #%s or 0", a, a, a)
    elseif kind == "ids" then
      names[index] = a
      add(body, "local %s, n%d = ids(%s, %d)", v, i, a, index)
      add(arguments, "%s, n%d", v, i)
    elseif kind == "handle" then
      names[index] = a
      add(arguments, "handle(%s, %q, %d)", a, type_name, index)
    elseif kind == "options" then
      names[index] = a
      add(head, "local make%d = lib.maker(%q)", i, type_name)
      add(body, "local %s, keep%d, m%d, c%d = make%d(%s)", v, i, i, i, i, a)
      add(body, "if not %s then return nil, keep%d and lib.text(keep%d) or m%d, keep%d or c%d end",
        v, i, i, i, i, i)
      arguments[#arguments + 1] = v
    elseif kind == "callback" then
      names[index] = a
      add(arguments, "%s and lib.progress or nil, ffi.cast('void *', %s or 0)", a, a)
    elseif kind == "out" then
      add(head, "local %s = ffi.new('%s *[1]')", v, type_name)
      arguments[#arguments + 1] = v
      add(results, "%s[0]", v)
    elseif kind == "fill" then
      add(head, "local new%d, size%d = ffi.typeof(%q), ffi.sizeof(%q)", i, i, type_name, type_name)
      add(body, "local %s = new%d()\n%s.struct_size = size%d", v, i, v, i)
      arguments[#arguments + 1] = v
      add(finish, "local s = %s", v)
      results[#results + 1] = struct_text(lib.api, type_name)
    elseif kind == "get_floats" then
      names[index] = a
      add(body, "local %s = floats(number(%s, 0, 2147483647, %d))\n%s.n = %s", v, a, index, v, a)
      add(arguments, "%s.v, %s", v, a)
      results[#results + 1] = v
    elseif kind == "get_bytes" or kind == "get_blob" or kind == "get_ids" then
      local array = kind == "get_ids" and "int32_array" or "char_array"
      buffered = { v = v, array = array, n = "n" .. i }
      add(head, "local %s_n = ffi.new('size_t[1]')", v)
      if kind == "get_blob" then -- its length is asked for first
        add(body, "local n%d, %s = 0, nil", i, v)
      else
        add(body, "local n%d = 2048\nlocal %s = %s(n%d)", i, v, array, i)
      end
      add(arguments, "%s, n%d, %s_n", v, i, v)
      add(results, kind == "get_ids" and "array(%s, tonumber(%s_n[0]))"
        or "ffi.string(%s, tonumber(%s_n[0]))", v, v)
    elseif kind == "get_view" then
      add(head, "local %s, %s_n = ffi.new('const char *[1]'), ffi.new('size_t[1]')", v, v)
      add(arguments, "%s, %s_n", v, v)
      add(results, "ffi.string(%s[0], tonumber(%s_n[0]))", v, v)
    elseif kind == "err" then
      arguments[#arguments + 1] = "err"
    elseif cells[kind] then
      add(head, "local %s = ffi.new('%s')", v, cells[kind])
      arguments[#arguments + 1] = v
      if kind == "length" then
        add(finish, "local length = tonumber(%s[0])", v)
      else
        add(results, kind == "get_string" and "string(%s[0])" or "tonumber(%s[0])", v)
      end
    else
      error("mote.api: no rule for " .. calling[i])
    end
  end
  local call = "C." .. name .. "(" .. table.concat(arguments, ", ") .. ")"
  local kind = calling[1]
  local tail
  if kind == "status" then
    tail = "local status = " .. call .. "\n"
    if buffered then
      tail = tail .. string.format(
        "if status == 0 and %s_n[0] > %s then\n%s = tonumber(%s_n[0])\n%s = %s(%s)\nstatus = %s\nend\n",
        buffered.v, buffered.n, buffered.n, buffered.v, buffered.v, buffered.array, buffered.n, call)
    end
    tail = tail .. "if status ~= 0 then return lib.failed(status) end\n"
      .. table.concat(finish, "\n") .. "\nreturn "
      .. (#results > 0 and table.concat(results, ", ") or "true")
  elseif kind == "void" then
    tail = call
  else
    tail = "err.status = 0\nlocal result = " .. call .. "\n" .. table.concat(finish, "\n") .. "\n"
    if kind == "string" then
      tail = tail .. "return string(result)"
    elseif kind == "view" then
      tail = tail .. "if result ~= nil then return ffi.string(result, length) end"
    elseif kind:find "^handle:" then
      tail = tail .. "if result ~= nil then return result end\n"
        .. "if err.status < 0 then return lib.failed(err.status) end"
    else
      tail = tail .. "return tonumber(result)"
    end
  end
  return string.format(
    "local lib, C, err, help = ...\nlocal ffi, floats, char_array, int32_array = help.ffi, "
      .. "help.floats, help.char_array, help.int32_array\nlocal number, text, ids, handle, array, "
      .. "string, hash = help.number, help.text, help.ids, help.handle, help.array, help.string, "
      .. "help.hash\n%s\nreturn function(%s)\n%s\n%s\nend",
    table.concat(head, "\n"), table.concat(names, ", "), table.concat(body, "\n"), tail)
end

-- ---- the library ----------------------------------------------------------------------

local declared

--- open(api [, path]) -> functions by name; or nil, message.
function core.open(api, path)
  if not declared then
    ffi.cdef(api.cdef)
    declared = true
  end
  local C = ffi.C
  if path then
    local ok, found = pcall(ffi.load, path)
    if not ok then return nil, found end
    C = found
  end
  if not pcall(function() return C.mote_options_set_text end) then
    return nil, (path or "the program") .. ": not the mote library"
  end

  local lib = { api = api, C = C, err = ffi.new "mote_error" }
  local callbacks, next_id = {}, 1
  -- One callback for all: the user pointer is the id of a Lua function. An error in it is
  -- kept, the call is cancelled, and the caller gets it.
  lib.progress = ffi.cast("mote_progress_fn", function(user, stage, done, total)
    local f = callbacks[tonumber(ffi.cast("intptr_t", user))]
    if not f then return 0 end
    local ok, stop = pcall(f, ffi.string(stage), tonumber(done), tonumber(total))
    if ok then return stop and 1 or 0 end
    lib.raised = stop == nil and "error in a progress callback" or stop
    return 1
  end)
  function lib.text(status)
    local raised = lib.raised
    lib.raised = nil
    if raised ~= nil and status == api.constants.E_CANCELLED then return raised end
    return ffi.string(lib.err.message)
  end
  function lib.failure(status) return status end
  function lib.failed(status)
    if status > 0 then return nil, "done", status end
    return nil, lib.text(status), status
  end
  function lib.maker(struct) return options_maker(lib, struct) end

  local out = {}
  for name, calling in pairs(api.functions) do
    if pcall(function() return C[name] end) then
      local make = assert(loadstring(wrapper(lib, name, calling), "=mote." .. name))
      out[name] = make(lib, C, lib.err, help)
      -- C may call back into Lua, which compiled code cannot bear; never from here:
      if name ~= "mote_session_next" then jit.off(out[name], true) end
    else
      out[name] = function()
        error("this version of the mote library has no " .. name, 0)
      end
    end
  end
  function out.callback(f)
    local id = next_id
    callbacks[id], next_id = f, id + 1
    return id
  end
  function out.release(id) callbacks[id] = nil end
  function out.layout(struct)
    local offsets = {}
    local _, list = describe(api, struct)
    for _, f in ipairs(list) do offsets[f.name] = ffi.offsetof(struct, f.name) end
    return offsets, { size = ffi.sizeof(struct) }
  end
  return out
end

return core
