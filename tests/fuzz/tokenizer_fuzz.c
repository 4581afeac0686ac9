/* tokenizer_fuzz — any bytes as a prompt, with the tiny vocabulary.
 *
 * Whatever the bytes: the tokens are ids of the vocabulary between one BOS and one closing EOS,
 * the same a second time and with white space at both ends.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct tokenizer *tokenizer;

static void open_once(void)
{
    if (tokenizer) return;
    const char *const source = getenv("DARKROOM_SOURCE");
    char folder[4096];
    (void)snprintf(folder, sizeof folder, "%s/tests/data/tiny-tokenizer",
                   source ? source : ".");
    struct dr_error err;
    if (tokenizer_open(&tokenizer, folder, &err) == DR_OK) return;
    fprintf(stderr, "%s (DARKROOM_SOURCE says where the source tree is)\n",
            err.message);
    exit(1);
}

static void check_tokens(const struct token_list *tokens)
{
    assert(tokens->count >= 2 && tokens->count <= TOKENIZER_POSITIONS);
    assert(tokens->cut_count >= 0);
    assert(tokens->cut_count == 0 || tokens->count == TOKENIZER_POSITIONS);
    assert(tokens->eos_idx >= 1 && tokens->eos_idx < tokens->count);
    for (int32_t i = 0; i < TOKENIZER_POSITIONS; ++i) {
        assert(tokens->ids[i] >= 0 && tokens->ids[i] < tokenizer_vocabulary(tokenizer));
        assert((i < tokens->count) || tokens->ids[i] == 7);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    open_once();
    char *const text = malloc(bytes + 3); /* " ", the bytes, "\n" and the end */
    assert(text);
    text[0] = ' ';
    memcpy(text + 1, data, bytes);
    text[1 + bytes] = '\0';
    const size_t length = strlen(text); /* a zero byte ends a prompt */

    struct token_list tokens, again;
    enum dr_code code = tokenizer_encode(tokenizer, text + 1, 7, &tokens, NULL);
    if (code == DR_OK) {
        check_tokens(&tokens);
        memcpy(text + length, "\n", 2);
        code = tokenizer_encode(tokenizer, text, 7, &again, NULL);
        assert(code == DR_OK || length + 1 > 1024 * 1024);
        assert(code != DR_OK || memcmp(&tokens, &again, sizeof tokens) == 0);
    } else {
        assert(code == DR_BAD_INPUT && length - 1 > 1024 * 1024);
    }
    free(text);
    return 0;
}
