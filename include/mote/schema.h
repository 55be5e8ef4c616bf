/* SPDX-License-Identifier: MIT */
/**
 * @file schema.h
 * @defgroup schema Constrained output
 *
 * A schema compiles JSON Schema (or "any JSON value") into a machine that masks the
 * vocabulary at every step, so that a finished generation always parses and validates.
 * Immutable, shared by any number of sessions of models with the same tokenizer.
 *
 * @code
 * mote_schema *schema;
 * mote_schema_open(&schema, tok, "{\"enum\":[\"yes\",\"no\"]}", 21, &err);
 * generate.schema = schema;
 * @endcode
 * @{
 */
#ifndef MOTE_SCHEMA_H
#define MOTE_SCHEMA_H
#include "common.h"
#include "tokenizer.h"
MOTE_BEGIN_DECLS

/** A compiled constraint. */
typedef struct mote_schema mote_schema;

/** Compile a JSON Schema: type, properties, required, additionalProperties, items,
 *  prefixItems, minItems, maxItems, enum, const, anyOf, oneOf (where branches exclude each
 *  other), allOf of one, $ref to local definitions, minLength, maxLength, minimum, maximum
 *  and the exclusive bounds. Other keywords that would constrain are refused by name.
 *  What is generated is compact JSON with the properties in the schema's order, and always
 *  ends: doc/constrained.md states the limits.
 *  @param json  schema text, borrowed; NULL: any JSON object or array ("JSON mode")
 *  @param tokenizer  must outlive the schema
 *  @return MOTE_OK; MOTE_E_FORMAT for a text that is no schema or that no value satisfies;
 *          MOTE_E_UNSUPPORTED for one that mote cannot honour. Any thread. @since 0.1 */
MOTE_API mote_status mote_schema_open(mote_schema **out, const mote_tokenizer *tokenizer,
        const char *json, size_t n_bytes, mote_error *err);
/** Close; NULL is allowed. No generation may be using it. @since 0.1 */
MOTE_API void mote_schema_close(mote_schema *schema);

MOTE_END_DECLS
/** @} */
#endif
