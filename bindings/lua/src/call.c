/* SPDX-License-Identifier: MIT */
/* One call: Lua arguments become C arguments, outputs become results. */
#include "core.h"

#include <string.h>

/* What most texts and prompts fit in without asking for the length first. */
enum { QUICK_BYTES = 4096 };

typedef union mlua_value {
    int32_t i32;
    uint32_t u32;
    uint64_t u64;
    float f32;
    double f64;
    size_t size;
    void *pointer;
    const void *borrowed;
    ffi_arg result;
    ffi_sarg signed_result;
} mlua_value;

/* A call under way. */
typedef struct mlua_frame {
    lua_State *L;
    mlua_library *lib;
    const mlua_function *f;
    int next_argument;
    uint32_t n_args;
    mlua_value values[MLUA_ARGS_MAX]; /* C arguments */
    mlua_value outs[MLUA_PARAMS_MAX]; /* what output arguments point at */
    void *made[MLUA_PARAMS_MAX]; /* handle, struct, buffer or floats being filled */
    int at[MLUA_PARAMS_MAX];     /* where it is on the stack */
    size_t capacity[MLUA_PARAMS_MAX];
    uint32_t first_arg[MLUA_PARAMS_MAX];
    mlua_error err;
    int has_filled;
    uint64_t filled[64]; /* the first struct to be filled, where it fits */
    union {
        char bytes[QUICK_BYTES];
        int32_t ids[QUICK_BYTES / sizeof(int32_t)];
    } quick;
} mlua_frame;

static ffi_type *scalar_type(mlua_kind kind)
{
    switch (kind) {
    case MLUA_VOID:
        return &ffi_type_void;
    case MLUA_STATUS:
    case MLUA_I32:
        return &ffi_type_sint32;
    case MLUA_U32:
        return &ffi_type_uint32;
    case MLUA_U64:
        return &ffi_type_uint64;
    case MLUA_F32:
        return &ffi_type_float;
    case MLUA_F64:
        return &ffi_type_double;
    case MLUA_SIZE:
        return sizeof(size_t) == 8 ? &ffi_type_uint64 : &ffi_type_uint32;
    default:
        return &ffi_type_pointer;
    }
}

void mlua__prepare(lua_State *L, mlua_function *f)
{
    ffi_type *size_type = scalar_type(MLUA_SIZE);
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n_params; i++) {
        if (n + 3 > MLUA_ARGS_MAX)
            luaL_error(L, "mote.api: %s has too many arguments", f->name);
        f->types[n++] = scalar_type(f->params[i].kind);
        switch (f->params[i].kind) {
        case MLUA_BYTES:
        case MLUA_IDS:
        case MLUA_GET_FLOATS:
            f->types[n++] = size_type;
            break;
        case MLUA_GET_BYTES:
        case MLUA_GET_BLOB:
        case MLUA_GET_IDS:
            f->types[n++] = size_type;
            f->types[n++] = &ffi_type_pointer;
            break;
        case MLUA_GET_VIEW:
        case MLUA_CALLBACK:
            f->types[n++] = &ffi_type_pointer;
            break;
        default:
            break;
        }
    }
    if (ffi_prep_cif(&f->cif, FFI_DEFAULT_ABI, n, scalar_type(f->result.kind),
                f->types) != FFI_OK)
        luaL_error(L, "libffi cannot call %s", f->name);
}

/* ---- arguments ------------------------------------------------------------------- */

static mlua_value *next_value(mlua_frame *c)
{
    return &c->values[c->n_args++];
}

static double number(mlua_frame *c, double min, double max)
{
    int index = c->next_argument++;
    double v = (double)luaL_checknumber(c->L, index);
    if (!(v >= min && v <= max))
        luaL_error(c->L, "bad argument #%d: %f is out of range", index, v);
    return v;
}

static void bytes_argument(mlua_frame *c)
{
    int index = c->next_argument++;
    size_t n = 0;
    const char *text = NULL;
    if (!lua_isnoneornil(c->L, index)) {
        luaL_checktype(c->L, index, LUA_TSTRING);
        text = lua_tolstring(c->L, index, &n);
    }
    next_value(c)->borrowed = text;
    next_value(c)->size = n;
}

static void string_argument(mlua_frame *c)
{
    int index = c->next_argument++;
    size_t n = 0;
    const char *text = NULL;
    if (!lua_isnoneornil(c->L, index)) {
        luaL_checktype(c->L, index, LUA_TSTRING);
        text = lua_tolstring(c->L, index, &n);
        if (strlen(text) != n)
            luaL_error(
                    c->L, "bad argument #%d: the string contains a zero byte", index);
    }
    next_value(c)->borrowed = text;
}

/* A buffer to fill: the quick one, or none while its length is asked for. */
static void buffer_argument(mlua_frame *c, uint32_t i)
{
    mlua_kind kind = c->f->params[i].kind;
    c->made[i] = kind == MLUA_GET_BLOB ? NULL : &c->quick;
    c->capacity[i] = kind == MLUA_GET_BLOB  ? 0
                     : kind == MLUA_GET_IDS ? QUICK_BYTES / sizeof(int32_t)
                                            : QUICK_BYTES;
    next_value(c)->pointer = c->made[i];
    next_value(c)->size = c->capacity[i];
    next_value(c)->pointer = &c->outs[i].size;
}

/* Take one parameter; -1 with err filled when an option is refused. */
static int take(mlua_frame *c, uint32_t i)
{
    lua_State *L = c->L;
    mlua_param p = c->f->params[i];
    const mlua_struct *s = &c->lib->structs[p.type];
    c->first_arg[i] = c->n_args;
    switch (p.kind) {
    case MLUA_I32:
        next_value(c)->i32 = (int32_t)number(c, INT32_MIN, INT32_MAX);
        break;
    case MLUA_U32:
        next_value(c)->u32 = (uint32_t)number(c, 0, UINT32_MAX);
        break;
    case MLUA_U64:
        next_value(c)->u64 = (uint64_t)number(c, 0, 9007199254740992.0);
        break;
    case MLUA_SIZE:
        next_value(c)->size = (size_t)number(c, 0, (double)(SIZE_MAX / 2 + 1) - 1);
        break;
    case MLUA_F32:
        next_value(c)->f32 = (float)luaL_checknumber(L, c->next_argument++);
        break;
    case MLUA_F64:
        next_value(c)->f64 = (double)luaL_checknumber(L, c->next_argument++);
        break;
    case MLUA_STRING:
        string_argument(c);
        break;
    case MLUA_BYTES:
        bytes_argument(c);
        break;
    case MLUA_IDS: {
        size_t n;
        int32_t *ids = mlua__ids(L, c->next_argument++, &n);
        next_value(c)->pointer = ids;
        next_value(c)->size = n;
        break;
    }
    case MLUA_HANDLE_OF:
        next_value(c)->pointer = mlua__handle(L, c->lib, c->next_argument++, p.type);
        break;
    case MLUA_OPTIONS:
        c->made[i] = mlua__options(L, c->lib, s, c->next_argument++, &c->err);
        if (!c->made[i])
            return -1;
        next_value(c)->pointer = c->made[i];
        break;
    case MLUA_CALLBACK: {
        int index = c->next_argument++;
        int absent = lua_isnoneornil(L, index);
        next_value(c)->pointer = absent ? NULL : c->lib->closure_code;
        next_value(c)->pointer =
                absent ? NULL : (void *)(intptr_t)luaL_checkinteger(L, index);
        break;
    }
    case MLUA_OUT:
        c->made[i] = mlua__push_handle(L, p.type, NULL);
        c->at[i] = lua_gettop(L);
        next_value(c)->pointer = &c->outs[i].pointer;
        break;
    case MLUA_FILL:
        c->made[i] = s->size <= sizeof c->filled && !c->has_filled
                             ? (void *)c->filled
                             : lua_newuserdata(L, s->size);
        c->has_filled = 1;
        memset(c->made[i], 0, s->size);
        memcpy(c->made[i], &s->size, sizeof s->size);
        next_value(c)->pointer = c->made[i];
        break;
    case MLUA_GET_FLOATS: {
        size_t n = (size_t)number(c, 0, INT32_MAX);
        mlua_floats *floats = mlua__push_floats(L, n);
        c->at[i] = lua_gettop(L);
        next_value(c)->pointer = floats->values;
        next_value(c)->size = n;
        break;
    }
    case MLUA_GET_BYTES:
    case MLUA_GET_BLOB:
    case MLUA_GET_IDS:
        buffer_argument(c, i);
        break;
    case MLUA_GET_VIEW:
        next_value(c)->pointer = &c->outs[i].pointer;
        c->capacity[i] = 0;
        next_value(c)->pointer = &c->capacity[i];
        break;
    case MLUA_ERR:
        next_value(c)->pointer = &c->err;
        break;
    default: /* GET_I32, GET_U64, GET_STRING, LENGTH */
        next_value(c)->pointer = &c->outs[i];
        break;
    }
    return 0;
}

/* ---- the call -------------------------------------------------------------------- */

static void call_once(mlua_frame *c, mlua_value *result)
{
    void *args[MLUA_ARGS_MAX];
    for (uint32_t i = 0; i < c->n_args; i++)
        args[i] = &c->values[i];
    lua_State *outer = c->lib->L;
    c->lib->L = c->L;
    c->lib->raised = 0;
    /* cif is not changed by the call; libffi's declaration lacks the const. */
    ffi_call((ffi_cif *)&c->f->cif, c->f->address, result, args);
    c->lib->L = outer;
}

/* Larger buffers where the first did not fit; 1 when the call must be made again. */
static int enlarge(mlua_frame *c)
{
    int again = 0;
    for (uint32_t i = 0; i < c->f->n_params; i++) {
        mlua_kind kind = c->f->params[i].kind;
        if (kind != MLUA_GET_BYTES && kind != MLUA_GET_BLOB && kind != MLUA_GET_IDS)
            continue;
        size_t n = c->outs[i].size, size = kind == MLUA_GET_IDS ? sizeof(int32_t) : 1;
        if (n <= c->capacity[i])
            continue;
        if (n > SIZE_MAX / size / 2)
            luaL_error(c->L, "%s: too much", c->f->name);
        luaL_checkstack(c->L, 8, "buffer");
        c->made[i] = lua_newuserdata(c->L, n * size);
        c->capacity[i] = n;
        c->values[c->first_arg[i]].pointer = c->made[i];
        c->values[c->first_arg[i] + 1].size = n;
        again = 1;
    }
    return again;
}

/* ---- results --------------------------------------------------------------------- */

/* nil, message, code. What a progress callback raised comes before what it caused. */
static int push_failure(mlua_frame *c, int32_t status)
{
    lua_State *L = c->L;
    lua_pushnil(L);
    lua_pushlstring(L, c->err.message, strnlen(c->err.message, sizeof c->err.message));
    if (c->lib->raised) {
        c->lib->raised = 0;
        lua_rawgeti(L, LUA_REGISTRYINDEX, c->lib->callbacks);
        lua_rawgeti(L, -1, 0);
        lua_pushnil(L);
        lua_rawseti(L, -3, 0);
        lua_replace(L, -3); /* the message */
        lua_pop(L, 1);
    }
    lua_pushinteger(L, status);
    return 3;
}

/* Push what parameter i gave; the number of values pushed. */
static int push_output(mlua_frame *c, uint32_t i)
{
    lua_State *L = c->L;
    mlua_param p = c->f->params[i];
    size_t n = c->outs[i].size;
    switch (p.kind) {
    case MLUA_OUT:
    case MLUA_GET_FLOATS:
        lua_pushvalue(L, c->at[i]);
        return 1;
    case MLUA_FILL:
        mlua__push_struct(L, &c->lib->structs[p.type], c->made[i]);
        return 1;
    case MLUA_GET_I32:
        lua_pushinteger(L, c->outs[i].i32);
        return 1;
    case MLUA_GET_U64:
        mlua__push_u64(L, c->outs[i].u64);
        return 1;
    case MLUA_GET_STRING:
        lua_pushstring(L, c->outs[i].pointer);
        return 1;
    case MLUA_GET_VIEW:
        lua_pushlstring(L, c->outs[i].pointer ? c->outs[i].pointer : "",
                c->outs[i].pointer ? c->capacity[i] : 0);
        return 1;
    case MLUA_GET_BYTES:
    case MLUA_GET_BLOB:
        lua_pushlstring(L, c->made[i] ? c->made[i] : "",
                n < c->capacity[i] ? n : c->capacity[i]);
        return 1;
    case MLUA_GET_IDS:
        mlua__push_ids(L, c->made[i], n < c->capacity[i] ? n : c->capacity[i]);
        return 1;
    default:
        return 0;
    }
}

static int push_result(mlua_frame *c, const mlua_value *result)
{
    lua_State *L = c->L;
    switch (c->f->result.kind) {
    case MLUA_VOID:
        return 0;
    case MLUA_I32:
        lua_pushinteger(L, (lua_Integer)(int32_t)result->signed_result);
        return 1;
    case MLUA_U32:
        mlua__push_u64(L, (uint32_t)result->result);
        return 1;
    case MLUA_U64:
        mlua__push_u64(L, result->u64);
        return 1;
    case MLUA_STRING:
        lua_pushstring(L, result->pointer);
        return 1;
    case MLUA_VIEW:
        for (uint32_t i = 0; i < c->f->n_params; i++)
            if (c->f->params[i].kind == MLUA_LENGTH && result->pointer) {
                lua_pushlstring(L, result->pointer, c->outs[i].size);
                return 1;
            }
        return 0;
    case MLUA_HANDLE_OF:
        if (result->pointer)
            mlua__push_handle(L, c->f->result.type, result->pointer);
        else if (c->err.status < 0)
            return push_failure(c, c->err.status);
        else
            lua_pushnil(L);
        return 1;
    default:
        return luaL_error(L, "mote.api: %s: this result has no rule", c->f->name);
    }
}

int mlua__call(lua_State *L)
{
    mlua_function *f = lua_touserdata(L, lua_upvalueindex(1));
    mlua_frame c;
    c.L = L;
    c.lib = lua_touserdata(L, lua_upvalueindex(2));
    c.f = f;
    c.next_argument = 1;
    c.n_args = 0;
    c.has_filled = 0;
    c.err.status = 0;
    c.err.message[0] = 0;
    memset(c.outs, 0, sizeof c.outs);
    if (!f->address)
        return luaL_error(L, "this version of the mote library has no %s", f->name);
    lua_settop(L, (int)f->n_params); /* absent ones are nil; outputs come after */
    luaL_checkstack(L, 2 * MLUA_PARAMS_MAX, f->name);
    for (uint32_t i = 0; i < f->n_params; i++)
        if (take(&c, i) < 0)
            return push_failure(&c, c.err.status);

    mlua_value result;
    memset(&result, 0, sizeof result);
    call_once(&c, &result);
    if (f->closes)
        ((mlua_handle *)lua_touserdata(L, 1))->pointer = NULL;
    if (f->result.kind != MLUA_STATUS)
        return push_result(&c, &result);
    int32_t status = (int32_t)result.signed_result;
    if (status == 0 && enlarge(&c)) {
        call_once(&c, &result);
        status = (int32_t)result.signed_result;
    }
    if (status < 0)
        return push_failure(&c, status);
    /* A handle first, so that nothing is lost should a push below run out of memory. */
    for (uint32_t i = 0; i < f->n_params; i++)
        if (f->params[i].kind == MLUA_OUT)
            ((mlua_handle *)c.made[i])->pointer = c.outs[i].pointer;
    if (status > 0) { /* MOTE_DONE */
        lua_pushnil(L);
        lua_pushliteral(L, "done");
        lua_pushinteger(L, status);
        return 3;
    }
    luaL_checkstack(L, MLUA_PARAMS_MAX, f->name);
    int n = 0;
    for (uint32_t i = 0; i < f->n_params; i++)
        n += push_output(&c, i);
    if (n == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    return n;
}
