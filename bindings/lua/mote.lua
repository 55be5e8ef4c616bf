-- SPDX-License-Identifier: MIT
--- Run DeepSeek-V3-class models from Lua 5.1 to 5.4 and LuaJIT.
--
--     local mote = require "mote"
--     local model = assert(mote.open())
--     local session = assert(model:session())
--     for piece in assert(session:generate("Once upon a time", { max_tokens = 40 })) do
--       io.write(piece.text)
--     end
--
-- What fails returns nil, a message and a code (mote.E_...). Only the iterator of a generate
-- loop raises, as file:lines() does; session:next() is the same without raising. Objects are
-- freed by the garbage collector, by close(), and in Lua 5.4 by `local x <close>`; a model
-- stays in memory until its sessions are gone.
local api = require "mote.api"
local json = require "mote.json"
local K = api.constants

local mote = { null = json.null, array = json.array, ordered = json.ordered }
for name, value in pairs(K) do mote[name] = value end

-- ---- the library ----------------------------------------------------------------------

local is_jit = rawget(_G, "jit") ~= nil and pcall(require, "ffi")
local core = is_jit and require "mote.jit" or require "mote.core"

-- MOTE_LIBRARY; else the program itself, where mote is linked in; else the system's.
local function load_library()
  local named = os.getenv "MOTE_LIBRARY"
  if named and named ~= "" then
    local lib, message = core.open(api, named)
    return lib or error("MOTE_LIBRARY: " .. message, 0)
  end
  local lib, message = core.open(api)
  local problems = { message }
  local names = package.config:sub(1, 1) == "\\" and { "mote-0.dll", "mote.dll", "libmote-0.dll" }
    or { "libmote.so.0", "libmote.so", "libmote.0.dylib", "libmote.dylib" }
  for _, name in ipairs(names) do
    if lib then break end
    lib, message = core.open(api, name)
    problems[#problems + 1] = message
  end
  return lib or error("the mote library was not found: install it, or set MOTE_LIBRARY to its "
    .. "path\n  " .. table.concat(problems, "\n  "), 0)
end

local lib = load_library()
local version = lib.mote_version_number()
if math.floor(version / 1000000) ~= K.VERSION_MAJOR or version < K.VERSION_NUMBER then
  error("the mote library is version " .. lib.mote_version_string() .. ", this binding needs "
    .. K.VERSION_MAJOR .. "." .. K.VERSION_MINOR .. " or a later " .. K.VERSION_MAJOR .. ".x", 0)
end

mote.version = lib.mote_version_string()
--- Kernel variant that this CPU would use.
function mote.isa() return lib.mote_version_isa() end
--- What the library was built with: one "name version licence" line each.
function mote.components() return lib.mote_version_components() end
--- Name of a code, such as "MOTE_E_FORMAT".
function mote.status_name(code) return lib.mote_status_name(code) end

-- What a generate loop raises.
local failure = {}
failure.__index = failure
function failure.__tostring(e) return e.message end

-- ---- ownership ------------------------------------------------------------------------
-- A record holds a handle and outlives its object: it is closed once its object wants that,
-- nothing made from it is left, and no call on it is under way (a progress callback may
-- close anything). So neither the order of finalisers nor of close() calls matters.

local open_bytes = 0 -- held by open objects, about

local function drop(r)
  if not (r.closing and r.children == 0 and r.calls == 0 and r.handle) then return end
  local handle, parents = r.handle, r.parents
  r.handle = nil
  r.close(handle)
  if r.callback then lib.release(r.callback) end
  open_bytes = open_bytes - r.bytes
  for i = #parents, 1, -1 do
    parents[i].children = parents[i].children - 1
    drop(parents[i])
  end
end

local function release(r)
  r.closing = true
  drop(r)
end

local with_finaliser
if rawget(_G, "newproxy") then
  function with_finaliser(r)
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = function() release(r) end
    return proxy
  end
else
  local finaliser = { __gc = function(t) release(t[1]) end }
  function with_finaliser(r) return setmetatable({ r }, finaliser) end
end

-- The collector sees a few hundred bytes where there are megabytes: it is asked to run when
-- what is open has doubled since it last did.
local memory_limit = 2 ^ 28

local function own(class, handle, close, bytes, ...)
  local r = { handle = handle, close = close, bytes = bytes, children = 0, calls = 0,
    parents = { ... } }
  for _, parent in ipairs(r.parents) do parent.children = parent.children + 1 end
  open_bytes = open_bytes + bytes
  if open_bytes > memory_limit then
    collectgarbage()
    memory_limit = math.max(2 ^ 28, 2 * open_bytes)
  end
  return setmetatable({ record = r, guard = with_finaliser(r) }, class)
end

--- Bytes held by the models and sessions that are open, about.
function mote.memory() return open_bytes end

local function refused(message) return nil, message, K.E_INVALID end

-- The handle, or nil and why it cannot be used now.
local function usable(object)
  local r = object.record
  if r.closing or not r.handle then return refused("the " .. object.kind .. " is closed") end
  if r.calls > 0 then return refused("the " .. object.kind .. " is inside a call") end
  return object.handle or r.handle
end

local function finish(r, ok, ...)
  r.calls = 0
  if r.closing then drop(r) end
  if not ok then error((...), 0) end
  return ...
end

-- Call a function on an object that may not be entered twice.
local function call(object, name, ...)
  local handle, message, code = usable(object)
  if not handle then return nil, message, code end
  local r = object.record
  r.calls = 1
  return finish(r, pcall(lib[name], handle, ...))
end

-- Plain questions, which may come from a callback as well.
local function ask(object, name, ...)
  local r = object.record
  if r.closing or not r.handle then return refused("the " .. object.kind .. " is closed") end
  return lib[name](object.handle or r.handle, ...)
end

local function new_class(kind)
  local class = { kind = kind }
  class.__index = class
  class.__close = function(self) self:close() end
  class.__tostring = function(self)
    return "mote " .. kind .. (self.record.closing and " (closed)" or "")
  end
  --- Free it; again does nothing.
  function class:close() release(self.record) end
  return class
end

local function copy(t)
  local c = {}
  for k, v in pairs(t or {}) do c[k] = v end
  return c
end

-- A copy of options in which a progress function is registered: options, its id.
local function with_progress(options)
  local o = copy(options)
  if o.progress == nil then return o end
  if type(o.progress) ~= "function" then
    error("option progress: expected a function", 0)
  end
  o.progress = lib.callback(o.progress)
  return o, o.progress
end

local function as_json(v)
  if type(v) == "string" or v == nil then return v end
  local text, message = json.encode(v)
  if not text then return nil, message, K.E_FORMAT end
  return text
end

-- ---- tokenizers -----------------------------------------------------------------------

local Tokenizer = new_class "tokenizer"
local Decoder = new_class "decoder"

--- Open a tokenizer alone: a directory, or the path of a tokenizer.json.
function mote.tokenizer(path)
  local handle, message, code = lib.mote_tokenizer_open(path)
  if not handle then return nil, message, code end
  return own(Tokenizer, handle, lib.mote_tokenizer_close, 2 ^ 23)
end

--- Token ids of a text. Options: bos (begin with BOS where the model wants it), special
--- (the text of control tokens becomes those tokens).
function Tokenizer:encode(text, options)
  local o = options or {}
  return ask(self, "mote_tokenizer_encode", text,
    (o.bos and K.ENCODE_BOS or 0) + (o.special and K.ENCODE_SPECIAL or 0))
end

--- The exact bytes of tokens. Options: skip_special.
function Tokenizer:decode(ids, options)
  return ask(self, "mote_tokenizer_decode", ids,
    options and options.skip_special and K.DECODE_SKIP_SPECIAL or 0)
end

--- Bytes of one token, or nil.
function Tokenizer:token(id) return ask(self, "mote_tokenizer_token", id) end

local function id_or_nil(id, ...)
  if id == nil then return nil, ... end
  return id >= 0 and id or nil
end

--- Id of a control token by its exact text, or nil.
function Tokenizer:find(text) return id_or_nil(ask(self, "mote_tokenizer_find", text)) end
--- Id of the beginning-of-sentence token, or nil.
function Tokenizer:bos() return id_or_nil(ask(self, "mote_tokenizer_bos")) end
--- Id of the end-of-sentence token, or nil.
function Tokenizer:eos() return id_or_nil(ask(self, "mote_tokenizer_eos")) end
--- How many ids there are.
function Tokenizer:size() return ask(self, "mote_tokenizer_size") end

local function yes(n, ...)
  if n == nil then return nil, ... end
  return n == 1
end

--- Whether a token is marked special.
function Tokenizer:is_special(id) return yes(ask(self, "mote_tokenizer_is_special", id)) end
--- Whether encode() with bos adds a token.
function Tokenizer:adds_bos() return yes(ask(self, "mote_tokenizer_adds_bos")) end

--- Turn a stream of tokens into text that never splits a character.
function Tokenizer:decoder(options)
  local handle, message, code = ask(self, "mote_decoder_open",
    options and options.skip_special and K.DECODE_SKIP_SPECIAL or 0)
  if not handle then return nil, message, code end
  local d = own(Decoder, handle, lib.mote_decoder_close, 4096, self.record)
  d.tokenizer = self
  return d
end

--- Add a token; the text that is now complete, "" within a character.
function Decoder:push(id) return ask(self, "mote_decoder_push", id) end
--- What is held back; the decoder is then as new.
function Decoder:finish() return ask(self, "mote_decoder_finish") end

-- ---- chat formats ---------------------------------------------------------------------

local Format = {}
Format.__index = Format
function Format.__tostring(f) return "mote chat format " .. f.name end

local function new_format(handle, message, code)
  if not handle then return nil, message, code end
  return setmetatable({ handle = handle, name = lib.mote_chat_format_name(handle) }, Format)
end

--- Names of the chat formats there are.
function mote.formats()
  local names = {}
  while true do
    local handle = lib.mote_chat_format_at(#names)
    if not handle then return names end
    names[#names + 1] = lib.mote_chat_format_name(handle)
  end
end

--- A chat format by name.
function mote.format(name) return new_format(lib.mote_chat_format_find(name)) end

-- A format from an option: a name or a format.
local function as_format(value)
  if getmetatable(value) == Format then return value end
  if type(value) == "string" then return mote.format(value) end
  return refused "option format: expected a name or a format"
end

--- The chat format that a tokenizer was published with.
function Tokenizer:format() return new_format(ask(self, "mote_chat_format_of")) end

local function render_arguments(messages, o)
  local text, message, code = as_json(messages)
  if not text then return nil, message or "messages: expected an array", code or K.E_FORMAT end
  local tools
  if o.tools ~= nil then
    tools, message, code = as_json(o.tools)
    if not tools then return nil, message, code end
  end
  return text, (o.generate ~= false and K.CHAT_GENERATE or 0)
    + (o.think and K.CHAT_THINK or 0)
    + (o.keep_reasoning and K.CHAT_KEEP_REASONING or 0), tools
end

--- Messages as tokens. Options: generate (default true), think, keep_reasoning, tools.
function Format:render(tokenizer, messages, options)
  local text, flags, tools = render_arguments(messages, options or {})
  if not text then return nil, flags, tools end
  local handle, message, code = usable(tokenizer)
  if not handle then return nil, message, code end
  return lib.mote_chat_render(self.handle, handle, text, flags, tools)
end

--- Messages as text, control tokens spelled out. Options as render().
function Format:render_text(messages, options)
  local text, flags, tools = render_arguments(messages, options or {})
  if not text then return nil, flags, tools end
  return lib.mote_chat_render_text(self.handle, text, flags, tools)
end

-- ---- models ---------------------------------------------------------------------------

local Model = new_class "model"
local Schema = new_class "schema"
local Session = new_class "session"

local function readable(path)
  local f = io.open(path:find "%.mote$" and path or path .. "/config.json")
  if f then f:close() end
  return f ~= nil
end

--- Path of the model that comes with mote, or nil, message, code.
function mote.bundled()
  local here = debug.getinfo(1, "S").source:match "^@(.*[/\\])" or "./"
  local lua_version = _VERSION:match "%d%.%d"
  for _, path in ipairs {
    here .. "../../models/tiny-v3",
    here .. "../../../lib/luarocks/rocks-" .. lua_version .. "/mote/0.1.0-1/models/tiny-v3",
    here .. "../../mote/models/tiny-v3.mote",
    "/usr/local/share/mote/models/tiny-v3.mote",
    "/usr/share/mote/models/tiny-v3.mote",
  } do
    if readable(path) then return path end
  end
  return nil, "no bundled model was found: give a path, or set MOTE_MODEL", K.E_NOT_FOUND
end

--- Open a checkpoint directory or a pack; without a path MOTE_MODEL or the bundled model.
--- Options: n_threads, memory_bytes, mapping, mtp, isa, and progress(stage, done, total),
--- which cancels by returning true.
function mote.open(path, options)
  local message, code, handle
  if path == nil then
    path, message, code = os.getenv "MOTE_MODEL", nil, nil
    if not path or path == "" then path, message, code = mote.bundled() end
    if not path then return nil, message, code end
  end
  local o, id = with_progress(options)
  handle, message, code = lib.mote_model_open(path, o)
  if id then lib.release(id) end
  if not handle then return nil, message, code end
  local info = lib.mote_model_get_info(handle)
  local model = own(Model, handle, lib.mote_model_close, info.bytes_allocated)
  model.vocab_size = info.vocab_size
  local tokenizer = lib.mote_model_tokenizer(handle)
  if tokenizer then -- borrowed: it is usable while the model is
    model.own_tokenizer = setmetatable({ record = model.record, handle = tokenizer, model = model,
      close = function() end }, Tokenizer)
  end
  return model
end

--- Describe a model without loading its weights.
function mote.plan(path, options) return lib.mote_model_plan(path, options) end

--- What the model is: dimensions, parameters, bytes, features.
function Model:info() return ask(self, "mote_model_get_info") end
--- Kernel variant in use.
function Model:isa() return ask(self, "mote_model_isa") end
--- Worker threads in use.
function Model:threads() return ask(self, "mote_model_threads") end
--- Expert streaming under a memory budget.
function Model:stream_stats() return ask(self, "mote_model_stream_stats") end

--- Live bytes by use: weights, tokenizer, kv, scratch, other.
function Model:memory()
  local out = {}
  for name, tag in pairs { weights = K.MEM_WEIGHTS, tokenizer = K.MEM_TOKENIZER, kv = K.MEM_KV,
    scratch = K.MEM_SCRATCH, other = K.MEM_OTHER } do
    local bytes, message, code = ask(self, "mote_model_memory", tag)
    if not bytes then return nil, message, code end
    out[name] = bytes
  end
  return out
end

--- The model's tokenizer.
function Model:tokenizer()
  local handle, message, code = usable(self)
  if not handle then return nil, message, code end
  if not self.own_tokenizer then
    return nil, "the checkpoint has no tokenizer", K.E_UNSUPPORTED
  end
  return self.own_tokenizer
end

--- The chat format that the checkpoint was published with.
function Model:format()
  local tokenizer, message, code = self:tokenizer()
  if not tokenizer then return nil, message, code end
  return tokenizer:format()
end

--- Compile a constraint: JSON Schema as text or a table; nil: any object or array.
function Model:schema(schema)
  local tokenizer, message, code = self:tokenizer()
  if not tokenizer then return nil, message, code end
  local text, handle
  text, message, code = as_json(schema)
  if schema ~= nil and not text then return nil, message, code end
  handle, message, code = lib.mote_schema_open(tokenizer.handle, text)
  if not handle then return nil, message, code end
  local s = own(Schema, handle, lib.mote_schema_close, 2 ^ 20, self.record)
  s.model = self
  return s
end

--- Bytes that a session with these options would take: all, of them the cache.
function Model:plan_session(options) return ask(self, "mote_session_plan", options) end

local function new_session(model, handle, id)
  local stats = lib.mote_session_get_stats(handle)
  local s = own(Session, handle, lib.mote_session_close, stats and stats.total_bytes or 0,
    model.record)
  s.model, s.generation, s.record.callback = model, 0, id
  return s
end

--- A new, empty session. Options: context_tokens, prefill_tokens, kv_type ("f32", "bf16",
--- "fp8"), precision ("exact", "fine", "bf16"), deterministic, keep_tokens, draft ("auto",
--- "off", "mtp", "ngram"), draft_tokens, attention ("absorbed", "expanded"),
--- progress(stage, done, total).
function Model:session(options)
  local handle, message, code = usable(self)
  if not handle then return nil, message, code end
  local o, id = with_progress(options)
  handle, message, code = lib.mote_session_open(handle, o)
  if not handle then
    if id then lib.release(id) end
    return nil, message, code
  end
  return new_session(self, handle, id)
end

-- ---- sessions -------------------------------------------------------------------------

-- A prompt is a text or an array of ids.
local function ids_of(session, prompt, bos)
  if type(prompt) ~= "string" then return prompt end
  local tokenizer = session.model.own_tokenizer
  if not tokenizer then return nil, "the checkpoint has no tokenizer", K.E_UNSUPPORTED end
  return lib.mote_tokenizer_encode(tokenizer.handle, prompt, bos and K.ENCODE_BOS or 0)
end

local function with_ids(session, name, prompt, bos)
  local handle, message, code = usable(session)
  if not handle then return nil, message, code end
  local ids
  ids, message, code = ids_of(session, prompt, bos)
  if not ids then return nil, message or "expected a text or token ids", code or K.E_INVALID end
  return call(session, name, ids)
end

--- Append a text or tokens and compute them.
function Session:eval(tokens)
  return with_ids(self, "mote_session_eval", tokens, self:position() == 0)
end
--- Make the sequence be exactly this, reusing the longest common prefix.
function Session:prompt(tokens) return with_ids(self, "mote_session_prompt", tokens, true) end
--- Tokens in the session.
function Session:position() return ask(self, "mote_session_position") end
--- Most tokens it can hold.
function Session:context_tokens() return ask(self, "mote_session_context_tokens") end

--- The whole sequence.
function Session:tokens()
  local n, message, code = self:position()
  if not n then return nil, message, code end
  local ids, handle = {}, self.record.handle
  for i = 1, n do ids[i] = lib.mote_session_token(handle, i - 1) end
  return ids
end

--- Forget everything from a position on.
function Session:rewind(position) return call(self, "mote_session_rewind", position) end

--- Forget everything, end any generation.
function Session:reset()
  local handle, message, code = usable(self)
  if not handle then return nil, message, code end
  lib.mote_session_reset(handle)
  return true
end

--- A second session with the same past.
function Session:fork()
  local handle, message, code = call(self, "mote_session_fork")
  if not handle then return nil, message, code end
  return new_session(self.model, handle)
end

--- Make a running call stop, from a progress callback for example.
function Session:cancel()
  local _, message, code = ask(self, "mote_session_cancel")
  if message then return nil, message, code end
  return true
end

local function floats_at(session, name, position)
  if position == nil then
    local n, message, code = session:position()
    if not n then return nil, message, code end
    if n == 0 then return refused "the session is empty" end
    position = n - 1
  end
  return call(session, name, position, session.model.vocab_size)
end

--- Logits after a position (default: the last), indexed from 0 by token id: logits[id],
--- #logits, logits:argmax(), logits:bytes().
function Session:logits(position) return floats_at(self, "mote_session_logits", position) end
--- The same as natural log-probabilities.
function Session:logprobs(position) return floats_at(self, "mote_session_logprobs", position) end
--- What the MTP module expects at position + 2.
function Session:mtp_logits(position) return floats_at(self, "mote_session_mtp_logits", position) end

local fields = {} -- struct -> set of names
for _, struct in ipairs { "mote_generate_options", "mote_sampler_options" } do
  fields[struct] = {}
  for _, line in ipairs(api.structs[struct]) do fields[struct][line:match "%S+ (%S+)"] = true end
end

-- Sort options into those of generation and those of sampling.
local function split_options(options)
  local g, s = {}, {}
  for name, value in pairs(options or {}) do
    if name == "logit_bias" then
      if type(value) ~= "table" then return nil, "option logit_bias: expected a table" end
      s.bias_tokens, s.bias_values = {}, {}
      for id, v in pairs(value) do
        s.bias_tokens[#s.bias_tokens + 1] = id
        s.bias_values[#s.bias_values + 1] = v
      end
    elseif fields.mote_sampler_options[name] then
      s[name] = value
    elseif fields.mote_generate_options[name] then
      g[name] = value
    else
      return nil, "there is no option " .. tostring(name)
    end
  end
  return g, s
end

-- Generation borrows its schema: one record is a parent of the other while it does.
local function use_schema(session, schema)
  local parents = session.record.parents
  local old = parents[2]
  parents[2] = schema and schema.record or nil
  session.schema = schema
  if schema then schema.record.children = schema.record.children + 1 end
  if old then
    old.children = old.children - 1
    drop(old)
  end
end

--- Choose a token from the logits at the end, without appending it. Options: of the sampler.
function Session:sample(options)
  local g, s = split_options(options)
  if not g then return refused(s) end
  local name = next(g)
  if name then return refused("there is no option " .. name .. " for sample()") end
  return call(self, "mote_session_sample", s)
end

local channels = { [0] = "content", "reasoning", "tool" }
local stops = { "eos", "length", "stop", "context", "schema" }
local advance = lib.mote_session_next

-- What runs for every token.
local function next_piece(session)
  local r = session.record
  if r.closing or r.calls > 0 then return usable(session) end
  r.calls = 1
  local ok, piece, message, code = pcall(advance, r.handle)
  r.calls = 0
  if r.closing then drop(r) end
  if not ok then error(piece, 0) end
  if not piece then return nil, message, code end
  piece.channel = channels[piece.channel]
  piece.stop = stops[piece.stop]
  return piece
end

--- The next piece; nil, "done", mote.DONE after the last; nil, message, code.
Session.next = next_piece

--- Generate, piece by piece; leaving the loop early is fine. Without a prompt it goes on
--- after the current sequence. Options: max_tokens, temperature, top_k, top_p, min_p, seed,
--- repetition_penalty, presence_penalty, frequency_penalty, penalty_tokens, logit_bias
--- ({[id] = bias}), stop, schema, format, think_tokens_max, starts_in_reasoning, ignore_eos,
--- show_special, seed_from_state.
-- A piece has text, channel ("content", "reasoning", "tool"), tokens, logprobs, tool_name,
-- tool_index and, in the last, stop ("eos", "length", "stop", "context", "schema").
function Session:generate(prompt, options)
  local g, s = split_options(options)
  if not g then return refused(s) end
  local message, code
  local schema = g.schema
  if schema ~= nil and getmetatable(schema) ~= Schema then
    schema, message, code = self.model:schema(schema)
    if not schema then return nil, message, code end
  end
  if schema then
    g.schema, message, code = usable(schema)
    if not g.schema then return nil, message, code end
  end
  if g.format ~= nil then
    local format
    format, message, code = as_format(g.format)
    if not format then return nil, message, code end
    g.format = format.handle
  end
  local ok
  if prompt ~= nil then
    ok, message, code = self:prompt(prompt)
    if not ok then return nil, message, code end
  end
  ok, message, code = call(self, "mote_session_generate", g, s)
  if not ok then return nil, message, code end
  use_schema(self, schema)
  local generation = self.generation + 1
  self.generation = generation
  return function()
    if self.generation ~= generation then return nil end -- a later generate() took over
    local piece, why, status = next_piece(self)
    if piece then return piece end
    if status ~= K.DONE then
      error(setmetatable({ message = why, code = status }, failure), 0)
    end
  end
end

local Reply = {}
Reply.__index = Reply
function Reply.__tostring(reply) return reply.content end

--- As a message to append to a conversation.
function Reply:message()
  local m = { role = "assistant", content = self.content }
  if #self.tool_calls > 0 then
    m.tool_calls = {}
    for i, c in ipairs(self.tool_calls) do
      m.tool_calls[i] = { type = "function",
        ["function"] = { name = c.name, arguments = c.arguments } }
    end
  end
  return m
end

-- A whole reply from its pieces.
local function gather(session)
  local content, reasoning, arguments = {}, {}, {}
  local reply = setmetatable({ tool_calls = {}, tokens = {} }, Reply)
  while true do
    local piece, message, code = session:next()
    if not piece then
      if code ~= K.DONE then return nil, message, code end
      break
    end
    for _, id in ipairs(piece.tokens) do reply.tokens[#reply.tokens + 1] = id end
    reply.stop = piece.stop or reply.stop
    if piece.channel == "tool" then
      local i = piece.tool_index + 1
      if not reply.tool_calls[i] then
        reply.tool_calls[i] = { name = piece.tool_name or "" }
        arguments[i] = {}
      end
      table.insert(arguments[i], piece.text)
    else
      table.insert(piece.channel == "reasoning" and reasoning or content, piece.text)
    end
  end
  reply.content, reply.reasoning = table.concat(content), table.concat(reasoning)
  for i, c in ipairs(reply.tool_calls) do c.arguments = table.concat(arguments[i]) end
  return reply
end

--- Answer a conversation {{role = "user", content = "Hello"}} (or its JSON). What earlier
--- calls computed is reused where the messages begin the same. Options: those of generate(),
--- tools, think, keep_reasoning, format (a name or a format), stream (an iterator of pieces
--- instead of a reply with content, reasoning, tool_calls, tokens, stop and message()).
function Session:chat(messages, options)
  local o = copy(options)
  local format, message, code
  if o.format ~= nil then
    format, message, code = as_format(o.format)
  else
    format, message, code = self.model:format()
  end
  if not format then return nil, message, code end
  local tokenizer, ids, pieces
  tokenizer, message, code = self.model:tokenizer()
  if not tokenizer then return nil, message, code end
  ids, message, code = format:render(tokenizer, messages, o)
  if not ids then return nil, message, code end
  local stream = o.stream
  o.tools, o.think, o.keep_reasoning, o.stream, o.format = nil, nil, nil, nil, format
  pieces, message, code = self:generate(ids, o)
  if not pieces then return nil, message, code end
  return stream and pieces or gather(self)
end

--- Counts and times since the session was made.
function Session:stats() return ask(self, "mote_session_get_stats") end

--- Snapshot to a file, or (without a path) as a string.
function Session:save(path)
  if path == nil then return call(self, "mote_session_save") end
  return call(self, "mote_session_save_file", path)
end
--- Load a snapshot from a file; on any error nothing changes.
function Session:load(path) return call(self, "mote_session_load_file", path) end
--- Load a snapshot from a string.
function Session:load_string(snapshot) return call(self, "mote_session_load", snapshot) end

-- ---- packs ----------------------------------------------------------------------------

local function pack_call(options, f)
  local o, id = with_progress(options)
  local ok, message, code = f(o, id)
  if id then lib.release(id) end
  return ok, message, code
end

--- Write a pack. Options: type, expert_type ("keep", "bf16", "fp8", "int8", "int4"),
--- zstd_level, importance, progress.
function mote.pack(checkpoint, path, options)
  return pack_call(options, function(o) return lib.mote_pack_write(checkpoint, path, o) end)
end
--- Check every checksum of a pack. Options: progress.
function mote.verify_pack(path, options)
  return pack_call(options, function(_, id) return lib.mote_pack_verify(path, id) end)
end
--- Write how much each matrix column matters for a text, for pack()'s importance.
function mote.calibrate(checkpoint, text, path, options)
  return pack_call(options,
    function(_, id) return lib.mote_pack_calibrate(checkpoint, text, path, id) end)
end

--- Options of a kind ("model", "session", "sampler", "generate", "pack"):
--- {{name=, type=, values=, sentence=}, ...}.
function mote.options(kind)
  local number = K["OPTIONS_" .. tostring(kind):upper()]
  if not number then return refused("there are no options of " .. tostring(kind)) end
  local out = {}
  while true do
    local name, type_name, values, sentence = lib.mote_options_describe(number, #out)
    if not name then return out end
    out[#out + 1] = { name = name, type = type_name, values = values, sentence = sentence }
  end
end

return mote
