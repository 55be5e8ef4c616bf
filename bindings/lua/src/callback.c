/* SPDX-License-Identifier: MIT */
/* Progress callbacks: one libffi closure per library; the user pointer is the id of a
 * Lua function. An id that was released is passed over, so nothing dangles. A Lua error
 * never crosses the library: it is kept, the call is cancelled, and the caller gets it.
 */
#include "core.h"

#include <string.h>

typedef struct progress_call {
    mlua_library *lib;
    int id;
    const char *stage;
    uint64_t done;
    uint64_t total;
    int32_t stop;
} progress_call;

/* Runs protected: everything here may raise. */
static int run_progress(lua_State *L)
{
    progress_call *c = lua_touserdata(L, -1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->lib->callbacks);
    int callbacks = lua_gettop(L);
    lua_rawgeti(L, callbacks, c->id);
    if (lua_isnil(L, -1))
        return 0;
    lua_pushstring(L, c->stage);
    mlua__push_u64(L, c->done);
    mlua__push_u64(L, c->total);
    if (lua_pcall(L, 3, 1, 0) == 0) {
        c->stop = lua_toboolean(L, -1);
        return 0;
    }
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushliteral(L, "error in a progress callback");
    }
    lua_rawseti(L, callbacks, 0);
    c->lib->raised = 1;
    c->stop = 1;
    return 0;
}

static void progress_entry(ffi_cif *cif, void *result, void **arguments, void *user)
{
    (void)cif;
    progress_call c = {.lib = user, .stop = 0};
    lua_State *L = c.lib->L;
    void *id;
    memcpy(&id, arguments[0], sizeof id);
    memcpy(&c.stage, arguments[1], sizeof c.stage);
    memcpy(&c.done, arguments[2], sizeof c.done);
    memcpy(&c.total, arguments[3], sizeof c.total);
    c.id = (int)(intptr_t)id;
    if (L && lua_checkstack(L, 4)) {
#if LUA_VERSION_NUM < 502
        int failed = lua_cpcall(L, run_progress, &c);
#else
        lua_pushcfunction(L, run_progress);
        lua_pushlightuserdata(L, &c);
        int failed = lua_pcall(L, 1, 0, 0);
#endif
        if (failed) {
            lua_pop(L, 1);
            c.stop = 1;
        }
    }
    *(ffi_sarg *)result = c.stop;
}

static int library_gc(lua_State *L)
{
    mlua_library *lib = lua_touserdata(L, 1);
    if (lib->closure)
        ffi_closure_free(lib->closure);
    lib->closure = NULL;
    return 0;
}

void mlua__closure_open(lua_State *L, mlua_library *lib)
{
    lua_newtable(L); /* metatable of the library, which is on top */
    lua_pushcfunction(L, library_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_newtable(L);
    lib->callbacks = luaL_ref(L, LUA_REGISTRYINDEX);
    lib->next_id = 1;
    lib->closure_types[0] = lib->closure_types[1] = &ffi_type_pointer;
    lib->closure_types[2] = lib->closure_types[3] = &ffi_type_uint64;
    lib->closure = ffi_closure_alloc(sizeof *lib->closure, &lib->closure_code);
    if (!lib->closure ||
            ffi_prep_cif(&lib->closure_cif, FFI_DEFAULT_ABI, 4, &ffi_type_sint32,
                    lib->closure_types) != FFI_OK ||
            ffi_prep_closure_loc(lib->closure, &lib->closure_cif, progress_entry, lib,
                    lib->closure_code) != FFI_OK)
        luaL_error(L, "libffi cannot make closures here");
}

int mlua__callback(lua_State *L)
{
    mlua_library *lib = lua_touserdata(L, lua_upvalueindex(1));
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_rawgeti(L, LUA_REGISTRYINDEX, lib->callbacks);
    int id = lib->next_id;
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, id);
    lib->next_id = id == INT32_MAX ? 1 : id + 1;
    lua_pushinteger(L, id);
    return 1;
}

int mlua__release(lua_State *L)
{
    mlua_library *lib = lua_touserdata(L, lua_upvalueindex(1));
    lua_rawgeti(L, LUA_REGISTRYINDEX, lib->callbacks);
    lua_pushnil(L);
    lua_rawseti(L, -2, (int)luaL_checkinteger(L, 1));
    return 0;
}
