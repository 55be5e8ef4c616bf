/* SPDX-License-Identifier: MIT */
/* Option setters: kind, name, NUL, value. Set, or refused with the struct unchanged; a
 * struct that was set is one that opens a session or is refused with a sentence. */
#include "fuzz_target.h"
#include "tiny_model.h"

#include "mote/mote.h"

#include <string.h>

typedef union any {
    uint32_t struct_size;
    mote_model_options model;
    mote_session_options session;
    mote_sampler_options sampler;
    mote_generate_options generate;
    mote_pack_options pack;
} any;

static const uint32_t sizes[] = {0, sizeof(mote_model_options),
        sizeof(mote_session_options), sizeof(mote_sampler_options),
        sizeof(mote_generate_options), sizeof(mote_pack_options)};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static mote_model *model;
    mote_error e;
    if (!model) {
        size_t n;
        mote_model_options mo = MOTE_MODEL_OPTIONS_INIT;
        mo.n_threads = 1;
        /* borrowed by the model, which is never closed; volatile: the leak checker
         * looks */
        static uint8_t *volatile file;
        file = tiny_model_make(19, 1, &n);
        FUZZ_CHECK(file && mote_model_open_memory(&model, file, n, &mo, &e) == MOTE_OK);
    }
    if (size < 2)
        return 0;
    int32_t kind = data[0] % 7;
    char *text = malloc(size + 1);
    FUZZ_CHECK(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = text[size] = '\0';
    const char *value = text + strlen(text) + 1;
    if (value > text + size)
        value = "";
    any a, before;
    memset(&a, 0, sizeof a);
    a.struct_size = sizes[kind < 6 ? kind : 0];
    before = a;
    mote_status st = mote_options_set_text(kind, &a, text, value, &e);
    if (st < 0) {
        FUZZ_CHECK(e.status == st && e.message[0]);
        FUZZ_CHECK(memcmp(&a, &before, sizeof a) == 0);
    } else {
        FUZZ_CHECK(a.struct_size == sizes[kind]);
    }
    if (st >= 0 && kind == MOTE_OPTIONS_SESSION) {
        uint64_t total = 0, kv = 0;
        mote_session *s = NULL;
        st = mote_session_plan(model, &a.session, &total, &kv, &e);
        FUZZ_CHECK(st >= 0 ? kv <= total : e.message[0] != 0);
        st = mote_session_open(&s, model, &a.session, &e);
        FUZZ_CHECK(st >= 0 || (!s && e.message[0]));
        mote_session_close(s);
    }
    free(text);
    return 0;
}
