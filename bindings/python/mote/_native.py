# SPDX-License-Identifier: MIT
"""The C interface as ctypes sees it: structs, functions, and where the library is.

Struct layouts are those of include/mote/*.h; tests compare every offset with a C program.
"""

from __future__ import annotations

import ctypes as C
import ctypes.util
import os
import sys
from pathlib import Path
from typing import Any, Iterator, List, Tuple

HERE = Path(__file__).resolve().parent

OK, DONE = 0, 1
(
    E_INVALID,
    E_MEMORY,
    E_IO,
    E_FORMAT,
    E_UNSUPPORTED,
    E_NOT_FOUND,
    E_CONTEXT_FULL,
    E_CANCELLED,
    E_NUMERIC,
    E_MISMATCH,
    E_BUDGET,
) = range(-1, -12, -1)

ENCODE_BOS, ENCODE_SPECIAL = 1, 2
DECODE_SKIP_SPECIAL = 1
CHAT_GENERATE, CHAT_THINK, CHAT_KEEP_REASONING = 1, 2, 4
CHANNELS = ("content", "reasoning", "tool")
STOPS = (None, "eos", "length", "stop", "context", "schema")

OPTIONS_MODEL, OPTIONS_SESSION, OPTIONS_SAMPLER, OPTIONS_GENERATE, OPTIONS_PACK = range(1, 6)

ProgressFn = C.CFUNCTYPE(C.c_int32, C.c_void_p, C.c_char_p, C.c_uint64, C.c_uint64)
LogFn = C.CFUNCTYPE(None, C.c_void_p, C.c_int32, C.c_char_p)


class Error(C.Structure):
    _fields_ = [("status", C.c_int32), ("message", C.c_char * 508)]


class Sized(C.Structure):
    """A struct whose first member is its size, as this binding knows it."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.struct_size = C.sizeof(self)


def _u32(*names: str) -> List[Tuple[str, Any]]:
    return [(n, C.c_uint32) for n in names]


def _u64(*names: str) -> List[Tuple[str, Any]]:
    return [(n, C.c_uint64) for n in names]


class ModelOptions(Sized):
    _fields_ = [
        ("struct_size", C.c_uint32),
        ("n_threads", C.c_uint32),
        ("memory_bytes", C.c_uint64),
        ("mapping", C.c_uint32),
        ("mtp", C.c_uint32),
        ("isa", C.c_char_p),
        ("progress", ProgressFn),
        ("progress_user", C.c_void_p),
        ("log", LogFn),
        ("log_user", C.c_void_p),
        ("alloc", C.c_void_p),
        ("free", C.c_void_p),
        ("alloc_user", C.c_void_p),
        ("parallel", C.c_void_p),
        ("parallel_user", C.c_void_p),
        ("reading", C.c_uint32),
        ("reserved", C.c_uint32),
    ]


class ModelInfo(Sized):
    _fields_ = (
        [("struct_size", C.c_uint32), ("architecture", C.c_int32)]
        + _u32(
            "vocab_size", "hidden_size", "num_hidden_layers", "first_k_dense_replace",
            "num_attention_heads", "q_lora_rank", "kv_lora_rank", "qk_nope_head_dim",
            "qk_rope_head_dim", "v_head_dim", "intermediate_size", "moe_intermediate_size",
            "n_routed_experts", "n_shared_experts", "num_experts_per_tok", "n_group",
            "topk_group", "num_nextn_predict_layers", "mtp_loaded",
            "max_position_embeddings", "yarn", "tied", "scoring", "routing",
        )
        + [
            ("routed_scaling_factor", C.c_float),
            ("rope_theta", C.c_float),
            ("rope_factor", C.c_float),
            ("rms_norm_eps", C.c_float),
            ("bos_token_id", C.c_int32),
            ("eos_token_id", C.c_int32),
            ("default_temperature", C.c_float),
            ("default_top_p", C.c_float),
        ]
        + _u64(
            "parameters_total", "parameters_active", "parameters_mtp", "bytes_f32",
            "bytes_bf16", "bytes_fp8", "bytes_int8", "bytes_int4", "bytes_active",
            "bytes_mapped", "bytes_allocated", "kv_bytes_per_token_f32",
            "kv_bytes_per_token_bf16", "kv_bytes_per_token_fp8", "fingerprint",
        )
    )


class SamplerOptions(Sized):
    _fields_ = [
        ("struct_size", C.c_uint32),
        ("temperature", C.c_float),
        ("top_k", C.c_uint32),
        ("top_p", C.c_float),
        ("min_p", C.c_float),
        ("repetition_penalty", C.c_float),
        ("presence_penalty", C.c_float),
        ("frequency_penalty", C.c_float),
        ("penalty_tokens", C.c_uint32),
        ("n_bias", C.c_uint32),
        ("seed", C.c_uint64),
        ("bias_tokens", C.POINTER(C.c_int32)),
        ("bias_values", C.POINTER(C.c_float)),
    ]


class SessionOptions(Sized):
    _fields_ = (
        [("struct_size", C.c_uint32)]
        + _u32(
            "context_tokens", "prefill_tokens", "kv_type", "precision", "deterministic",
            "keep_tokens", "draft", "draft_tokens", "reserved",
        )
        + [("progress", ProgressFn), ("progress_user", C.c_void_p)]
        + _u32("attention", "reserved_2")
    )


class GenerateOptions(Sized):
    _fields_ = (
        [("struct_size", C.c_uint32)]
        + _u32(
            "max_tokens", "ignore_eos", "think_tokens_max", "starts_in_reasoning", "n_stop",
            "show_special", "seed_from_state",
        )
        + [
            ("stop", C.POINTER(C.c_char_p)),
            ("schema", C.c_void_p),
            ("format", C.c_void_p),
        ]
    )


class CPiece(Sized):
    _fields_ = (
        [("struct_size", C.c_uint32)]
        + _u32("channel", "n_bytes", "n_tokens", "stop", "tool_index")
        + [
            ("text", C.c_void_p),
            ("tool_name", C.c_char_p),
            ("tokens", C.POINTER(C.c_int32)),
            ("logprobs", C.POINTER(C.c_float)),
        ]
    )


class CSessionStats(Sized):
    _fields_ = (
        [("struct_size", C.c_uint32), ("reserved", C.c_uint32)]
        + _u64(
            "prompt_tokens", "reused_tokens", "generated_tokens", "prompt_ns",
            "generate_ns", "passes",
        )
        + [("drafted", C.c_uint64 * 4), ("accepted", C.c_uint64 * 4)]
        + _u64("reasoning_tokens", "kv_bytes", "total_bytes")
    )


class PackOptions(Sized):
    _fields_ = [
        ("struct_size", C.c_uint32),
        ("type", C.c_uint32),
        ("expert_type", C.c_uint32),
        ("zstd_level", C.c_int32),
        ("importance", C.c_char_p),
        ("progress", ProgressFn),
        ("progress_user", C.c_void_p),
    ]


#: struct name in C -> class here; the layout test walks it.
STRUCTS = {
    "mote_error": Error,
    "mote_model_options": ModelOptions,
    "mote_model_info": ModelInfo,
    "mote_sampler_options": SamplerOptions,
    "mote_session_options": SessionOptions,
    "mote_generate_options": GenerateOptions,
    "mote_piece": CPiece,
    "mote_session_stats": CSessionStats,
    "mote_pack_options": PackOptions,
}

_P, _S, _Z, _I, _U = C.c_void_p, C.c_char_p, C.c_size_t, C.c_int32, C.c_uint32
_ERR = C.POINTER(Error)
_OUT = C.POINTER(C.c_void_p)
_SIZE = C.POINTER(C.c_size_t)
_IDS = C.POINTER(C.c_int32)
_FLOATS = C.POINTER(C.c_float)

#: name -> (result, arguments)
FUNCTIONS = {
    "mote_status_name": (_S, [_I]),
    "mote_version_number": (_U, []),
    "mote_version_string": (_S, []),
    "mote_version_isa": (_S, []),
    "mote_options_set_text": (_I, [_I, _P, _S, _S, _ERR]),
    "mote_tokenizer_open": (_I, [_OUT, _S, _ERR]),
    "mote_tokenizer_close": (None, [_P]),
    "mote_tokenizer_encode": (_I, [_P, _S, _Z, _U, _IDS, _Z, _SIZE, _ERR]),
    "mote_tokenizer_decode": (_I, [_P, _IDS, _Z, _U, _S, _Z, _SIZE, _ERR]),
    "mote_tokenizer_token": (_P, [_P, _I, _SIZE]),
    "mote_tokenizer_find": (_I, [_P, _S, _Z]),
    "mote_tokenizer_is_special": (_I, [_P, _I]),
    "mote_tokenizer_size": (_I, [_P]),
    "mote_tokenizer_bos": (_I, [_P]),
    "mote_tokenizer_eos": (_I, [_P]),
    "mote_chat_format_find": (_P, [_S, _ERR]),
    "mote_chat_format_at": (_P, [_U]),
    "mote_chat_format_of": (_P, [_P, _ERR]),
    "mote_chat_format_name": (_S, [_P]),
    "mote_chat_render_text": (_I, [_P, _S, _Z, _U, _S, _Z, _S, _Z, _SIZE, _ERR]),
    "mote_chat_render": (_I, [_P, _P, _S, _Z, _U, _S, _Z, _IDS, _Z, _SIZE, _ERR]),
    "mote_model_open": (_I, [_OUT, _S, C.POINTER(ModelOptions), _ERR]),
    "mote_model_close": (None, [_P]),
    "mote_model_get_info": (_I, [_P, C.POINTER(ModelInfo), _ERR]),
    "mote_model_tokenizer": (_P, [_P]),
    "mote_model_isa": (_S, [_P]),
    "mote_model_threads": (_U, [_P]),
    "mote_schema_open": (_I, [_OUT, _P, _S, _Z, _ERR]),
    "mote_schema_close": (None, [_P]),
    "mote_session_open": (_I, [_OUT, _P, C.POINTER(SessionOptions), _ERR]),
    "mote_session_close": (None, [_P]),
    "mote_session_fork": (_I, [_OUT, _P, _ERR]),
    "mote_session_eval": (_I, [_P, _IDS, _Z, _ERR]),
    "mote_session_prompt": (_I, [_P, _IDS, _Z, _ERR]),
    "mote_session_position": (_U, [_P]),
    "mote_session_context_tokens": (_U, [_P]),
    "mote_session_token": (_I, [_P, _U]),
    "mote_session_rewind": (_I, [_P, _U, _ERR]),
    "mote_session_reset": (None, [_P]),
    "mote_session_logits": (_I, [_P, _U, _FLOATS, _Z, _ERR]),
    "mote_session_logprobs": (_I, [_P, _U, _FLOATS, _Z, _ERR]),
    "mote_session_mtp_logits": (_I, [_P, _U, _FLOATS, _Z, _ERR]),
    "mote_session_cancel": (None, [_P]),
    "mote_session_generate": (
        _I, [_P, C.POINTER(GenerateOptions), C.POINTER(SamplerOptions), _ERR]),
    "mote_session_next": (_I, [_P, C.POINTER(CPiece), _ERR]),
    "mote_session_get_stats": (_I, [_P, C.POINTER(CSessionStats), _ERR]),
    "mote_session_save": (_I, [_P, _P, _Z, _SIZE, _ERR]),
    "mote_session_save_file": (_I, [_P, _S, _ERR]),
    "mote_session_load": (_I, [_P, _P, _Z, _ERR]),
    "mote_session_load_file": (_I, [_P, _S, _ERR]),
    "mote_pack_write": (_I, [_S, _S, C.POINTER(PackOptions), _ERR]),
    "mote_pack_verify": (_I, [_S, ProgressFn, _P, _ERR]),
}


def candidates() -> Iterator[str]:
    """Where the library may be, best first: MOTE_LIBRARY, beside this file, the system."""
    names = {
        "darwin": ["libmote.0.dylib", "libmote.dylib"],
        "win32": ["mote-0.dll", "libmote-0.dll", "mote.dll"],
    }.get(sys.platform, ["libmote.so.0", "libmote.so"])
    named = os.environ.get("MOTE_LIBRARY")
    if named:
        yield named
        return
    yield from (str(HERE / n) for n in names if (HERE / n).exists())
    yield from names
    system = ctypes.util.find_library("mote")  # slow: it runs programs
    if system:
        yield system


def load() -> C.CDLL:
    """Open the library and declare its functions."""
    problems = []
    for name in candidates():
        try:
            lib = C.CDLL(name)
            break
        except OSError as e:
            problems.append(f"{name}: {e}")
    else:
        raise ImportError(
            "the mote library was not found: install it, put it beside the package, or set "
            "MOTE_LIBRARY to its path\n  " + "\n  ".join(problems)
        )
    for name, (result, arguments) in FUNCTIONS.items():
        f = getattr(lib, name)
        f.restype = result
        f.argtypes = arguments
    return lib


lib = load()
#: mote_session_next() for a loop: the caller passes ctypes objects, nothing is converted.
session_next = lib["mote_session_next"]
