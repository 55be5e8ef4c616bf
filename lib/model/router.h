/* SPDX-License-Identifier: MIT */
/* Gating: which experts a token goes to, and with what weight (report section 2.1.2,
 * equations 13 to 16; V2 report equations 16 to 18). */
#ifndef MOTE_MODEL_ROUTER_H
#define MOTE_MODEL_ROUTER_H
#include "model/config.h"

/* From router logits [n_routed_experts] (overwritten by the scores before the bias)
 * choose num_experts_per_tok experts, by descending (biased) score, ties to the lower
 * id. bias: e_score_correction_bias or NULL. biased: scratch [n_routed_experts +
 * n_group]. */
void mote__route(const mote__config *c, float *scores, const float *bias, float *biased,
        uint32_t *ids, float *weights);
#endif
