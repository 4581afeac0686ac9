/* added_tokens_fuzz — any bytes as one of the files that add tokens to the tiny tokenizer.
 *
 * The first byte says which file, what follows is its text. Opened, every token has an id, and the
 * text as a prompt gives the same tokens twice, ids of the vocabulary or of an added token. Refused,
 * it is a sentence with the folder's name.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char *const names[] = {"added_tokens.json", "tokenizer_config.json",
                                    "special_tokens_map.json", "tokenizer.json"};
static const char *const own[] = {"vocab.json", "merges.txt"};
static char folder[] = "/tmp/darkroom-fuzz-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void remove_folder(void)
{
    for (int i = 0; i < 4; ++i)
        (void)unlink(path_of(names[i]));
    for (int i = 0; i < 2; ++i)
        (void)unlink(path_of(own[i]));
    (void)rmdir(folder);
}

static void make_folder(void)
{
    static int is_made;
    if (is_made++) return;
    const char *const source = getenv("DARKROOM_SOURCE"); /* absolute */
    char here[2048], tiny[4096];
    if (!mkdtemp(folder) || !getcwd(here, sizeof here)) abort();
    for (int i = 0; i < 2; ++i) {
        (void)snprintf(tiny, sizeof tiny, "%s/tests/data/tiny-tokenizer/%s",
                       source ? source : here, own[i]);
        if (access(tiny, R_OK) != 0 || symlink(tiny, path_of(own[i])) != 0) {
            fprintf(stderr, "no %s (DARKROOM_SOURCE says where the source tree is)\n",
                    tiny);
            exit(1);
        }
    }
    (void)atexit(remove_folder);
}

static void write_bytes(const char *path, const uint8_t *data, size_t bytes)
{
    FILE *const file = fopen(path, "wb");
    if (!file || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0) abort();
}

static void check_prompt(const struct tokenizer *tokenizer, const uint8_t *data,
                         size_t bytes)
{
    struct token_list tokens, again;
    char *const text = malloc(bytes + 1);
    assert(text);
    if (bytes > 0) memcpy(text, data, bytes);
    text[bytes] = '\0';
    if (tokenizer_encode(tokenizer, text, -1, &tokens, NULL) == DR_OK) {
        assert(tokenizer_encode(tokenizer, text, -1, &again, NULL) == DR_OK);
        assert(memcmp(&tokens, &again, sizeof tokens) == 0);
        for (int i = 0; i < TOKENIZER_POSITIONS; ++i)
            assert(tokens.ids[i] >= 0 &&
                   (tokens.ids[i] < tokenizer_vocabulary(tokenizer) ||
                    tokenizer_added_text(tokenizer, tokens.ids[i])));
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    make_folder();
    const int which = bytes > 0 ? data[0] % 4 : 0;
    for (int i = 0; i < 4; ++i)
        (void)unlink(path_of(names[i]));
    write_bytes(path_of(names[which]), data + (bytes > 0), bytes > 0 ? bytes - 1 : 0);

    struct tokenizer *tokenizer = NULL;
    struct dr_error err = {.message = ""};
    const enum dr_code code = tokenizer_open(&tokenizer, folder, &err);
    if (code == DR_OK) {
        assert(tokenizer_pad(tokenizer) >= -1);
        check_prompt(tokenizer, data, bytes);
    } else {
        assert((code == DR_CORRUPT || code == DR_UNSUPPORTED) && err.code == code);
        assert(strstr(err.message, folder) && !tokenizer);
    }
    tokenizer_close(&tokenizer);
    return 0;
}
