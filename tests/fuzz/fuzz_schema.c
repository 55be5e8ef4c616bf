/* SPDX-License-Identifier: MIT */
/* JSON Schema texts: refused, or a machine in which every step has somewhere to go and
 * whose finished texts are JSON. */
#include "fuzz_target.h"

#include "text/schema.h"

#include <jansson.h>
#include <string.h>

enum { EOS = 256, WORDS = 9, STEPS = 400 };

static const char *byte_token(const void *user, int32_t token, size_t *n)
{
    *n = 1;
    return token < 256 ? (const char *)user + token : NULL;
}

/* One value, chosen by a generator that prefers to close what is open. */
static void generate(const mote_schema *s, mote__schema_state *st, uint64_t seed)
{
    uint32_t bits[WORDS];
    char text[STEPS];
    mote__schema_start(s, st);
    for (size_t n = 0; n < STEPS; n++) {
        mote__schema_mask(s, st, bits, 257, EOS);
        int complete = mote__schema_complete(s, st), chosen = -1, seen = 0;
        FUZZ_CHECK((bits[8] & 1) == (uint32_t)complete && bits[8] < 2);
        for (int b = 0; b < 256; b++) {
            if (!(bits[b / 32] >> (b % 32) & 1))
                continue;
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            int closes = b == '"' || b == ']' || b == '}';
            if ((uint32_t)(seed >> 33) % (uint32_t)++seen == 0 ||
                    (closes && (seed >> 40) % 4 == 0))
                chosen = b;
        }
        FUZZ_CHECK(chosen >= 0 || complete);
        if (complete && (chosen < 0 || seed >> 60 < 4)) {
            json_error_t e;
            json_t *v = json_loadb(text, n, JSON_DECODE_ANY, &e);
            FUZZ_CHECK(v != NULL);
            json_decref(v);
            return;
        }
        FUZZ_CHECK(mote__schema_accept(s, st, chosen));
        text[n] = (char)chosen;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char table[256];
    for (int i = 0; i < 256; i++)
        table[i] = (char)i;
    const mote__schema_vocab vocab = {byte_token, table, 257};
    mote_schema *s;
    mote_error err;
    mote_status status =
            mote__schema_open(&s, &vocab, NULL, (const char *)data, size, &err);
    if (status < 0) {
        FUZZ_CHECK(!s && err.status == status && err.message[0]);
        return 0;
    }
    mote__schema_state *st = malloc(mote__schema_state_bytes(s));
    FUZZ_CHECK(st != NULL);
    for (uint64_t seed = 0; seed < 3; seed++)
        generate(s, st, seed + size);
    free(st);
    mote__schema_free(s);
    return 0;
}
