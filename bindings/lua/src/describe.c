/* SPDX-License-Identifier: MIT */
/* mote/api.lua as C structs: kinds by name, layouts of structs as the C compiler has
 * them. */
#include "core.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    mlua_kind kind;
} kinds[] = {
        {"void", MLUA_VOID},
        {"status", MLUA_STATUS},
        {"i32", MLUA_I32},
        {"u32", MLUA_U32},
        {"u64", MLUA_U64},
        {"f32", MLUA_F32},
        {"f64", MLUA_F64},
        {"size", MLUA_SIZE},
        {"string", MLUA_STRING},
        {"bytes", MLUA_BYTES},
        {"ids", MLUA_IDS},
        {"handle", MLUA_HANDLE_OF},
        {"options", MLUA_OPTIONS},
        {"callback", MLUA_CALLBACK},
        {"out", MLUA_OUT},
        {"fill", MLUA_FILL},
        {"get_i32", MLUA_GET_I32},
        {"get_u64", MLUA_GET_U64},
        {"get_string", MLUA_GET_STRING},
        {"get_bytes", MLUA_GET_BYTES},
        {"get_blob", MLUA_GET_BLOB},
        {"get_ids", MLUA_GET_IDS},
        {"get_floats", MLUA_GET_FLOATS},
        {"get_view", MLUA_GET_VIEW},
        {"view", MLUA_VIEW},
        {"length", MLUA_LENGTH},
        {"err", MLUA_ERR},
        {"strings", MLUA_STRINGS},
        {"floats", MLUA_FLOAT_ARRAY},
        {"pointer", MLUA_POINTER},
        {"char", MLUA_CHAR},
        {"hash", MLUA_HASH},
};

mlua_param mlua__param(lua_State *L, const mlua_library *lib, const char *text)
{
    mlua_param p = {MLUA_KINDS, 0};
    size_t length = strcspn(text, ":");
    const char *type = text[length] ? text + length + 1 : NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strlen(kinds[i].name) == length && memcmp(kinds[i].name, text, length) == 0)
            p.kind = kinds[i].kind;
    int is_handle = p.kind == MLUA_HANDLE_OF || p.kind == MLUA_OUT;
    uint32_t n = is_handle ? lib->n_handles : lib->n_structs;
    if (type)
        while (p.type < n && strcmp(type, is_handle ? lib->handles[p.type]
                                                    : lib->structs[p.type].name) != 0)
            p.type++;
    if (p.kind == MLUA_KINDS || (type && p.type == n))
        luaL_error(L, "mote.api: unknown kind '%s'", text);
    return p;
}

struct align_u64 {
    char c;
    uint64_t value;
};

/* Size and alignment of a member. */
static void measure(mlua_kind kind, size_t *size, size_t *align)
{
    switch (kind) {
    case MLUA_I32:
    case MLUA_U32:
    case MLUA_F32:
        *size = *align = 4;
        break;
    case MLUA_U64:
    case MLUA_HASH:
        *size = 8;
        *align = offsetof(struct align_u64, value);
        break;
    case MLUA_CHAR:
        *size = *align = 1;
        break;
    default:
        *size = *align = sizeof(void *);
        break;
    }
}

static void copy_name(lua_State *L, char *to, const char *from)
{
    if (!from || strlen(from) >= MLUA_NAME_MAX)
        luaL_error(L, "mote.api: a name is missing or too long");
    strcpy(to, from);
}

static void describe_struct(lua_State *L, int index, mlua_library *lib, mlua_struct *s)
{
    size_t end = 0, widest = 1, n = lua_rawlen(L, index);
    if (n > MLUA_FIELDS_MAX)
        luaL_error(L, "mote.api: %s has too many members", s->name);
    for (size_t i = 0; i < n; i++) {
        char kind[64], name[64], extra[64] = "";
        mlua_field *f = &s->fields[i];
        lua_rawgeti(L, index, (int)i + 1);
        const char *line = lua_tostring(L, -1);
        if (!line || sscanf(line, "%63s %63s %63s", kind, name, extra) < 2)
            luaL_error(L, "mote.api: a member of %s is damaged", s->name);
        copy_name(L, s->names[i], name);
        f->shown = i > 0 && strcmp(name, "reserved") != 0;
        f->type = mlua__param(L, lib, kind);
        f->count_in = -1;
        if (extra[0] >= '0' && extra[0] <= '9') {
            f->count = 0;
            for (const char *c = extra; *c >= '0' && *c <= '9' && f->count < 10000; c++)
                f->count = f->count * 10 + (uint32_t)(*c - '0');
        } else if (extra[0]) {
            for (size_t k = 0; k < i; k++)
                if (strcmp(s->names[k], extra) == 0) {
                    f->count_in = (int32_t)k;
                    s->fields[k].counts = 1;
                    s->fields[k].shown = 0;
                }
            if (f->count_in < 0)
                luaL_error(L, "mote.api: what counts %s.%s?", s->name, name);
        }
        lua_pop(L, 1);
        size_t size, align;
        measure(f->type.kind, &size, &align);
        end = (end + align - 1) / align * align;
        f->offset = (uint32_t)end;
        end += size * (f->count ? f->count : 1);
        widest = align > widest ? align : widest;
    }
    s->n_fields = (uint32_t)n;
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        s->n_shown += s->fields[i].shown;
        lua_pushstring(L, s->names[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    s->strings = luaL_ref(L, LUA_REGISTRYINDEX);
    s->size = (uint32_t)((end + widest - 1) / widest * widest);
}

void mlua__describe(lua_State *L, int index, mlua_library *lib)
{
    lua_getfield(L, index, "handles");
    luaL_checktype(L, -1, LUA_TTABLE);
    size_t n = lua_rawlen(L, -1);
    if (n > MLUA_HANDLES_MAX)
        luaL_error(L, "mote.api: too many handles");
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        copy_name(L, lib->handles[i], lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lib->n_handles = (uint32_t)n;
    lua_pop(L, 1);

    lua_getfield(L, index, "option_kinds");
    luaL_checktype(L, -1, LUA_TTABLE);
    int option_kinds = lua_gettop(L);
    lua_getfield(L, index, "structs");
    luaL_checktype(L, -1, LUA_TTABLE);
    int structs = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, structs); lua_pop(L, 1)) {
        if (lib->n_structs == MLUA_STRUCTS_MAX || lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "mote.api: too many structs");
        mlua_struct *s = &lib->structs[lib->n_structs];
        copy_name(L, s->name, lua_tostring(L, -2));
        describe_struct(L, lua_gettop(L), lib, s);
        lua_getfield(L, option_kinds, s->name);
        s->option_kind = (int32_t)lua_tointeger(L, -1);
        lua_pop(L, 1);
        lib->n_structs++;
    }
    lua_pop(L, 2);
}
