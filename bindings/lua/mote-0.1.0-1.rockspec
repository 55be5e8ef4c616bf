-- SPDX-License-Identifier: MIT
-- luarocks make bindings/lua/mote-0.1.0-1.rockspec, in the project's folder.
package = "mote"
version = "0.1.0-1"
source = { url = "." }
description = {
  summary = "Run DeepSeek-V3-class models from Lua",
  detailed = "Models, tokenizers, sessions, chat and constrained output of the C library mote: "
    .. "a module on libffi for Lua 5.1 to 5.4, and LuaJIT through its own ffi.",
  license = "MIT",
}
dependencies = { "lua >= 5.1, < 5.5" }
external_dependencies = {
  -- No header is named: where it lies differs, and the compiler mostly knows.
  LIBFFI = { library = "ffi" },
}
build = {
  type = "builtin",
  modules = {
    mote = "bindings/lua/mote.lua",
    ["mote.api"] = "bindings/lua/mote/api.lua",
    ["mote.json"] = "bindings/lua/mote/json.lua",
    ["mote.jit"] = "bindings/lua/mote/jit.lua",
    ["mote.core"] = {
      sources = {
        "bindings/lua/src/call.c", "bindings/lua/src/callback.c", "bindings/lua/src/core.c",
        "bindings/lua/src/describe.c", "bindings/lua/src/handle.c", "bindings/lua/src/struct.c",
      },
      defines = { "_GNU_SOURCE" },
      incdirs = { "$(LIBFFI_INCDIR)" },
      libdirs = { "$(LIBFFI_LIBDIR)" },
      libraries = { "ffi" },
    },
  },
  platforms = { linux = { modules = { ["mote.core"] = { libraries = { "ffi", "dl" } } } } },
  copy_directories = { "models" },
}
