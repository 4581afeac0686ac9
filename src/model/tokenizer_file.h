/* tokenizer_file — reads one file of a tokenizer's directory completely: text or JSON.
 *
 * A UTF-8 byte order mark at the start is left out: some editors write one.
 * Threads: any. Fault place: FAULT_READ, once a file that is there.
 */
#ifndef MODEL_TOKENIZER_FILE_H
#define MODEL_TOKENIZER_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"

/* CLIP's vocab.json and merges.txt have 1.0 and 0.5 MB, a tokenizer.json 2.2 MB. */
#define TOKENIZER_FILE_MAX_BYTES (16 * 1024 * 1024)

/* A file's bytes with a zero after them, in a pool. */
struct tokenizer_file {
    char *bytes;
    size_t count;
};

/* Errors: DR_NOT_FOUND where there is no such file, DR_IO (also for a link to nothing), DR_CORRUPT (no regular file, or too
 * large), DR_NOMEM. */
enum dr_code tokenizer_file_read(struct tokenizer_file *file, struct pool *pool,
                                 const char *folder, const char *name,
                                 struct dr_error *err) DR_MUST_CHECK;

/* A JSON object, to be released with json_decref. Errors: also DR_CORRUPT, with the line. */
enum dr_code tokenizer_file_json(json_t **out, const char *folder, const char *name,
                                 struct dr_error *err) DR_MUST_CHECK;

/* Size and times of a directory's files, to detect a change. */
enum {
    TOKENIZER_FILES = 6
};
struct tokenizer_stamp {
    struct {
        uint64_t device, inode, bytes;
        int64_t modified_ns;
    } files[TOKENIZER_FILES]; /* zeros: there is none */
};
void tokenizer_stamp_take(struct tokenizer_stamp *stamp, const char *folder);
bool tokenizer_stamp_is(const struct tokenizer_stamp *stamp, const char *folder);

#endif
