/* SPDX-License-Identifier: MIT */
/* mote.core: calls into libmote from Lua through libffi, as the table mote/api.lua
 * says. The C code knows no function or struct of the library by heart (but for the
 * frozen mote_error and mote_options_set_text()): what is added to the headers is added
 * to the table. mote/jit.lua does the same with LuaJIT's own ffi.
 *
 * How a parameter is taken (mote.lua is the only caller):
 *   i32 u32 u64 f32 f64 size  a number
 *   string                    a string without NUL, or nil
 *   bytes                     a string or nil, passed as pointer and length
 *   ids                       an array of token ids, passed as pointer and count
 *   handle:T                  a handle; closed ones are refused
 *   options:T                 a table by option name, or nil
 *   callback                  what callback() gave, or nil, passed with its user
 * pointer and what is returned, in order, instead of being passed: out:T fill:T a
 * handle; a struct as a table get_i32 get_u64 get_string    a value get_bytes get_blob
 * get_ids    a buffer of the right size as a string or an array get_floats takes the
 * count, returns a `floats` object get_view, length          pointer and length as a
 * string err                       makes errors nil, message, code
 *
 * Everything temporary is a Lua userdata, so that a Lua error anywhere frees it. */
#ifndef MOTE_LUA_CORE_H
#define MOTE_LUA_CORE_H

#include <ffi.h>
#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>
#include <stdint.h>

#define MLUA_HANDLE "mote.handle"
#define MLUA_FLOATS "mote.floats"

enum {
    MLUA_NAME_MAX = 48,
    MLUA_PARAMS_MAX = 12, /* per function, as Lua sees them */
    MLUA_ARGS_MAX = 16,   /* per function, as C sees them */
    MLUA_STRUCTS_MAX = 24,
    MLUA_HANDLES_MAX = 24,
    MLUA_FIELDS_MAX = 64,
};

/* Layout frozen by the ABI. */
typedef struct mlua_error {
    int32_t status;
    char message[508];
} mlua_error;

/* Kinds of parameters, results and members; names in describe.c. */
typedef enum mlua_kind {
    MLUA_VOID,
    MLUA_STATUS,
    MLUA_I32,
    MLUA_U32,
    MLUA_U64,
    MLUA_F32,
    MLUA_F64,
    MLUA_SIZE,
    MLUA_STRING,
    MLUA_BYTES,
    MLUA_IDS,
    MLUA_HANDLE_OF,
    MLUA_OPTIONS,
    MLUA_CALLBACK,
    MLUA_OUT,
    MLUA_FILL,
    MLUA_GET_I32,
    MLUA_GET_U64,
    MLUA_GET_STRING,
    MLUA_GET_BYTES,
    MLUA_GET_BLOB,
    MLUA_GET_IDS,
    MLUA_GET_FLOATS,
    MLUA_GET_VIEW,
    MLUA_VIEW,
    MLUA_LENGTH,
    MLUA_ERR,
    /* members only */
    MLUA_STRINGS,
    MLUA_FLOAT_ARRAY,
    MLUA_POINTER,
    MLUA_CHAR,
    MLUA_HASH,
    MLUA_KINDS
} mlua_kind;

/* A parameter or result: its kind, and for handles and structs which. */
typedef struct mlua_param {
    mlua_kind kind;
    uint32_t type;
} mlua_param;

/* A member of a struct. Small: those of a piece are looked at for every token. */
typedef struct mlua_field {
    mlua_param type;
    uint32_t offset;
    uint32_t count;   /* of a fixed array; else 0 */
    int32_t count_in; /* member that counts what this one points to, or -1 */
    uint8_t counts;   /* 1: counts another member, not set from Lua */
    uint8_t shown;    /* 1: a member of the table that Lua gets */
} mlua_field;

typedef struct mlua_struct {
    char name[MLUA_NAME_MAX];
    int32_t option_kind; /* MOTE_OPTIONS_..., or 0 */
    uint32_t size;
    uint32_t n_fields;
    uint32_t n_shown; /* of them, those that Lua sees when it is pushed */
    int strings;      /* registry reference: names as Lua strings, from 1 */
    mlua_field fields[MLUA_FIELDS_MAX];
    char names[MLUA_FIELDS_MAX][MLUA_NAME_MAX];
} mlua_struct;

typedef struct mlua_function {
    char name[MLUA_NAME_MAX];
    void (*address)(void); /* NULL: the library is older than the table */
    mlua_param result;
    uint32_t n_params;
    mlua_param params[MLUA_PARAMS_MAX];
    int32_t closes; /* 1: the handle is gone afterwards */
    ffi_cif cif;
    ffi_type *types[MLUA_ARGS_MAX];
} mlua_function;

/* One loaded library, in one Lua state. */
typedef struct mlua_library {
    lua_State *L; /* inside a call: whose */
    int32_t (*set_text)(int32_t kind, void *options, const char *name,
            const char *value, mlua_error *err);
    int callbacks; /* registry reference: functions by id, an error at 0 */
    int next_id;
    int raised; /* 1: a callback of the call under way raised what stands at 0 */
    ffi_closure *closure;
    void *closure_code;
    ffi_cif closure_cif;
    ffi_type *closure_types[4];
    const void *handle_metatable; /* its address */
    uint32_t n_handles;
    uint32_t n_structs;
    char handles[MLUA_HANDLES_MAX][MLUA_NAME_MAX];
    mlua_struct structs[MLUA_STRUCTS_MAX];
} mlua_library;

/* A pointer of the library, with its type; NULL once closed. */
typedef struct mlua_handle {
    void *pointer;
    uint32_t type;
} mlua_handle;

/* Logits: indexed from 0, by token id. */
typedef struct mlua_floats {
    size_t n;
    float values[];
} mlua_floats;

/* describe.c: fill lib from the table at `index`. */
void mlua__describe(lua_State *L, int index, mlua_library *lib);
/* describe.c: parse "kind" or "kind:type". */
mlua_param mlua__param(lua_State *L, const mlua_library *lib, const char *text);

/* call.c: a Lua function of upvalues (function, library). */
int mlua__call(lua_State *L);
/* call.c: the C types of a described function. */
void mlua__prepare(lua_State *L, mlua_function *f);

/* struct.c: a new struct (on top of the stack) set from the table at `index`, nil: zero
 * but for its size. NULL with err filled when an option is refused; then nothing is
 * pushed. What the struct borrows stays on the stack until it is done with. */
void *mlua__options(lua_State *L, mlua_library *lib, const mlua_struct *s, int index,
        mlua_error *err);
/* struct.c: push a struct as a table. */
void mlua__push_struct(lua_State *L, const mlua_struct *s, const unsigned char *data);
/* struct.c: the ids of the array at `index`, as a userdata on top of the stack. */
int32_t *mlua__ids(lua_State *L, int index, size_t *n);
void mlua__push_ids(lua_State *L, const int32_t *ids, size_t n);
void mlua__push_u64(lua_State *L, uint64_t value);

/* handle.c: push a new handle; its pointer may be filled later. */
mlua_handle *mlua__push_handle(lua_State *L, uint32_t type, void *pointer);
void *mlua__handle(lua_State *L, const mlua_library *lib, int index, uint32_t type);
mlua_floats *mlua__push_floats(lua_State *L, size_t n);
void mlua__metatables(lua_State *L);

/* callback.c */
void mlua__closure_open(lua_State *L, mlua_library *lib);
int mlua__callback(lua_State *L); /* function -> id, upvalue: library */
int mlua__release(lua_State *L);  /* id, upvalue: library */

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#endif

#endif
