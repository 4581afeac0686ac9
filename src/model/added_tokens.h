/* added_tokens — strings in a prompt that are always one token, without applying the merges.
 *
 * A tokenizer's directory may define tokens in addition to the vocabulary: those for which
 * textual inversion added a row to the token embedding ("<my-cat>": 49408), and the
 * special ones (begin and end of text, padding). They are read in the same way as by transformers'
 * CLIPTokenizer:
 *
 *     tokenizer_config.json    added_tokens_decoder: {"49408": {"content": "<my-cat>", ...}};
 *                              bos_token, eos_token, unk_token, pad_token,
 *                              additional_special_tokens, extra_special_tokens
 *     special_tokens_map.json  these named ones again; used without added_tokens_decoder
 *     added_tokens.json        {"<my-cat>": 49408}
 *     tokenizer.json           added_tokens: [{"id": 49408, "content": "<my-cat>", ...}]; used
 *                              without added_tokens_decoder
 *
 * A token is searched in the prompt as it is written or, if "normalized" is set, in the prompt in
 * lower case and Unicode-composed. The first match counts; of matches that begin at the same
 * place, the longest. Special tokens that are plain strings are not normalised, others are.
 * lstrip and rstrip have no effect, because white space beside a token is always dropped. Options that would
 * change ids and are not supported are errors: single_word, split_special_tokens, and begin or
 * end of text tokens other than CLIP's.
 *
 * Without such files there are two: "<|endoftext|>" as written, "<|startoftext|>" normalised.
 *
 * Read-only once built: any thread. init/finish; the caller's struct.
 * Source: transformers 5 tokenization_utils_base.py (_from_pretrained), tokenizers 0.23
 * added_vocabulary.rs.
 */
#ifndef MODEL_ADDED_TOKENS_H
#define MODEL_ADDED_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"

#define BOS_SYMBOL "<|startoftext|>"
#define EOS_SYMBOL "<|endoftext|>"

enum {
    ADDED_TOKENS_MAX = 10000,
    ADDED_TOKEN_MAX_BYTES = 1024,
    ADDED_TOKEN_MAX_ID = (1 << 24) - 1,
};

struct added_token {
    const char *text;
    int32_t id;         /* -1 while it is only known by its text */
    bool is_normalized; /* looked for in the normalised prompt */
    const int32_t
        *points; /* what is looked for; in the normalised prompt white space is ' ' */
    int32_t point_count;
};

struct added_tokens {
    struct added_token
        *items; /* as written first, then normalised; each sorted by points */
    int32_t count, raw_count;
    const char *pad; /* pad_token, where a file names one; else NULL */
    /* private below */
    int32_t capacity;
    struct pool pool;
};

/* Read a directory's files: texts and flags, and the ids that they give. On error *tokens is as
 * finish leaves it. Errors: DR_IO, DR_CORRUPT, DR_UNSUPPORTED name file, key and value. */
enum dr_code added_tokens_read(struct added_tokens *tokens, const char *folder,
                               struct dr_error *err) DR_MUST_CHECK;
/* When each has its id: find the points, and sort. Errors: DR_NOMEM. */
enum dr_code added_tokens_build(struct added_tokens *tokens,
                                struct dr_error *err) DR_MUST_CHECK;
void added_tokens_finish(struct added_tokens *tokens);

const struct added_token *added_tokens_find(const struct added_tokens *tokens,
                                            const char *text);

/* A search for the token that begins at one place: call step with one code point after the other
 * until it returns false. Then found is the longest token that matched completely, or -1, and found_points
 * is its number of code points. */
struct token_search {
    int32_t first, end; /* the tokens that agree so far */
    int32_t depth;
    int32_t found, found_points;
};
struct token_search token_search_raw(const struct added_tokens *tokens);
struct token_search token_search_normalized(const struct added_tokens *tokens);
bool token_search_step(struct token_search *search, const struct added_tokens *tokens,
                       int32_t point);

#endif
