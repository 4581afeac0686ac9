/* tokenizer — CLIP's byte-level BPE: a prompt becomes 77 token ids.
 *
 *     prompt --prompt_text--> code points --pattern--> words --vocabulary--> ids
 *
 * Texts that a directory adds as tokens of their own (added_tokens.h) are found before all else.
 * Equal to Hugging Face's CLIPTokenizer of transformers 5 (tokenizers' BPE, set up by CLIP's
 * tokenizer_config.json) on every string, tested on a list: NFC, white space, lower case, split
 * by CLIP's pattern, byte-level BPE with "</w>". CLIPTokenizerFast of transformers 4 differs in
 * letters younger than Unicode 15 and in that it finds "<|endoftext|>" in any case; the slow one
 * of transformers 4 cleaned the text (control characters dropped, CJK parted, or all of it
 * repaired by ftfy where installed), so it is another tokenizer and no reference here.
 * Reference: transformers tokenization_clip.py; OpenAI CLIP simple_tokenizer.py (2103.00020).
 *
 * Read-only once open: any number of threads may encode. Encoding takes, and gives back, about
 * 4 bytes for each code point of the prompt and 28 for each byte of its longest word.
 */
#ifndef MODEL_TOKENIZER_H
#define MODEL_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"

enum {
    TOKENIZER_POSITIONS = 77
};

struct tokenizer; /* opaque */

/* Open vocab.json and merges.txt of a folder, and what it says of added tokens. Errors: DR_NOT_FOUND (names both files and the
 * script that fetches the vocabulary), DR_IO, DR_CORRUPT, DR_NOMEM. */
enum dr_code tokenizer_open(struct tokenizer **out, const char *folder,
                            struct dr_error *err) DR_MUST_CHECK;
void tokenizer_close(struct tokenizer **tokenizer);

struct token_list {
    int32_t ids[TOKENIZER_POSITIONS]; /* BOS, tokens, EOS, padding with pad */
    int32_t count;                    /* tokens with BOS and EOS, <= 77 */
    int32_t cut_count; /* tokens that did not fit and were cut; 0: none */
    int32_t eos_idx;   /* position of the first EOS */
};

/* text is UTF-8; bytes that are not are replaced by U+FFFD as Python's decoder does.
 * pad: the id for padding; -1 means the EOS id (tokenizer 1), SDXL's second one pads with 0.
 * Errors: DR_BAD_INPUT (a prompt above 1 MiB), DR_NOMEM; *tokens is then as it was.
 * Cost: O(n log n) in the bytes, below a second for 1 MiB. */
enum dr_code tokenizer_encode(const struct tokenizer *tokenizer, const char *text,
                              int32_t pad, struct token_list *tokens,
                              struct dr_error *err) DR_MUST_CHECK;

/* A word of a text, as the tokenizer splits it, with its tokens. */
struct token_word {
    const char *text; /* normalised: lower case */
    const int32_t *ids;
    int32_t id_count; /* at least 1 */
};
struct token_words {
    struct token_word *words;
    int32_t count, id_count; /* of all */
};
/* All words of a text, without BOS and EOS, however many; everything is in the pool. Errors: as
 * tokenizer_encode. */
enum dr_code tokenizer_split(const struct tokenizer *tokenizer, const char *text,
                             struct pool *pool, struct token_words *words,
                             struct dr_error *err) DR_MUST_CHECK;

/* The number of ids of vocab.json; added tokens may have higher ones. */
int32_t tokenizer_vocabulary(const struct tokenizer *tokenizer);
/* The padding id that the files define; -1: none. */
int32_t tokenizer_pad(const struct tokenizer *tokenizer);
/* The text of an added token; NULL where no added token has this id. Borrowed. */
const char *tokenizer_added_text(const struct tokenizer *tokenizer, int32_t id);
/* Are the files of this directory still those that were opened? */
bool tokenizer_is_current(const struct tokenizer *tokenizer, const char *folder);

#endif
