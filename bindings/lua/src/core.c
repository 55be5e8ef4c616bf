/* SPDX-License-Identifier: MIT */
/* The module: open(api, path) loads the library and gives a table of its functions. */
#include "core.h"

#include <string.h>

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#if defined(_WIN32)
#define MLUA_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define MLUA_EXPORT __attribute__((visibility("default")))
#else
#define MLUA_EXPORT
#endif

typedef void (*address_fn)(void);

/* The library at path, or (NULL) what the process has already. NULL: a message is
 * pushed. It stays loaded: its threads may outlive this state. */
static void *load(lua_State *L, const char *path)
{
#ifdef _WIN32
    void *found = path ? (void *)LoadLibraryA(path) : (void *)GetModuleHandleA(NULL);
    if (!found)
        lua_pushfstring(
                L, "%s: error %d", path ? path : "the program", (int)GetLastError());
#else
    void *found = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!found) {
        const char *why = dlerror();
        lua_pushstring(L, why ? why : "not found");
    }
#endif
    return found;
}

static address_fn find(void *library, const char *name)
{
    address_fn f;
#ifdef _WIN32
    FARPROC p = GetProcAddress((HMODULE)library, name);
#else
    void *p = dlsym(library, name);
#endif
    _Static_assert(sizeof f == sizeof p, "function pointers are pointers");
    memcpy(&f, &p, sizeof f);
    return f;
}

/* Add the function described on top of the stack to the table at `out`. */
static void bind(lua_State *L, void *loaded, int library, int out, const char *name)
{
    mlua_library *lib = lua_touserdata(L, library);
    int list = lua_gettop(L);
    luaL_checktype(L, list, LUA_TTABLE);
    size_t n = lua_rawlen(L, list);
    mlua_function *f = lua_newuserdata(L, sizeof *f);
    memset(f, 0, sizeof *f);
    if (strlen(name) >= MLUA_NAME_MAX || n < 1 || n > MLUA_PARAMS_MAX + 1)
        luaL_error(L, "mote.api: %s does not fit", name);
    strcpy(f->name, name);
    f->address = find(loaded, name);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, list, (int)i + 1);
        mlua_param p = mlua__param(L, lib, luaL_checkstring(L, -1));
        lua_pop(L, 1);
        if (i == 0)
            f->result = p;
        else
            f->params[f->n_params++] = p;
    }
    size_t length = strlen(name);
    f->closes = f->result.kind == MLUA_VOID && f->n_params == 1 &&
                f->params[0].kind == MLUA_HANDLE_OF && length > 6 &&
                strcmp(name + length - 6, "_close") == 0;
    mlua__prepare(L, f);
    lua_pushvalue(L, library);
    lua_pushcclosure(L, mlua__call, 2);
    lua_setfield(L, out, name);
}

/* layout(struct) -> {{name, offset}, ..., size=}: for the tests. Upvalue: library. */
static int layout(lua_State *L)
{
    mlua_library *lib = lua_touserdata(L, lua_upvalueindex(1));
    const char *name = luaL_checkstring(L, 1);
    for (uint32_t i = 0; i < lib->n_structs; i++) {
        const mlua_struct *s = &lib->structs[i];
        if (strcmp(s->name, name) != 0)
            continue;
        lua_newtable(L);
        for (uint32_t k = 0; k < s->n_fields; k++) {
            lua_pushinteger(L, (lua_Integer)s->fields[k].offset);
            lua_setfield(L, -2, s->names[k]);
        }
        lua_newtable(L);
        lua_pushinteger(L, (lua_Integer)s->size);
        lua_setfield(L, -2, "size");
        return 2;
    }
    return 0;
}

/* open(api [, path]) -> functions by name; or nil, message. */
static int core_open(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *path = luaL_optstring(L, 2, NULL);
    lua_settop(L, 2);
    void *loaded = load(L, path);
    if (!loaded) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    address_fn set_text = find(loaded, "mote_options_set_text");
    if (!set_text) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s: not the mote library", path ? path : "the program");
        return 2;
    }
    mlua_library *lib = lua_newuserdata(L, sizeof *lib);
    int library = lua_gettop(L);
    memset(lib, 0, sizeof *lib);
    memcpy(&lib->set_text, &set_text, sizeof set_text);
    luaL_getmetatable(L, MLUA_HANDLE);
    lib->handle_metatable = lua_topointer(L, -1);
    lua_pop(L, 1);
    mlua__closure_open(L, lib);
    mlua__describe(L, 1, lib);

    lua_newtable(L);
    int out = lua_gettop(L);
    lua_getfield(L, 1, "functions");
    luaL_checktype(L, -1, LUA_TTABLE);
    int functions = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, functions); lua_settop(L, functions + 1)) {
        luaL_checktype(L, -2, LUA_TSTRING);
        bind(L, loaded, library, out, lua_tostring(L, -2));
    }
    static const luaL_Reg more[] = {{"callback", mlua__callback},
            {"release", mlua__release}, {"layout", layout}, {NULL, NULL}};
    for (const luaL_Reg *r = more; r->name; r++) {
        lua_pushvalue(L, library);
        lua_pushcclosure(L, r->func, 1);
        lua_setfield(L, out, r->name);
    }
    lua_settop(L, out);
    return 1;
}

MLUA_EXPORT int luaopen_mote_core(lua_State *L);
MLUA_EXPORT int luaopen_mote_core(lua_State *L)
{
    mlua__metatables(L);
    lua_newtable(L);
    lua_pushcfunction(L, core_open);
    lua_setfield(L, -2, "open");
    return 1;
}
