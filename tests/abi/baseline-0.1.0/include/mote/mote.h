/* SPDX-License-Identifier: MIT */
#ifndef MOTE_MOTE_H
#define MOTE_MOTE_H
#include "common.h"
#include "version.h"
#include "options.h"
#include "tokenizer.h"
#include "chat.h"
#include "model.h"
#include "sampler.h"
#include "schema.h"
#include "session.h"
#include "pack.h"
#endif
