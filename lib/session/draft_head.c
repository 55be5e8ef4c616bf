/* SPDX-License-Identifier: MIT */
/* The head of a draft: which token does the module's state speak for?
 *
 * Where a large vocabulary is most of what a draft reads (a shallow model), only part
 * of it is looked at: the ids in front, and those in the text before. Byte-pair
 * vocabularies are in the order of their merges, so the frequent tokens come first; in
 * English, code and technical prose a quarter of DeepSeek-V3's vocabulary together with
 * the last 1024 tokens misses 3 to 6 % of what follows. A missed token only costs its
 * draft: what is generated is the main model's choice among all. For the same reason it
 * is not done where the head is little of a round: the drafts lost would cost more. */
#include "session/session.h"

#include <math.h>
#include <string.h>

enum {
    LOOK_BACK = 1024,
    PART = 4,          /* of the vocabulary: 1 / PART */
    PAYS_ABOVE = 16,   /* saves at least 1 / PAYS_ABOVE of a round's bytes */
    LEAST_VOCAB = 8192 /* below, the head is little */
};

static uint64_t matrix_bytes(const mote_k_matrix *w)
{
    return w->data ? mote_k_data_bytes(w->type, w->n_rows, w->n_cols) : 0;
}

/* Bytes that one token reads in a layer, about: attention and feed-forward. */
static uint64_t layer_bytes(const mote__config *c, const mote__layer *y)
{
    uint64_t heads = c->num_attention_heads;
    const mote__stack *stacks[] = {&y->q_b, &y->uk, &y->uv};
    uint64_t n = matrix_bytes(&y->q_a) + matrix_bytes(&y->kv_a) + matrix_bytes(&y->o) +
                 matrix_bytes(&y->eh_proj) + matrix_bytes(&y->dense.gate) +
                 matrix_bytes(&y->dense.up) + matrix_bytes(&y->dense.down);
    for (int i = 0; i < 3; i++)
        n += heads * matrix_bytes(&stacks[i]->first);
    if (y->router) /* experts may not be in memory: a byte a value, about */
        n += (uint64_t)c->num_experts_per_tok * 3 * c->moe_intermediate_size *
             c->hidden_size;
    return n;
}

void mote__draft_head_init(mote_session *s)
{
    const mote__net *net = &s->model->net;
    const mote__config *c = &net->config;
    s->first_panels = 0;
    if (!net->mtp || c->vocab_size < LEAST_VOCAB)
        return;
    uint64_t head = matrix_bytes(&net->head), round = 2 * head;
    for (uint32_t l = 0; l < net->n_layers; l++)
        round += layer_bytes(c, &net->layers[l]);
    if ((head - head / PART) * PAYS_ABOVE >= round)
        s->first_panels = mote_k_panels(c->vocab_size / PART);
}

void mote__draft_head_begin(mote_session *s, uint32_t n)
{
    s->n_rare = 0;
    if (!s->first_panels)
        return;
    memset(s->panel_marks, 0, mote_k_panels(s->model->net.config.vocab_size) / 8 + 1);
    uint32_t from = n > LOOK_BACK ? n - LOOK_BACK : 0;
    for (uint32_t i = n; i-- > from && s->n_rare < MOTE__RARE_MAX;) {
        uint32_t panel = (uint32_t)s->tokens[i] / MOTE_PANEL;
        uint8_t bit = (uint8_t)(1u << (panel % 8));
        if (panel < s->first_panels || (s->panel_marks[panel / 8] & bit))
            continue;
        s->panel_marks[panel / 8] |= bit;
        s->rare[s->n_rare++] = panel;
    }
}

/* The better of the best so far and the logits of [begin, end). */
static uint32_t better(const float *logits, uint32_t best, uint32_t vocab,
        uint32_t begin, uint32_t end)
{
    for (uint32_t v = begin; v < vocab && v < end; v++)
        if (best >= vocab || logits[v] > logits[best] ||
                (logits[v] == logits[best] && v < best))
            best = v;
    return best;
}

static uint32_t best_masked(const float *logits, uint32_t vocab, const uint32_t *mask)
{
    uint32_t best = vocab;
    float max = -INFINITY;
    for (uint32_t w = 0; w * 32 < vocab; w++)
        for (uint32_t bits = mask[w], v = w * 32; bits && v < vocab; bits >>= 1, v++)
            if ((bits & 1u) && logits[v] > max) {
                max = logits[v];
                best = v;
            }
    return best;
}

uint32_t mote__draft_best(mote_session *s, const float *x, const uint32_t *mask)
{
    const mote__net *net = &s->model->net;
    uint32_t vocab = net->config.vocab_size, part = s->first_panels * MOTE_PANEL,
             form = mote__session_form(s), form_int = mote__session_form_int(s);
    if (!s->first_panels || mask) {
        mote__head(
                net, s->model->pool, s->work, &x, 1, form, form_int, s->logits, vocab);
        return mask ? best_masked(s->logits, vocab, mask)
                    : net->k.argmax(s->logits, vocab);
    }
    mote__head_some(net, s->model->pool, s->work, x, form, form_int, s->first_panels,
            s->rare, s->n_rare, s->logits);
    uint32_t best = net->k.argmax(s->logits, part);
    if (best >= part)
        return vocab; /* NaN */
    for (uint32_t i = 0; i < s->n_rare; i++)
        best = better(s->logits, best, vocab, s->rare[i] * MOTE_PANEL,
                (s->rare[i] + 1) * MOTE_PANEL);
    return best;
}
