/* SPDX-License-Identifier: MIT */
/* Handles and float arrays as Lua sees them. Handles have no finaliser here: mote.lua
 * owns them, since a model must outlive its sessions. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

static void *of_kind(lua_State *L, int index, const char *metatable)
{
    void *p = lua_touserdata(L, index);
    if (!p || !lua_getmetatable(L, index))
        return NULL;
    luaL_getmetatable(L, metatable);
    int same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? p : NULL;
}

mlua_handle *mlua__push_handle(lua_State *L, uint32_t type, void *pointer)
{
    mlua_handle *h = lua_newuserdata(L, sizeof *h);
    h->pointer = pointer;
    h->type = type;
    luaL_getmetatable(L, MLUA_HANDLE);
    lua_setmetatable(L, -2);
    return h;
}

void *mlua__handle(lua_State *L, const mlua_library *lib, int index, uint32_t type)
{
    mlua_handle *h = lua_touserdata(L, index);
    if (h && lua_getmetatable(L, index)) {
        /* by address: no name is looked up for every token */
        if (lua_topointer(L, -1) != lib->handle_metatable)
            h = NULL;
        lua_pop(L, 1);
    } else {
        h = NULL;
    }
    if (!h || h->type != type)
        luaL_error(L, "bad argument #%d: expected a %s", index, lib->handles[type]);
    if (!h->pointer)
        luaL_error(L, "bad argument #%d: the %s is closed", index, lib->handles[type]);
    return h->pointer;
}

mlua_floats *mlua__push_floats(lua_State *L, size_t n)
{
    if (n > (SIZE_MAX - sizeof(mlua_floats)) / sizeof(float))
        luaL_error(L, "too many values");
    mlua_floats *f = lua_newuserdata(L, sizeof *f + n * sizeof(float));
    f->n = n;
    luaL_getmetatable(L, MLUA_FLOATS);
    lua_setmetatable(L, -2);
    return f;
}

static mlua_floats *check_floats(lua_State *L)
{
    mlua_floats *f = of_kind(L, 1, MLUA_FLOATS);
    if (!f)
        luaL_error(L, "bad argument #1: expected floats");
    return f;
}

static int floats_length(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check_floats(L)->n);
    return 1;
}

/* values[id], or a method. */
static int floats_index(lua_State *L)
{
    mlua_floats *f = check_floats(L);
    if (lua_type(L, 2) != LUA_TNUMBER) {
        lua_pushvalue(L, 2);
        lua_rawget(L, lua_upvalueindex(1));
        return 1;
    }
    lua_Number i = lua_tonumber(L, 2);
    if (!(i >= 0 && i < (lua_Number)f->n))
        return 0;
    lua_pushnumber(L, (lua_Number)f->values[(size_t)i]);
    return 1;
}

/* floats:argmax() -> index of the first highest value, value. */
static int floats_argmax(lua_State *L)
{
    mlua_floats *f = check_floats(L);
    if (f->n == 0)
        return 0;
    size_t best = 0;
    for (size_t i = 1; i < f->n; i++)
        if (f->values[i] > f->values[best])
            best = i;
    lua_pushinteger(L, (lua_Integer)best);
    lua_pushnumber(L, (lua_Number)f->values[best]);
    return 2;
}

/* floats:bytes() -> the values as a string of native float32. */
static int floats_bytes(lua_State *L)
{
    mlua_floats *f = check_floats(L);
    lua_pushlstring(L, (const char *)f->values, f->n * sizeof(float));
    return 1;
}

void mlua__metatables(lua_State *L)
{
    luaL_newmetatable(L, MLUA_HANDLE);
    lua_pushliteral(L, "mote handle"); /* hides the metatable */
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);

    luaL_newmetatable(L, MLUA_FLOATS);
    lua_pushcfunction(L, floats_length);
    lua_setfield(L, -2, "__len");
    lua_newtable(L);
    lua_pushcfunction(L, floats_argmax);
    lua_setfield(L, -2, "argmax");
    lua_pushcfunction(L, floats_bytes);
    lua_setfield(L, -2, "bytes");
    lua_pushcclosure(L, floats_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "mote floats");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
