/* vocabulary_fuzz — any bytes as one of the tokenizer's two files.
 *
 * Bytes that begin with "{" are a vocab.json, beside the tiny merges; others are a merges.txt,
 * beside the tiny symbols. The files are written to a folder of this process, since what opens
 * them is part of what is tested. Opened or refused, it is so as a whole: ids in range and all
 * merges found again, or a sentence with the folder's name and nothing left.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static char folder[] = "/tmp/darkroom-fuzz-XXXXXX";
static char symbols_path[64], merges_path[64];

static void remove_folder(void)
{
    (void)unlink(symbols_path);
    (void)unlink(merges_path);
    (void)rmdir(folder);
}

static void make_folder(void)
{
    if (symbols_path[0]) return;
    if (!mkdtemp(folder)) abort();
    (void)snprintf(symbols_path, sizeof symbols_path, "%s/vocab.json", folder);
    (void)snprintf(merges_path, sizeof merges_path, "%s/merges.txt", folder);
    (void)atexit(remove_folder);
}

static void link_tiny(const char *name, const char *path)
{
    const char *const source =
        getenv("DARKROOM_SOURCE"); /* absolute; else we stand in it */
    char here[2048], tiny[4096];
    if (!getcwd(here, sizeof here)) abort();
    (void)snprintf(tiny, sizeof tiny, "%s/tests/data/tiny-tokenizer/%s",
                   source ? source : here, name);
    (void)unlink(path);
    if (access(tiny, R_OK) == 0 && symlink(tiny, path) == 0) return;
    fprintf(stderr, "no %s (DARKROOM_SOURCE says where the source tree is)\n", tiny);
    exit(1);
}

static void write_bytes(const char *path, const uint8_t *data, size_t bytes)
{
    (void)unlink(path);
    FILE *const file = fopen(path, "wb");
    if (!file || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0) abort();
}

static void check_open(const struct vocabulary *vocabulary)
{
    const int32_t count = vocabulary->count;
    assert(vocabulary->bos >= 0 && vocabulary->bos < count);
    assert(vocabulary->eos >= 0 && vocabulary->eos < count);
    for (int i = 0; i < 256; ++i) {
        assert(vocabulary->byte_ids[i] >= 0 && vocabulary->byte_ids[i] < count);
        assert(vocabulary->byte_end_ids[i] >= 0 && vocabulary->byte_end_ids[i] < count);
    }
    for (int32_t i = 0; i < vocabulary->merge_count; ++i) {
        const struct merge merge = vocabulary->merges[i];
        assert(merge.left >= 0 && merge.left < count);
        assert(merge.right >= 0 && merge.right < count);
        assert(merge.result >= 0 && merge.result < count);
        assert(vocabulary_rank(vocabulary, merge.left, merge.right) >= i);
    }
    assert(vocabulary_rank(vocabulary, count, count) == -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    make_folder();
    const int is_symbols = bytes > 0 && data[0] == '{';
    write_bytes(is_symbols ? symbols_path : merges_path, data, bytes);
    if (is_symbols)
        link_tiny("merges.txt", merges_path);
    else
        link_tiny("vocab.json", symbols_path);

    struct vocabulary vocabulary;
    struct dr_error err = {.message = ""};
    const enum dr_code code = vocabulary_open(&vocabulary, folder, &err);
    if (code == DR_OK) {
        check_open(&vocabulary);
    } else {
        assert(code == DR_CORRUPT && err.code == code);
        assert(strstr(err.message, folder));
        assert(vocabulary.count == 0 && !vocabulary.merges && !vocabulary.ranks);
    }
    vocabulary_close(&vocabulary);
    return 0;
}
