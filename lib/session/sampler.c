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
 * The passes over the whole vocabulary are written so that compilers vectorise them for
 * the baseline instruction set: no library exp, comparisons as selects, sums in lanes
 * of a fixed number, so that results do not depend on the vector width either. */
#include "sampler.h"
#include "base/status.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
    LANES = 16,      /* partial maxima and sums: fixed, for the same bits anywhere */
    CHUNK = 256,     /* floats summed in fp32 before adding to a double */
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
    float *z; /* [vocab_size] adjusted logits */
    float *w; /* [vocab_size] weight of candidate j: exp((z - max) / temperature) */
    uint32_t *ids;   /* [vocab_size] token of candidate j; while penalties are applied,
                        counts by token */
    uint32_t *trial; /* [vocab_size] candidates still undecided during a selection */
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
    return header_bytes() + 4 * row_bytes(vocab_size);
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

/* ---- passes over the vocabulary ------------------------------------------------ */

/* Largest of n values, -INFINITY for none. Never sees NaN. */
static float maximum(const float *x, uint32_t n)
{
    float lane[LANES];
    for (uint32_t j = 0; j < LANES; j++)
        lane[j] = -INFINITY;
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (uint32_t j = 0; j < LANES; j++)
            lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
    for (; i < n; i++)
        lane[0] = x[i] > lane[0] ? x[i] : lane[0];
    for (uint32_t j = 1; j < LANES; j++)
        lane[0] = lane[j] > lane[0] ? lane[j] : lane[0];
    return lane[0];
}

/* Copy, and tell whether NaN or +INFINITY was among the values. */
static int copy_checked(float *dst, const float *src, uint32_t n)
{
    uint32_t bad = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &src[i], 4);
        bad |= (uint32_t)((bits & 0x7fffffffu) > 0x7f800000u) |
               (uint32_t)(bits == 0x7f800000u);
        dst[i] = src[i];
    }
    return bad != 0;
}

/* exp(x) for x <= 0, relative error below 2e-7; 0 where the result would be subnormal.
 * Two-step reduction by ln 2, Taylor series on [-ln2/2, ln2/2] up to r^7/7!. */
static inline float exp_negative(float x)
{
    float c = x > -87.0f ? x : -87.0f;
    float t = c * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
    uint32_t bits;
    memcpy(&bits, &t, 4);
    float n = t - 12582912.0f;
    float r = (c - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    bits = (bits + 127u) << 23; /* the magic number's own bits are shifted out */
    float scale;
    memcpy(&scale, &bits, 4);
    p *= scale;
    return x < -87.0f ? 0.0f : p;
}

/* w[i] = exp((x[i] - max) * inverse), and their sum: fp32 within a chunk, so that the
 * rounding error does not grow with the vocabulary. */
static double exponentials(
        float *w, const float *x, uint32_t n, float max, float inverse)
{
    double sum = 0;
    for (uint32_t begin = 0; begin < n; begin += CHUNK) {
        uint32_t m = n - begin < CHUNK ? n - begin : CHUNK, i = 0;
        float lane[LANES] = {0};
        float *out = w + begin;
        const float *in = x + begin;
        for (uint32_t j = 0; j < m; j++)
            out[j] = exp_negative((in[j] - max) * inverse);
        for (; i + LANES <= m; i += LANES)
            for (uint32_t j = 0; j < LANES; j++)
                lane[j] += out[i + j];
        for (; i < m; i++)
            lane[i % LANES] += out[i];
        for (uint32_t half = LANES / 2; half; half /= 2)
            for (uint32_t j = 0; j < half; j++)
                lane[j] += lane[j + half];
        sum += (double)lane[0];
    }
    return sum;
}

/* The log of the sum of exp(x[i] - max). Weights are not kept. */
static double log_sum(const float *x, uint32_t n, float max)
{
    float w[CHUNK];
    double sum = 0;
    for (uint32_t begin = 0; begin < n; begin += CHUNK)
        sum += exponentials(
                w, x + begin, n - begin < CHUNK ? n - begin : CHUNK, max, 1.0f);
    return log(sum);
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

/* Of n candidates keep the shortest prefix, in the order (logit descending, id
 * ascending), whose amounts add up to at least `target`: a candidate counts 1 when
 * by_mass is 0, else its weight. At least one is kept, and all when the target is never
 * reached. ids and w are compacted in place; returns how many are left. */
static uint32_t keep_prefix(mote__sampler *s, uint32_t n, int by_mass, double target)
{
    double amount[DIGITS];
    uint32_t *trial = s->trial, n_trial = n;
    uint32_t prefix = 0; /* the digits of the threshold found so far */
    for (uint32_t j = 0; j < n; j++)
        trial[j] = j;
    for (int shift = 21, width = DIGIT_BITS;; shift -= DIGIT_BITS) {
        if (shift < 0) { /* the last digit is the lowest 10 bits */
            width = DIGIT_BITS - 1;
            shift = 0;
        }
        uint32_t digits = 1u << width, digit = digits - 1, n_next = 0;
        memset(amount, 0, digits * sizeof *amount);
        for (uint32_t i = 0; i < n_trial; i++) {
            uint32_t j = trial[i];
            uint32_t d = (key_of(s->z[s->ids[j]]) >> shift) & (digits - 1);
            amount[d] += by_mass ? (double)s->w[j] : 1.0;
        }
        while (digit > 0 && amount[digit] < target) {
            target -= amount[digit];
            digit--;
        }
        prefix |= digit << shift;
        for (uint32_t i = 0; i < n_trial; i++) {
            uint32_t j = trial[i];
            if (((key_of(s->z[s->ids[j]]) >> shift) & (digits - 1)) == digit)
                trial[n_next++] = j;
        }
        n_trial = n_next;
        if (shift == 0)
            break;
    }
    /* What remains undecided has the threshold's value; the lower ids go first. */
    uint32_t ties = 0;
    do {
        if (ties == n_trial)
            break;
        target -= by_mass ? (double)s->w[trial[ties]] : 1.0;
        ties++;
    } while (target > 0);
    uint32_t kept = 0;
    for (uint32_t j = 0; j < n; j++) {
        uint32_t key = key_of(s->z[s->ids[j]]);
        if (key < prefix || (key == prefix && ties == 0))
            continue;
        ties -= key == prefix;
        s->ids[kept] = s->ids[j];
        s->w[kept] = s->w[j];
        kept++;
    }
    return kept;
}

/* ---- choosing ------------------------------------------------------------------ */

static uint32_t first_equal(const float *x, uint32_t n, float value)
{
    for (uint32_t i = 0; i < n; i++)
        if (x[i] == value)
            return i;
    return 0;
}

static uint32_t draw(const mote__sampler *s, uint32_t n, double u)
{
    double mass = 0, reached = 0;
    for (uint32_t j = 0; j < n; j++)
        mass += (double)s->w[j];
    uint32_t last = 0;
    for (uint32_t j = 0; j < n; j++) {
        if (s->w[j] == 0)
            continue;
        last = j;
        reached += (double)s->w[j];
        if (u * mass < reached)
            break;
    }
    return s->ids[last];
}

/* Temperature, top-k, top-p, min-p and the draw, on s->z whose maximum is `max`. */
static uint32_t choose(mote__sampler *s, float max)
{
    uint32_t vocab = s->vocab_size, n = 0;
    float inverse = bounded(1.0f / s->temperature);
    /* Below this weight nothing can be kept, whatever the filters do exactly. */
    float floor = s->min_p;
    double sum;
    if (s->top_k > 0 && s->top_k < vocab) {
        for (uint32_t i = 0; i < vocab; i++)
            s->ids[i] = i;
        n = keep_prefix(s, vocab, 0, s->top_k);
        for (uint32_t j = 0; j < n; j++)
            s->w[j] = s->z[s->ids[j]];
        sum = exponentials(s->w, s->w, n, max, inverse);
    } else {
        sum = exponentials(s->w, s->z, vocab, max, inverse);
        if (s->top_p > 0 && s->top_p < 1) {
            /* Tokens below (1 - p) / n of the mass hold less than 1 - p together; the
             * small factor covers rounding. */
            double least = 0.999 * (1.0 - (double)s->top_p) * sum / vocab;
            floor = (float)least > floor ? (float)least : floor;
        }
        for (uint32_t i = 0; i < vocab; i++) {
            s->ids[n] = i;
            s->w[n] = s->w[i];
            n += s->w[i] >= floor;
        }
    }
    if (s->top_p > 0 && s->top_p < 1)
        n = keep_prefix(s, n, 1, (double)s->top_p * sum);
    if (s->min_p > 0) {
        uint32_t kept = 0;
        for (uint32_t j = 0; j < n; j++) {
            s->ids[kept] = s->ids[j];
            s->w[kept] = s->w[j];
            kept += s->w[j] >= s->min_p;
        }
        n = kept;
    }
    return draw(s, n, mote__sampler_uniform(s->state.seed, s->state.index));
}

mote_status mote__sampler_sample(mote__sampler *s, const float *logits,
        const int32_t *history, uint32_t n_history, const uint32_t *mask,
        int32_t *token, float *logprob, mote_error *err)
{
    uint32_t n = s->vocab_size;
    *token = -1;
    if (copy_checked(s->z, logits, n)) {
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
    float max = maximum(s->z, n);
    if (max == -INFINITY)
        return mote__fail(err, MOTE_E_NUMERIC,
                "no token of %" PRIu32
                " is left: all are masked, banned or have a logit of -inf",
                n);
    uint32_t id = s->temperature > 0 ? choose(s, max) : first_equal(s->z, n, max);
    if (logprob) {
        float top = maximum(logits, n);
        *logprob = (float)((double)logits[id] - (double)top - log_sum(logits, n, top));
    }
    *token = (int32_t)id;
    s->state.index++;
    return MOTE_OK;
}
