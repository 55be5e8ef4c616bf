/* SPDX-License-Identifier: MIT */
/* The table of arithmetic operations, and the contract of each.
 *
 * Kernels never allocate, lock, log or fail; all checking is done above. The scalar
 * variant is the specification. Within one ISA variant the order of additions for an
 * output element depends on the shape alone: not on the number of tokens in the call, nor
 * on which panels or heads a call covers. Between variants results differ by rounding.
 *
 * WEIGHTS: panels. A matrix W[n_rows][n_cols] (y = W x) is cut into panels of 16 rows;
 * rows are padded with zeros to a multiple of 16 and columns to k_pad = a multiple of 16.
 * Panel p holds rows 16p..16p+15. "Group" = 4 consecutive k of 16 rows.
 *   E4M3  per group 64 bytes: [row 16][k 4].       scales: float [n_panels][k_blocks],
 *         one per 128 columns: W = e4m3 * scale (128x128 checkpoint blocks fit exactly).
 *         No NaN: whoever reads weights from outside refuses it, so that kernels need not
 *         look for it; they take it for NaN or for 480
 *   BF16  per group 128 bytes: [row 16][k 4] of uint16
 *   F32   per k 64 bytes: [k][row 16] of float
 *   I8    per group 64 bytes: [row 16][k 4], symmetric in [-127,127].
 *         scales: float [n_panels][groups of MOTE_I8_GROUP columns][row 16]
 *   I4    per 64 columns (a part) 576 bytes: scales, bf16 [MOTE_I4_GROUP columns 2][row 16],
 *         then for each two groups 64 bytes [row 16][k 4], low nibble = first group, high
 *         nibble = second group, value = nibble - 8. Columns are padded to whole parts.
 *         Memory is read fastest as one stream: one token reads 1.16 times as fast as with
 *         scales of their own, and 1.06 to 1.1 times as fast as with these behind the data
 * Data and scales are 64-byte aligned. Padding elements are zero (nibble 8 for I4).
 *
 * ACTIVATIONS are packed once per use by act_pack() into the form that the weight type and
 * precision want, then shared by every matrix that reads them. */
#ifndef MOTE_KERNELS_KERNELS_H
#define MOTE_KERNELS_KERNELS_H
#include <stddef.h>
#include <stdint.h>

#define MOTE_PANEL 16      /* rows in a panel */
#define MOTE_BLOCK 128     /* columns that share an E4M3 scale */
#define MOTE_I8_GROUP 64   /* columns that share an int8 scale (per row) */
#define MOTE_I4_GROUP 32   /* columns that share an int4 scale (per row) */
/* A part of an int4 panel: columns, bytes of scales, bytes in all */
#define MOTE_I4_PART (2 * MOTE_I4_GROUP)
#define MOTE_I4_PART_SCALES (2 * MOTE_PANEL * 2)
#define MOTE_I4_PART_BYTES (MOTE_I4_PART_SCALES + MOTE_I4_PART * MOTE_PANEL / 2)
#define MOTE_KV_BLOCK 64   /* tokens in a block of the latent cache */

enum mote_k_type { MOTE_K_F32, MOTE_K_BF16, MOTE_K_E4M3, MOTE_K_I8, MOTE_K_I4, MOTE_K_TYPES };
static inline int mote_k_is_integer(uint32_t type) { return type == MOTE_K_I8 || type == MOTE_K_I4; }

/* Form of packed activations. EXACT: fp32 grade (an ISA with bf16 dot products keeps x as
 * a sum of three bf16 terms; others keep fp32). FINE: two bf16 terms, error <= 2^-16
 * relative, or fp32 where there are no bf16 products. BF16: rounded to bf16. INT8: 8-bit
 * with a scale per 32 columns, for I8 and I4 weights through the integer units. I8/I4
 * weights also work with the other forms; E4M3/BF16/F32 weights take any but INT8 (F32
 * weights treat BF16 as rounded floats and the finer forms as fp32). */
enum mote_k_act {
    MOTE_K_ACT_EXACT,
    MOTE_K_ACT_FINE,
    MOTE_K_ACT_BF16,
    MOTE_K_ACT_INT8,
    MOTE_K_ACTS
};
/* Products per weight where there are bf16 products. */
static inline uint32_t mote_k_terms(uint32_t form)
{
    return form == MOTE_K_ACT_EXACT ? 3u : form == MOTE_K_ACT_FINE ? 2u : 1u;
}

/* Form of the latent cache. */
enum mote_k_kv { MOTE_K_KV_F32, MOTE_K_KV_BF16, MOTE_K_KV_FP8, MOTE_K_KVS };

typedef struct mote_k_matrix {
    const void *data;
    const float *scales; /* NULL for F32, BF16 and I4 */
    uint32_t n_rows, n_cols;
    uint32_t type; /* enum mote_k_type */
    uint32_t pad;
} mote_k_matrix;

static inline uint32_t mote_k_panels(uint32_t n_rows) { return (n_rows + 15u) / 16u; }
static inline uint32_t mote_k_pad(uint32_t n_cols) { return (n_cols + 15u) & ~15u; }
size_t mote_k_data_bytes(uint32_t type, uint32_t n_rows, uint32_t n_cols);  /* whole matrix */
size_t mote_k_scale_count(uint32_t type, uint32_t n_rows, uint32_t n_cols); /* floats */

/* Latent cache of one layer as blocks of MOTE_KV_BLOCK tokens. A block is contiguous:
 *   F32   float  [64][kv_lora_rank] then float  [64][rope]
 *   BF16  uint16 [64][kv_lora_rank] then uint16 [64][rope]
 *   FP8   e4m3   [64][kv_lora_rank] then uint16 (bf16) [64][rope]
 *         then float [64][ceil(kv_lora_rank/128)] scales
 * each array padded to a multiple of 64 bytes. */
size_t mote_k_kv_block_bytes(uint32_t kv, uint32_t kv_lora_rank, uint32_t rope);

typedef struct mote_kernels {
    const char *name; /* of the highest ISA used: "scalar", "avx2", "avx512", ... */
    uint32_t flags;   /* the CPU flags it was filled for */

    /* Bytes of one packed activation row of k values (a multiple of 64). */
    size_t (*act_bytes)(uint32_t form, uint32_t k);
    /* Pack n rows: dst + i*act_bytes(form,k) from x + i*ldx (floats). Columns up to
     * k_pad are zero in dst. x need not be aligned. */
    void (*act_pack)(void *dst, uint32_t form, const float *x, size_t ldx, uint32_t k,
            uint32_t n);

    /* y[i*ldy + r] = sum_k W[r][k] x_i[k] for rows r of panels [begin, end) with
     * r < n_rows, tokens i < n. x row i is act + (index ? index[i] : i) * act_bytes. */
    void (*matmul)(float *y, size_t ldy, const mote_k_matrix *w, uint32_t begin,
            uint32_t end, const void *act, uint32_t form, const uint32_t *index,
            uint32_t n);
    /* h[i*ldh + r] = silu(gate x_i)[r] * (up x_i)[r]; as matmul twice, fused. */
    void (*gate_up)(float *h, size_t ldh, const mote_k_matrix *gate,
            const mote_k_matrix *up, uint32_t begin, uint32_t end, const void *act,
            uint32_t form, const uint32_t *index, uint32_t n);

    /* y = x / sqrt(mean(x^2) + eps) * w; y may be x. Sum in fixed order. */
    void (*rmsnorm)(float *y, const float *x, const float *w, uint32_t n, float eps);
    /* Rotate n_heads vectors (stride ld floats) of `rope` values in place; pairs are
     * (2j, 2j+1), cos/sin[j] for one position: (a,b) -> (a c - b s, a s + b c). */
    void (*rope)(float *x, size_t ld, uint32_t n_heads, uint32_t rope, const float *cos,
            const float *sin);
    /* y[i] += a * x[i] */
    void (*axpy)(float *y, float a, const float *x, uint32_t n);
    /* y[i] = a * y[i] + x[i] */
    void (*scale_add)(float *y, float a, const float *x, uint32_t n);
    /* One step of an online softmax: the first n >= 1 of n_pad scores (a multiple of 16)
     * join those seen before. p[i] = exp(scale * p[i] - top), 0 from n on; *top is the
     * largest scaled score so far (-infinity before the first step) and *total the sum
     * of all weights relative to it. Returns what earlier sums are to be multiplied
     * with. The order of additions depends on n_pad alone. */
    float (*soften)(float *p, uint32_t n, uint32_t n_pad, float scale, float *top,
            float *total);
    /* Router, in fp32: scores[i*ld + e] = sum of W[e][k] x[i*ldx + k] for e < n_experts,
     * i < n; W row-major. The order of additions depends on k alone. */
    void (*router)(float *scores, size_t ld, const float *w, const float *x, size_t ldx,
            uint32_t n_experts, uint32_t k, uint32_t n);
    /* max and log(sum(exp(x - max))) + max over n values, fixed order. */
    void (*logsumexp)(const float *x, uint32_t n, float *max, float *lse);
    /* index of the first maximum; NaN never wins; n if all are NaN */
    uint32_t (*argmax)(const float *x, uint32_t n);

    /* Write one token into slot `slot` (0..63) of a cache block. */
    void (*kv_store)(void *block, uint32_t kv, uint32_t slot, const float *c_kv,
            uint32_t kv_lora_rank, const float *k_pe, uint32_t rope);
    /* Read one token back to floats (tests, snapshots, expanded attention). */
    void (*kv_load)(float *c_kv, float *k_pe, const void *block, uint32_t kv,
            uint32_t slot, uint32_t kv_lora_rank, uint32_t rope);

    /* Absorbed MLA attention for heads [0, n_heads) of ONE query over n_tokens cached
     * tokens: s_t = scale * (q_c . c_t + q_pe . k_t); p = softmax(s);
     * out[h][kv_lora_rank] = sum_t p_t c_t. q: per head q_c [kv_lora_rank] at
     * q + h*ldq, q_pe [rope] at q_pe + h*ldq_pe. blocks[b] is cache block b. The cache is
     * walked in blocks of 64 tokens with online softmax in fp32, always in that order, and
     * a head's result does not depend on n_heads of the call.
     * stats NULL, or [n_heads][2]: parts of a longer cache are to be joined. Then out is
     * the sum of p_t c_t, p_t = exp(s_t - top), and stats[h] its top (-infinity without
     * tokens) and the sum of all p_t; out / that sum has the bits of stats NULL where the
     * quotient is taken as a product with its inverse.
     * more: blocks behind the last one are there and will be asked for next.
     * scratch: attend_scratch(n_heads, kv_lora_rank, rope) bytes, 64-byte aligned. */
    size_t (*attend_scratch)(uint32_t n_heads, uint32_t kv_lora_rank, uint32_t rope);
    void (*attend)(float *out, size_t ldo, const float *q, size_t ldq,
            const float *q_pe, size_t ldq_pe, const void *const *blocks, uint32_t kv,
            uint32_t n_tokens, uint32_t n_heads, uint32_t kv_lora_rank, uint32_t rope,
            float scale, float *stats, uint32_t more, void *scratch);
    /* The same where bf16 activations are good enough (prefill in the BF16 form): q, the
     * weights p and the cached values may be rounded to bf16 before multiplying. An ISA
     * without bf16 products has attend here. Same scratch. */
    void (*attend_bf16)(float *out, size_t ldo, const float *q, size_t ldq,
            const float *q_pe, size_t ldq_pe, const void *const *blocks, uint32_t kv,
            uint32_t n_tokens, uint32_t n_heads, uint32_t kv_lora_rank, uint32_t rope,
            float scale, float *stats, uint32_t more, void *scratch);

    /* NULL, or put into the table what reads faster where no other thread reads. Bits
     * stay the same. */
    void (*alone)(struct mote_kernels *table);
} mote_kernels;

/* Fill the table for `flags` (MOTE_CPU_... bits): pure, no global state. */
void mote__kernels_init(mote_kernels *table, uint32_t flags);
/* Flags of a variant by name ("scalar", "avx2", "avx512", "avx512bf16", "neon",
 * "neon_dot"), or UINT32_MAX. */
uint32_t mote__kernels_flags(const char *name);

/* Packing into panels: shared by checkpoint loading and the pack, one row panel at a time.
 * `rows` holds fp32 values of up to 16 rows [n_live][n_cols], ld floats apart. */
void mote_k_pack_f32(void *panel, const float *rows, size_t ld, uint32_t n_live, uint32_t n_cols);
void mote_k_pack_bf16(void *panel, const uint16_t *rows, size_t ld, uint32_t n_live, uint32_t n_cols);
void mote_k_pack_e4m3(void *panel, const uint8_t *rows, size_t ld, uint32_t n_live, uint32_t n_cols);
/* Columns [column, column + 16) of w (BF16 or E4M3; column a multiple of 16) as a panel of 16
 * rows of w->n_rows columns. Bytes only: scales are the caller's. */
void mote_k_pack_columns(void *panel, const mote_k_matrix *w, uint32_t column);
/* Element of row r, column k of an I4 panel. */
float mote_k_i4_value(const void *panel, uint32_t r, uint32_t k);
/* Quantise to a panel, of I8 also its scales [groups][16]; weight importance per column or NULL. */
void mote_k_quant_i8(void *panel, float *scales, const float *rows, size_t ld, uint32_t n_live, uint32_t n_cols, const float *importance);
void mote_k_quant_i4(void *panel, const float *rows, size_t ld, uint32_t n_live, uint32_t n_cols, const float *importance);
/* One panel back to fp32 rows [16][n_cols]. scale applies to E4M3/I8/I4. */
void mote_k_unpack(float *rows, size_t ld, const mote_k_matrix *w, uint32_t panel);

float mote_k_e4m3_to_f32(uint8_t v);
size_t mote_k_e4m3_nan(const uint8_t *v, size_t n); /* index of the first NaN; n: none */
uint8_t mote_k_f32_to_e4m3(float v); /* round to nearest even, saturating at 448, NaN stays */
float mote_k_bf16_to_f32(uint16_t v);
uint16_t mote_k_f32_to_bf16(float v); /* round to nearest even */
float mote_k_f16_to_f32(uint16_t v);
#endif
