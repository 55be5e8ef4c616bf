/* SPDX-License-Identifier: MIT */
/* Sampling without sorting.
 *
 * All three filters keep a prefix of the order (logit descending, id ascending), so
 * each is a threshold: a smallest logit, and how many of those equal to it. The
 * threshold is found by radix selection on the bits of the logits, counting tokens
 * (top-k) or probability (top-p): three passes over ever fewer candidates, linear
 * whatever the logits are. Candidates stay in the order of their ids; the draw walks
 * them in it.
 *
 * Each block of logits has its maximum noted, so that gathering the few candidates of a
 * peaked distribution looks into few blocks. */
#include "sampler.h"
#include "sampler_passes.h"
#include "base/cpu.h"
#include "base/status.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
    DIGIT_BITS = 11, /* of a radix pass: 11 + 11 + 10 */
    DIGITS = 1 << DIGIT_BITS,
    PENALTY_TOKENS = 256, /* what penalty_tokens == 0 means */
};

struct mote__sampler {
    mote__memory *memory;
    uint32_t vocab_size;
    float temperature, top_p, min_p;
    uint32_t top_k;
    float repetition_penalty, presence_penalty, frequency_penalty;
    uint32_t penalty_tokens;
    uint32_t n_bias;
    size_t bias_capacity;
    int32_t *bias_tokens; /* [bias_capacity], NULL when that is 0 */
    float *bias_values;   /* [bias_capacity], the same block */
    mote__sampler_state state;
    const mote__sampler_passes *passes;
    float *z; /* [vocab_size] adjusted logits */
    float *w; /* [vocab_size] weight of candidate j: exp((z - max) / temperature) */
    uint32_t *ids;   /* [vocab_size] token of candidate j; while penalties are applied,
                        counts by token */
    uint32_t *trial; /* [vocab_size] candidates still undecided during a selection */
    float *peaks;    /* [blocks] largest z of each block */
    float *sums;     /* [blocks] sum of w of each block, where all of w is computed */
};

/* ---- life ---------------------------------------------------------------------- */

static size_t row_bytes(uint32_t vocab_size)
{
    return (mote__mul(vocab_size, 4) + 63) & ~(size_t)63;
}

static size_t header_bytes(void)
{
    return (sizeof(mote__sampler) + 63) & ~(size_t)63;
}

size_t mote__sampler_bytes(uint32_t vocab_size)
{
    return header_bytes() + 4 * row_bytes(vocab_size) +
           2 * row_bytes(mote__sampler_blocks(vocab_size));
}

mote_status mote__sampler_open(
        mote__sampler **out, mote__memory *m, uint32_t vocab_size, mote_error *err)
{
    *out = NULL;
    if (vocab_size == 0 || vocab_size > INT32_MAX / 16)
        return mote__fail(err, MOTE_E_INVALID,
                "sampler: expected a vocabulary of 1 to %d, found %" PRIu32,
                INT32_MAX / 16, vocab_size);
    size_t size = mote__sampler_bytes(vocab_size), row = row_bytes(vocab_size);
    char *block = mote__alloc(m, MOTE_MEM_SCRATCH, size);
    if (!block)
        return mote__fail_memory(err, size, "the sampler");
    mote__sampler *s = (mote__sampler *)(void *)block;
    memset(s, 0, sizeof *s);
    block += header_bytes();
    s->z = (float *)(void *)block;
    s->w = (float *)(void *)(block + row);
    s->ids = (uint32_t *)(void *)(block + 2 * row);
    s->trial = (uint32_t *)(void *)(block + 3 * row);
    block += 4 * row;
    s->peaks = (float *)(void *)block;
    s->sums = (float *)(void *)(block + row_bytes(mote__sampler_blocks(vocab_size)));
    s->passes = mote__sampler_passes_of(mote__cpu_flags());
    s->memory = m;
    s->vocab_size = vocab_size;
    *out = s;
    return MOTE_OK;
}

void mote__sampler_close(mote__sampler *s, mote__memory *m)
{
    if (!s)
        return;
    mote__free(m, MOTE_MEM_SCRATCH, s->bias_tokens, s->bias_capacity * 8);
    mote__free(m, MOTE_MEM_SCRATCH, s, mote__sampler_bytes(s->vocab_size));
}

/* ---- options ------------------------------------------------------------------- */

static mote_status check_range(
        const char *name, float value, float min, float max, mote_error *err)
{
    if (value >= min && value <= max) /* false for NaN */
        return MOTE_OK;
    return mote__fail(err, MOTE_E_INVALID, "%s: expected %g to %g, found %g", name,
            (double)min, (double)max, (double)value);
}

static mote_status check_options(
        const mote__sampler *s, const mote_sampler_options *o, mote_error *err)
{
    mote_status st;
    if ((st = check_range("temperature", o->temperature, 0, 100, err)) < 0 ||
            (st = check_range("top_p", o->top_p, 0, 1, err)) < 0 ||
            (st = check_range("min_p", o->min_p, 0, 1, err)) < 0 ||
            (st = check_range(
                     "repetition_penalty", o->repetition_penalty, 0, 100, err)) < 0 ||
            (st = check_range(
                     "presence_penalty", o->presence_penalty, -100, 100, err)) < 0 ||
            (st = check_range(
                     "frequency_penalty", o->frequency_penalty, -100, 100, err)) < 0)
        return st;
    if (o->n_bias > s->vocab_size)
        return mote__fail(err, MOTE_E_INVALID,
                "n_bias: expected at most the vocabulary, %" PRIu32 ", found %" PRIu32,
                s->vocab_size, o->n_bias);
    if (o->n_bias && (!o->bias_tokens || !o->bias_values))
        return mote__fail(err, MOTE_E_INVALID,
                "n_bias is %" PRIu32
                ": expected bias_tokens and bias_values, found NULL",
                o->n_bias);
    for (uint32_t i = 0; i < o->n_bias; i++) {
        int32_t id = o->bias_tokens[i];
        if (id < 0 || (uint32_t)id >= s->vocab_size)
            return mote__fail(err, MOTE_E_INVALID,
                    "bias_tokens[%" PRIu32 "]: expected an id below %" PRIu32
                    ", found %" PRId32,
                    i, s->vocab_size, id);
        if (!(o->bias_values[i] <= FLT_MAX))
            return mote__fail(err, MOTE_E_INVALID,
                    "bias_values[%" PRIu32
                    "]: expected a number or -INFINITY, found %g",
                    i, (double)o->bias_values[i]);
    }
    return MOTE_OK;
}

mote_status mote__sampler_configure(mote__sampler *s, const mote_sampler_options *o,
        int keep_state, mote_error *err)
{
    static const mote_sampler_options greedy = MOTE_SAMPLER_OPTIONS_INIT;
    if (!o)
        o = &greedy;
    mote_status st = check_options(s, o, err);
    if (st < 0)
        return st;
    if (o->n_bias > s->bias_capacity) {
        size_t n = o->n_bias;
        void *block = mote__alloc(s->memory, MOTE_MEM_SCRATCH, n * 8);
        if (!block)
            return mote__fail_memory(err, n * 8, "the logit bias");
        mote__free(s->memory, MOTE_MEM_SCRATCH, s->bias_tokens, s->bias_capacity * 8);
        s->bias_tokens = block;
        s->bias_values = (float *)(void *)((char *)block + n * 4);
        s->bias_capacity = n;
    }
    if (o->n_bias) {
        memcpy(s->bias_tokens, o->bias_tokens, o->n_bias * sizeof *o->bias_tokens);
        memcpy(s->bias_values, o->bias_values, o->n_bias * sizeof *o->bias_values);
    }
    s->n_bias = o->n_bias;
    s->temperature = o->temperature;
    s->top_k = o->top_k;
    s->top_p = o->top_p;
    s->min_p = o->min_p;
    s->repetition_penalty = o->repetition_penalty > 0 ? o->repetition_penalty : 1;
    s->presence_penalty = o->presence_penalty;
    s->frequency_penalty = o->frequency_penalty;
    s->penalty_tokens = o->penalty_tokens ? o->penalty_tokens : PENALTY_TOKENS;
    if (!keep_state)
        s->state = (mote__sampler_state){.seed = o->seed};
    return MOTE_OK;
}

/* ---- generator ----------------------------------------------------------------- */

static uint64_t mix(uint64_t x) /* the finaliser of splitmix64 */
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

double mote__sampler_uniform(uint64_t seed, uint64_t index)
{
    /* The seed is mixed first: neighbouring seeds must not give shifted streams. */
    uint64_t key = mix(seed + UINT64_C(0x632be59bd9b4e019));
    uint64_t bits = mix(key + (index + 1) * UINT64_C(0x9e3779b97f4a7c15));
    return (double)(bits >> 11) * 0x1p-53;
}

void mote__sampler_state_get(const mote__sampler *s, mote__sampler_state *state)
{
    *state = s->state;
}

void mote__sampler_state_set(mote__sampler *s, const mote__sampler_state *state)
{
    s->state = *state;
}

/* ---- adjusting the logits ------------------------------------------------------ */

static float bounded(float x)
{
    return x > FLT_MAX ? FLT_MAX : x;
}

static void apply_bias(mote__sampler *s)
{
    for (uint32_t i = 0; i < s->n_bias; i++) {
        float *z = &s->z[s->bias_tokens[i]];
        *z = bounded(*z + s->bias_values[i]);
    }
}

/* O(window): the counts are cleared and read only where the window points. */
static mote_status apply_penalties(
        mote__sampler *s, const int32_t *history, uint32_t n, mote_error *err)
{
    if (s->repetition_penalty == 1.0f && s->presence_penalty == 0.0f &&
            s->frequency_penalty == 0.0f)
        return MOTE_OK;
    if (n > s->penalty_tokens) {
        history += n - s->penalty_tokens;
        n = s->penalty_tokens;
    }
    uint32_t *count = s->ids;
    for (uint32_t i = 0; i < n; i++) {
        if (history[i] < 0 || (uint32_t)history[i] >= s->vocab_size)
            return mote__fail(err, MOTE_E_INVALID,
                    "history: expected ids below %" PRIu32 ", found %" PRId32,
                    s->vocab_size, history[i]);
        count[history[i]] = 0;
    }
    for (uint32_t i = 0; i < n; i++)
        count[history[i]]++;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = (uint32_t)history[i];
        if (count[id] == 0)
            continue; /* done at an earlier place of the window */
        float z = s->z[id];
        z = z > 0 ? z / s->repetition_penalty : z * s->repetition_penalty;
        z -= s->presence_penalty + (float)count[id] * s->frequency_penalty;
        s->z[id] = bounded(z);
        count[id] = 0;
    }
    return MOTE_OK;
}

static void apply_mask(mote__sampler *s, const uint32_t *mask)
{
    uint32_t n = s->vocab_size;
    for (uint32_t word = 0; word * 32 < n; word++) {
        uint32_t bits = mask[word];
        if (bits == UINT32_MAX)
            continue;
        uint32_t end = n - word * 32 < 32 ? n - word * 32 : 32;
        float *z = s->z + (size_t)word * 32;
        for (uint32_t j = 0; j < end; j++)
            z[j] = (bits >> j) & 1u ? z[j] : -INFINITY;
    }
}

/* ---- selection ----------------------------------------------------------------- */

/* Bits that compare as the floats do. */
static inline uint32_t key_of(float x)
{
    uint32_t bits;
    x += 0.0f; /* -0 becomes 0: equal values must have equal keys */
    memcpy(&bits, &x, 4);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* Where the kept prefix ends: every key above, and `ties` of those equal to it. */
typedef struct threshold {
    uint32_t key, ties;
} threshold;

static inline uint32_t key_at(const float *x, const uint32_t *ids, uint32_t j)
{
    return key_of(x[ids ? ids[j] : j]);
}

/* Of n candidates (candidate j has the value x[ids[j]], or x[j] without ids, and the
 * weight w[j], or 1 without w), the shortest prefix in the order (value descending, j
 * ascending) whose weights add up to at least `target` > 0; all when that is never
 * reached. `trial` has room for n. */
static threshold find_threshold(const float *x, const uint32_t *ids, const float *w,
        uint32_t n, double target, uint32_t *trial)
{
    double amount[DIGITS];
    uint32_t n_trial = n, key = 0;
    for (int shift = 21, width = DIGIT_BITS;; shift -= DIGIT_BITS) {
        if (shift < 0) { /* the last digit is the lowest 10 bits */
            width = DIGIT_BITS - 1;
            shift = 0;
        }
        uint32_t digits = 1u << width, digit = digits - 1, n_next = 0;
        const uint32_t *list = shift == 21 ? NULL : trial; /* at first, everything */
        memset(amount, 0, digits * sizeof *amount);
        for (uint32_t i = 0; i < n_trial; i++) {
            uint32_t j = list ? list[i] : i;
            uint32_t d = (key_at(x, ids, j) >> shift) & (digits - 1);
            amount[d] += w ? (double)w[j] : 1.0;
        }
        while (digit > 0 && amount[digit] < target) {
            target -= amount[digit];
            digit--;
        }
        key |= digit << shift;
        for (uint32_t i = 0; i < n_trial; i++) {
            uint32_t j = list ? list[i] : i;
            if (((key_at(x, ids, j) >> shift) & (digits - 1)) == digit)
                trial[n_next++] = j;
        }
        n_trial = n_next;
        if (shift == 0)
            break;
    }
    /* What remains undecided has the threshold's value; the lower ids go first. */
    uint32_t ties = 0;
    while (ties < n_trial && target > 0) {
        target -= w ? (double)w[trial[ties]] : 1.0;
        ties++;
    }
    return (threshold){key, ties};
}

/* Compact ids and w to the candidates that the threshold keeps. */
static uint32_t keep(mote__sampler *s, uint32_t n, threshold t)
{
    uint32_t kept = 0;
    for (uint32_t j = 0; j < n; j++) {
        uint32_t key = key_of(s->z[s->ids[j]]);
        if (key < t.key || (key == t.key && t.ties == 0))
            continue;
        t.ties -= key == t.key;
        s->ids[kept] = s->ids[j];
        s->w[kept] = s->w[j];
        kept++;
    }
    return kept;
}

static uint32_t block_end(const mote__sampler *s, uint32_t b)
{
    uint32_t end = (b + 1) * MOTE_SAMPLER_BLOCK;
    return end < s->vocab_size ? end : s->vocab_size;
}

/* The k likeliest, 0 < k < vocab_size, without their weights. The k-th largest of the
 * blocks' maxima is a value that at least k logits reach. */
static uint32_t gather_top_k(mote__sampler *s, uint32_t k)
{
    uint32_t n_blocks = mote__sampler_blocks(s->vocab_size), n = 0, bound = 0;
    if (k < n_blocks)
        bound = find_threshold(s->peaks, NULL, NULL, n_blocks, k, s->trial).key;
    for (uint32_t b = 0; b < n_blocks; b++) {
        if (key_of(s->peaks[b]) < bound)
            continue;
        for (uint32_t i = b * MOTE_SAMPLER_BLOCK; i < block_end(s, b); i++)
            if (key_of(s->z[i]) >= bound)
                s->ids[n++] = i;
    }
    return keep(s, n, find_threshold(s->z, s->ids, NULL, n, k, s->trial));
}

/* Tokens whose weight, z relative to `max`, is at least `least`, with their weights. */
static uint32_t gather_above(mote__sampler *s, float least, float max, float inverse)
{
    float block[MOTE_SAMPLER_BLOCK];
    uint32_t n_blocks = mote__sampler_blocks(s->vocab_size), n = 0;
    /* exp(x) >= least needs x >= log(least); the margin covers rounding. */
    float lowest = least > 0 ? logf(least) - 0.01f : -INFINITY;
    for (uint32_t b = 0; b < n_blocks; b++) {
        if ((s->peaks[b] - max) * inverse < lowest)
            continue;
        uint32_t begin = b * MOTE_SAMPLER_BLOCK, m = block_end(s, b) - begin;
        s->passes->exponentials(block, NULL, s->z + begin, m, max, inverse);
        for (uint32_t i = 0; i < m; i++)
            if (block[i] >= least) {
                s->ids[n] = begin + i;
                s->w[n++] = block[i];
            }
    }
    return n;
}

/* ---- choosing ------------------------------------------------------------------ */

/* The first of n weights at which their running sum exceeds r; the last that is not 0
 * when rounding keeps the sum below. */
static uint32_t walk(const float *w, uint32_t n, double r)
{
    double reached = 0;
    uint32_t last = 0;
    for (uint32_t j = 0; j < n; j++) {
        if (w[j] == 0)
            continue;
        last = j;
        reached += (double)w[j];
        if (r < reached)
            break;
    }
    return last;
}

static uint32_t draw(const mote__sampler *s, uint32_t n, double u)
{
    double mass = 0;
    for (uint32_t j = 0; j < n; j++)
        mass += (double)s->w[j];
    return s->ids[walk(s->w, n, u * mass)];
}

/* Without any filter: find the block, then the token. */
static uint32_t draw_from_all(mote__sampler *s, float max, float inverse, double u)
{
    double r = u * s->passes->exponentials(
                           s->w, s->sums, s->z, s->vocab_size, max, inverse);
    double before = 0, reached = 0;
    uint32_t block =
            0; /* the one where r is reached, else the last that is not all 0 */
    for (uint32_t b = 0; b < mote__sampler_blocks(s->vocab_size); b++) {
        if (s->sums[b] == 0)
            continue;
        block = b;
        before = reached;
        reached += (double)s->sums[b];
        if (r < reached)
            break;
    }
    uint32_t begin = block * MOTE_SAMPLER_BLOCK;
    return begin + walk(s->w + begin, block_end(s, block) - begin, r - before);
}

/* Weights of the first n candidates, and their sum. */
static double weigh(mote__sampler *s, uint32_t n, float max, float inverse)
{
    float z[MOTE_SAMPLER_BLOCK];
    double sum = 0;
    for (uint32_t begin = 0; begin < n; begin += MOTE_SAMPLER_BLOCK) {
        uint32_t m = n - begin < MOTE_SAMPLER_BLOCK ? n - begin : MOTE_SAMPLER_BLOCK;
        for (uint32_t j = 0; j < m; j++)
            z[j] = s->z[s->ids[begin + j]];
        sum += s->passes->exponentials(s->w + begin, NULL, z, m, max, inverse);
    }
    return sum;
}

/* Temperature, top-k, top-p, min-p and the draw, on s->z whose maximum is `max`. */
static uint32_t choose(mote__sampler *s, float max)
{
    double u = mote__sampler_uniform(s->state.seed, s->state.index), sum = 0;
    float inverse = bounded(1.0f / s->temperature);
    int has_k = s->top_k > 0 && s->top_k < s->vocab_size;
    int has_p = s->top_p > 0 && s->top_p < 1;
    uint32_t n;
    if (!has_k && !has_p && s->min_p == 0)
        return draw_from_all(s, max, inverse, u);
    if (has_k) {
        n = gather_top_k(s, s->top_k);
        sum = weigh(s, n, max, inverse);
    } else {
        float least = s->min_p;
        if (has_p) {
            sum = s->passes->exponentials(
                    NULL, NULL, s->z, s->vocab_size, max, inverse);
            /* Tokens below (1 - p) / n of the mass hold less than 1 - p together. The
             * factor covers rounding. */
            double negligible = 0.999 * (1.0 - (double)s->top_p) * sum / s->vocab_size;
            least = (float)negligible > least ? (float)negligible : least;
        }
        n = gather_above(s, least, max, inverse);
    }
    if (has_p)
        n = keep(s, n,
                find_threshold(
                        s->z, s->ids, s->w, n, (double)s->top_p * sum, s->trial));
    if (s->min_p > 0) {
        uint32_t kept = 0;
        for (uint32_t j = 0; j < n; j++) {
            s->ids[kept] = s->ids[j];
            s->w[kept] = s->w[j];
            kept += s->w[j] >= s->min_p;
        }
        n = kept;
    }
    return draw(s, n, u);
}

static uint32_t first_maximum(const mote__sampler *s, float max)
{
    uint32_t b = 0;
    while (s->peaks[b] != max)
        b++;
    uint32_t i = b * MOTE_SAMPLER_BLOCK;
    while (s->z[i] != max)
        i++;
    return i;
}

mote_status mote__sampler_sample(mote__sampler *s, const float *logits,
        const int32_t *history, uint32_t n_history, const uint32_t *mask,
        int32_t *token, float *logprob, mote_error *err)
{
    uint32_t n = s->vocab_size;
    *token = -1;
    if (s->passes->copy(s->z, logits, n)) {
        uint32_t at = 0;
        while (at + 1 < n && logits[at] <= FLT_MAX)
            at++;
        return mote__fail(err, MOTE_E_NUMERIC,
                "logit %" PRIu32 ": expected a number, found %g", at,
                (double)logits[at]);
    }
    apply_bias(s);
    mote_status st = apply_penalties(s, history, n_history, err);
    if (st < 0)
        return st;
    if (mask)
        apply_mask(s, mask);
    float max = s->passes->peaks(s->peaks, s->z, n);
    if (max == -INFINITY)
        return mote__fail(err, MOTE_E_NUMERIC,
                "no token of %" PRIu32
                " is left: all are masked, banned or have a logit of -inf",
                n);
    uint32_t id = s->temperature > 0 ? choose(s, max) : first_maximum(s, max);
    if (logprob) {
        float top = s->passes->peaks(s->peaks, logits, n);
        double sum = s->passes->exponentials(NULL, NULL, logits, n, top, 1.0f);
        *logprob = (float)((double)logits[id] - (double)top - log(sum));
    }
    *token = (int32_t)id;
    s->state.index++;
    return MOTE_OK;
}
