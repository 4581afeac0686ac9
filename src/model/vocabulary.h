/* vocabulary — CLIP's symbols: the id of each byte, and which two ids merge to which id.
 *
 * A tokenizer's directory has vocab.json, {"symbol": id, ...}, and merges.txt, two symbols a line, the
 * merge with the highest priority first. In both files a byte is written as one character: bytes that are
 * printable in Latin-1 as themselves, the others as U+0100 and up, in order. "</w>" ends a
 * word. Lines may end in CRLF, and either file may begin with a UTF-8 byte order mark. After opening only ids are kept: the symbols' text is needed for resolving the merges
 * and is dropped with the JSON.
 *
 * Memory: 1.1 MB for CLIP's 49,408 ids and 48,894 merges, in one pool; about 9 MB while
 * opening, which go back to the system. Time: CLIP's take about 50 ms, nearly all of it JSON.
 * Read-only once open: any thread. open/close in the caller's struct.
 * Source: OpenAI CLIP, simple_tokenizer.py (bytes_to_unicode); Hugging Face tokenizers, BPE.
 */
#ifndef MODEL_VOCABULARY_H
#define MODEL_VOCABULARY_H

#include "base/error.h"
#include "base/pool.h"
#include "model/added_tokens.h"

#include <stdint.h>

/* One merge. Its index in the table is its rank: lower ranks are applied first. */
struct merge {
    int32_t left, right, result;
};

struct vocabulary {
    int32_t count;             /* largest id of vocab.json + 1 */
    int32_t bos, eos;          /* "<|startoftext|>", "<|endoftext|>" */
    int32_t byte_ids[256];     /* a byte inside a word */
    int32_t byte_end_ids[256]; /* a byte at a word's end */
    struct merge *merges;
    int32_t merge_count;
    struct added_tokens
        added;   /* whole texts that are one token, BOS and EOS among them */
    int32_t pad; /* the id of pad_token, where a file names one; else -1 */
    /* private below: a hash table of ranks, by the pair; -1 is a free place */
    int32_t *ranks;
    uint32_t rank_mask;
    struct pool pool;
};

/* On error *vocabulary is as close leaves it. Errors: DR_NOT_FOUND (no such files: says which
 * and how to get them), DR_IO, DR_CORRUPT (names the file, and the line or symbol), DR_NOMEM.
 * Fault place: FAULT_READ. */
enum dr_code vocabulary_open(struct vocabulary *vocabulary, const char *folder,
                             struct dr_error *err) DR_MUST_CHECK;
void vocabulary_close(struct vocabulary *vocabulary);

/* The rank of the merge of two ids, or -1. */
int32_t vocabulary_rank(const struct vocabulary *vocabulary, int32_t left,
                        int32_t right);

#endif
