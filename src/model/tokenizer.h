/* tokenizer — CLIP's byte-level BPE: a prompt becomes 77 token ids.
 *
 * Equal to Hugging Face's CLIPTokenizer on every string (tested on a list): NFC, runs of white
 * space to one space, lower case (Unicode), split by CLIP's pattern, byte-level BPE with "</w>".
 * Reference: transformers tokenization_clip.py; OpenAI CLIP simple_tokenizer.py (2103.00020).
 *
 * Read-only once open: any number of threads may encode.
 */
#ifndef MODEL_TOKENIZER_H
#define MODEL_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { TOKENIZER_POSITIONS = 77 };

struct tokenizer; /* opaque */

/* Open vocab.json and merges.txt of a folder. Errors: DR_NOT_FOUND (names both files and the
 * script that fetches the vocabulary), DR_CORRUPT, DR_NOMEM. */
enum dr_code tokenizer_open(struct tokenizer **out, const char *folder,
                            struct dr_error *err) DR_MUST_CHECK;
void tokenizer_close(struct tokenizer **tokenizer);

struct token_list {
    int32_t ids[TOKENIZER_POSITIONS]; /* BOS, tokens, EOS, padding with pad */
    int32_t count;      /* tokens with BOS and EOS, <= 77 */
    int32_t cut_count;  /* tokens that did not fit and were cut; 0: none */
    int32_t eos_idx;    /* position of the first EOS */
};

/* text is UTF-8; bytes that are not are replaced by U+FFFD as Python's decoder does.
 * pad: the id for padding; -1 means the EOS id (tokenizer 1), SDXL's second one pads with 0.
 * Cannot fail but for DR_BAD_INPUT: a prompt above 1 MiB. */
enum dr_code tokenizer_encode(const struct tokenizer *tokenizer, const char *text,
                              int32_t pad, struct token_list *tokens,
                              struct dr_error *err) DR_MUST_CHECK;

/* The first cut_count tokens' text is gone: the words that were cut, for the message, into out
 * (a whole number of characters, "..." when longer). */
void tokenizer_cut_text(const struct tokenizer *tokenizer, const char *text, char *out,
                        size_t out_bytes);

int32_t tokenizer_vocabulary(const struct tokenizer *tokenizer); /* number of ids */

#endif
