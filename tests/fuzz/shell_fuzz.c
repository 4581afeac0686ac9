/* shell_fuzz — any bytes as a line of the shell: split into words, then read as options.
 *
 * Whatever the bytes: the words lie in the line, are as many as is said, and, put in single
 * quotes, split into the same words again. Options either parse, or say in one sentence why not.
 * The first byte chooses the command.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "cli/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_error(const struct dr_error *err)
{
    assert(err->code == DR_BAD_INPUT);
    assert(err->message[0] != '\0');
    assert(memchr(err->message, '\0', sizeof err->message));
}

/* 'a'\''b': what splits into the words again. */
static char *quote(const struct words *words, size_t bytes)
{
    char *const line = malloc(4 * bytes + 3 * (size_t)words->count + 1);
    char *to = line;
    if (!line) abort();
    for (int i = 0; i < words->count; ++i) {
        *to++ = '\'';
        for (const char *c = words->list[i]; *c; ++c) {
            if (*c == '\'') {
                memcpy(to, "'\\'", 3);
                to += 3;
            }
            *to++ = *c;
        }
        *to++ = '\'';
        *to++ = ' ';
    }
    *to = '\0';
    return line;
}

static void check_round_trip(const struct words *words, size_t bytes)
{
    struct words again;
    struct dr_error err = {0};
    char *const line = quote(words, bytes);
    const enum dr_code code = words_split(&again, line, &err);
    assert(code == DR_OK && again.count == words->count);
    for (int i = 0; i < words->count; ++i)
        assert(strcmp(again.list[i], words->list[i]) == 0);
    free(line);
}

static void parse(const struct words *words, unsigned command)
{
    struct options options = options_default();
    struct dr_error err = {0};
    if (options_parse(&options, command, words->count, words->list, &err) != DR_OK) {
        check_error(&err);
        return;
    }
    assert(options.operand_count >= 0 && options.operand_count <= OPTIONS_MAX_OPERANDS);
    assert(options.operand_count <= words->count);
    assert(options.rng == DR_RNG_CUDA || options.rng == DR_RNG_CPU);
    assert(options.verbose >= 0 && options.verbose <= words->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const unsigned commands[] = {FOR_GENERATE, FOR_ENCODE, FOR_DECODE,
                                        FOR_INSPECT,  FOR_MEMORY, FOR_SHELL,
                                        FOR_VAE,      FOR_PLAIN};
    if (bytes == 0) return 0;
    const unsigned command = commands[data[0] % 8] | (data[0] & 8 ? IN_SHELL : 0);
    /* As the shell does, with an end and without NUL; on the heap, so that a sanitizer sees
     * the first byte that is too far. */
    char *const line = malloc(bytes);
    if (!line) abort();
    memcpy(line, data + 1, bytes - 1);
    line[bytes - 1] = '\0';
    struct words words;
    struct dr_error err = {0};
    if (words_split(&words, line, &err) != DR_OK) {
        check_error(&err);
    } else {
        assert(words.count >= 0 && words.count <= WORDS_MAX_COUNT &&
               !words.list[words.count]);
        for (int i = 0; i < words.count; ++i)
            assert(words.list[i] >= line &&
                   words.list[i] + strlen(words.list[i]) < line + bytes);
        check_round_trip(&words, bytes);
        parse(&words, command);
    }
    free(line);
    return 0;
}
