/* SPDX-License-Identifier: MIT */
/* Structs between Lua tables and C memory: options go in, descriptions and pieces come
 * out. */
#include "core.h"

#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

void mlua__push_u64(lua_State *L, uint64_t value)
{
#if LUA_VERSION_NUM >= 503
    lua_pushinteger(L, (lua_Integer)value);
#else
    lua_pushnumber(L, (lua_Number)value);
#endif
}

void mlua__push_ids(lua_State *L, const int32_t *ids, size_t n)
{
    lua_createtable(L, n < INT32_MAX ? (int)n : 0, 0);
    for (size_t i = 0; i < n; i++) {
        lua_pushinteger(L, ids[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

int32_t *mlua__ids(lua_State *L, int index, size_t *n)
{
    if (lua_type(L, index) != LUA_TTABLE)
        luaL_error(L, "bad argument #%d: expected an array of token ids", index);
    size_t count = lua_rawlen(L, index);
    if (count > INT32_MAX)
        luaL_error(L, "bad argument #%d: too many tokens", index);
    int32_t *ids = lua_newuserdata(L, (count + 1) * sizeof *ids);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        lua_Number v = lua_tonumber(L, -1);
        if (lua_type(L, -1) != LUA_TNUMBER || !(v >= INT32_MIN && v <= INT32_MAX) ||
                v != (lua_Number)(int32_t)v)
            luaL_error(L, "token %d is not a token id", (int)i + 1);
        ids[i] = (int32_t)v;
        lua_pop(L, 1);
    }
    *n = count;
    return ids;
}

/* ---- in -------------------------------------------------------------------------- */

static void refuse(mlua_error *err, const char *name, const char *what)
{
    err->status = -1; /* MOTE_E_INVALID */
    snprintf(err->message, sizeof err->message, "option %.60s: %s", name, what);
}

/* The text of a scalar option, with a point whatever the host's locale. */
static const char *option_text(lua_State *L, int index, char *buffer, size_t size)
{
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        return lua_toboolean(L, index) ? "1" : "0";
    case LUA_TSTRING:
        return lua_tostring(L, index);
    case LUA_TNUMBER:
        break;
    default:
        return NULL;
    }
    lua_Number v = lua_tonumber(L, index);
#if LUA_VERSION_NUM >= 503
    if (lua_isinteger(L, index)) {
        snprintf(buffer, size, "%lld", (long long)lua_tointeger(L, index));
        return buffer;
    }
#endif
    if (v > -9e15 && v < 9e15 && v == (lua_Number)(int64_t)v) {
        snprintf(buffer, size, "%" PRId64, (int64_t)v);
        return buffer;
    }
    snprintf(buffer, size, "%.9g", (double)v);
    const char *point = localeconv()->decimal_point;
    char *at = point && *point ? strstr(buffer, point) : NULL;
    if (at) {
        size_t n = strlen(point);
        *at = '.';
        memmove(at + 1, at + n, strlen(at + n) + 1);
    }
    return buffer;
}

/* Point a member at an array made from the value at `value`; the array stays on the
 * stack. Returns its length, or -1 for a value of the wrong kind. */
static int64_t option_array(lua_State *L, mlua_kind kind, int value, void *member)
{
    const void *array;
    size_t n = 1;
    if (kind == MLUA_STRINGS) {
        if (lua_type(L, value) == LUA_TTABLE)
            n = lua_rawlen(L, value);
        else if (lua_type(L, value) != LUA_TSTRING)
            return -1;
        if (n > 65536)
            return -1;
        const char **texts = lua_newuserdata(L, (n + 1) * sizeof *texts);
        for (size_t i = 0; i < n; i++) {
            if (lua_type(L, value) == LUA_TTABLE)
                lua_rawgeti(L, value, (int)i + 1);
            else
                lua_pushvalue(L, value);
            size_t length;
            texts[i] = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length)
                                                      : NULL;
            if (!texts[i] || strlen(texts[i]) != length)
                return -1;
            lua_pop(L, 1); /* the table, which the caller holds, keeps the text */
        }
        array = texts;
    } else if (lua_type(L, value) != LUA_TTABLE) {
        return -1;
    } else if (kind == MLUA_IDS) {
        array = mlua__ids(L, value, &n);
    } else {
        n = lua_rawlen(L, value);
        if (n > INT32_MAX)
            return -1;
        float *floats = lua_newuserdata(L, (n + 1) * sizeof *floats);
        for (size_t i = 0; i < n; i++) {
            lua_rawgeti(L, value, (int)i + 1);
            if (lua_type(L, -1) != LUA_TNUMBER)
                return -1;
            floats[i] = (float)lua_tonumber(L, -1);
            lua_pop(L, 1);
        }
        array = floats;
    }
    memcpy(member, &array, sizeof array);
    return (int64_t)n;
}

static const mlua_field *find_field(const mlua_struct *s, const char *name)
{
    for (uint32_t i = 1; i < s->n_fields; i++) /* not struct_size */
        if (strcmp(s->names[i], name) == 0)
            return &s->fields[i];
    return NULL;
}

/* One option: 0, or -1 with err filled. Arrays stay on the stack. */
static int set_option(lua_State *L, mlua_library *lib, const mlua_struct *s,
        unsigned char *data, const char *name, int value, mlua_error *err)
{
    const mlua_field *f = find_field(s, name);
    unsigned char *member = f ? data + f->offset : NULL;
    void *pointer;
    char buffer[64];
    switch (f ? f->type.kind : MLUA_KINDS) {
    case MLUA_I32:
    case MLUA_U32:
    case MLUA_U64:
    case MLUA_F32:
    case MLUA_STRING:
    case MLUA_KINDS: { /* of an unknown name the library says so */
        const char *text = option_text(L, value, buffer, sizeof buffer);
        if (f && f->counts)
            text = NULL;
        if (!text) {
            refuse(err, name, "expected a number, a boolean or a name");
            return -1;
        }
        return lib->set_text(s->option_kind, data, name, text, err) < 0 ? -1 : 0;
    }
    case MLUA_STRINGS:
    case MLUA_IDS:
    case MLUA_FLOAT_ARRAY: {
        int64_t n = option_array(L, f->type.kind, value, member);
        if (n < 0) {
            refuse(err, name, "expected an array of the right kind");
            return -1;
        }
        uint32_t count = (uint32_t)n;
        memcpy(data + s->fields[f->count_in].offset, &count, sizeof count);
        return 0;
    }
    case MLUA_HANDLE_OF:
        pointer = mlua__handle(L, lib, value, f->type.type);
        memcpy(member, &pointer, sizeof pointer);
        return 0;
    case MLUA_CALLBACK: /* its user pointer is the next member */
        pointer = lib->closure_code;
        memcpy(member, &pointer, sizeof pointer);
        pointer = (void *)(intptr_t)luaL_checkinteger(L, value);
        memcpy(data + f[1].offset, &pointer, sizeof pointer);
        return 0;
    default:
        refuse(err, name, "there is none of this name for Lua");
        return -1;
    }
}

void *mlua__options(lua_State *L, mlua_library *lib, const mlua_struct *s, int index,
        mlua_error *err)
{
    unsigned char *data = lua_newuserdata(L, s->size);
    memset(data, 0, s->size);
    memcpy(data, &s->size, sizeof s->size);
    if (lua_isnoneornil(L, index))
        return data;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushnil(L);
    for (;;) {
        luaL_checkstack(L, 8, "options");
        if (!lua_next(L, index))
            return data;
        int key = lua_gettop(L) - 1;
        if (lua_type(L, key) != LUA_TSTRING) {
            refuse(err, "names", "expected strings");
            return NULL;
        }
        if (set_option(L, lib, s, data, lua_tostring(L, key), key + 1, err) < 0)
            return NULL;
        lua_pushvalue(L, key); /* for lua_next(); what was made stays below it */
    }
}

/* ---- out ------------------------------------------------------------------------- */

static uint32_t count_of(
        const mlua_struct *s, const mlua_field *f, const unsigned char *data)
{
    uint32_t n;
    memcpy(&n, data + s->fields[f->count_in].offset, sizeof n);
    return n;
}

/* Push one member. `member` may be one of a fixed array. */
static void push_member(lua_State *L, const mlua_struct *s, const mlua_field *f,
        const unsigned char *data, const unsigned char *member)
{
    union {
        int32_t i32;
        uint32_t u32;
        uint64_t u64;
        float f32;
        const void *pointer;
    } v;
    char hex[20];
    switch (f->type.kind) {
    case MLUA_I32:
        memcpy(&v.i32, member, 4);
        lua_pushinteger(L, v.i32);
        return;
    case MLUA_U32:
        memcpy(&v.u32, member, 4);
        mlua__push_u64(L, v.u32);
        return;
    case MLUA_F32:
        memcpy(&v.f32, member, 4);
        lua_pushnumber(L, (lua_Number)v.f32);
        return;
    case MLUA_U64:
        memcpy(&v.u64, member, 8);
        mlua__push_u64(L, v.u64);
        return;
    case MLUA_HASH: /* more bits than a Lua number always has */
        memcpy(&v.u64, member, 8);
        snprintf(hex, sizeof hex, "%016" PRIx64, v.u64);
        lua_pushstring(L, hex);
        return;
    default:
        break;
    }
    memcpy(&v.pointer, member, sizeof v.pointer);
    uint32_t n = f->count_in >= 0 ? count_of(s, f, data) : 0;
    switch (f->type.kind) {
    case MLUA_BYTES:
        lua_pushlstring(L, v.pointer ? v.pointer : "", v.pointer ? n : 0);
        return;
    case MLUA_STRING:
        lua_pushstring(L, v.pointer); /* NULL: nil */
        return;
    case MLUA_IDS:
        mlua__push_ids(L, v.pointer, v.pointer ? n : 0);
        return;
    case MLUA_FLOAT_ARRAY:
        n = v.pointer ? n : 0;
        lua_createtable(L, (int)n, 0);
        for (uint32_t i = 0; i < n; i++) {
            lua_pushnumber(L, (lua_Number)((const float *)v.pointer)[i]);
            lua_rawseti(L, -2, (int)i + 1);
        }
        return;
    default:
        lua_pushnil(L);
        return;
    }
}

void mlua__push_struct(lua_State *L, const mlua_struct *s, const unsigned char *data)
{
    lua_createtable(L, 0, (int)s->n_shown);
    int table = lua_gettop(L), names = table + 1;
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->strings);
    for (uint32_t i = 1; i < s->n_fields; i++) { /* not struct_size */
        const mlua_field *f = &s->fields[i];
        if (!f->shown)
            continue;
        lua_rawgeti(L, names, (int)i + 1);
        if (f->count && f->type.kind == MLUA_U64) {
            lua_createtable(L, (int)f->count, 0);
            for (uint32_t k = 0; k < f->count; k++) {
                push_member(L, s, f, data, data + f->offset + 8 * (size_t)k);
                lua_rawseti(L, -2, (int)k + 1);
            }
        } else {
            push_member(L, s, f, data, data + f->offset);
        }
        lua_rawset(L, table); /* nil: nothing */
    }
    lua_settop(L, table);
}
