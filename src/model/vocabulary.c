/* The JSON library's own hash table resolves the symbols; it and both files' text go when the
 * merges are resolved. The merges' hash table has at most half of its places taken and probes
 * one place after the other.
 */
#include "model/vocabulary.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYMBOLS_FILE "vocab.json"
#define MERGES_FILE  "merges.txt"
#define WORD_END     "</w>"
#define BOS_SYMBOL   "<|startoftext|>"
#define EOS_SYMBOL   "<|endoftext|>"

/* CLIP's files have 1.0 and 0.5 MB. */
#define MAX_FILE_BYTES (16 * 1024 * 1024)
enum {
    MAX_ID = (1 << 24) - 1,
    MAX_SYMBOL_BYTES = 1024
};

/* A file's bytes with a zero after them, in a pool; without the byte order mark that some editors
 * put first. */
struct file_text {
    char *bytes;
    size_t count;
};

/* What opening needs besides its result. */
struct opening {
    struct vocabulary *vocabulary;
    const char *folder;
    struct pool pool; /* the files' text */
    json_t *symbols;
    struct dr_error *err;
};

static enum dr_code no_memory(struct opening *opening)
{
    return error_set(opening->err, DR_NOMEM, "no memory for the tokenizer in %s",
                     opening->folder);
}

static enum dr_code not_found(struct opening *opening)
{
    return error_set(
        opening->err, DR_NOT_FOUND,
        "no tokenizer in %s: it must hold %s and %s; script/clip-vocabulary "
        "fetches CLIP's",
        opening->folder, SYMBOLS_FILE, MERGES_FILE);
}

/* ---- files ---- */

static bool read_all(int descriptor, struct file_text *text)
{
    size_t done = 0;
    while (done < text->count) {
        const ssize_t got = read(descriptor, text->bytes + done, text->count - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return false;
        if (got == 0) break;
        done += (size_t)got;
    }
    text->count = done; /* less, where the file was cut short meanwhile */
    text->bytes[done] = '\0';
    return true;
}

static void skip_mark(struct file_text *text)
{
    static const char mark[] = "\xEF\xBB\xBF";
    if (strncmp(text->bytes, mark, sizeof mark - 1) != 0) return;
    text->bytes += sizeof mark - 1;
    text->count -= sizeof mark - 1;
}

static enum dr_code read_open_file(struct opening *opening, const char *name,
                                   int descriptor, struct file_text *text)
{
    struct stat status;
    if (fault_strikes(FAULT_READ))
        errno = EIO;
    else if (fstat(descriptor, &status) == 0) {
        if (!S_ISREG(status.st_mode) || status.st_size > MAX_FILE_BYTES)
            return error_set(opening->err, DR_CORRUPT,
                             "%s/%s is no regular file of at most %d bytes",
                             opening->folder, name, MAX_FILE_BYTES);
        text->count = (size_t)status.st_size;
        text->bytes = pool_alloc(&opening->pool, text->count + 1);
        if (!text->bytes) return no_memory(opening);
        if (read_all(descriptor, text)) {
            skip_mark(text);
            return DR_OK;
        }
    }
    return error_set_errno(opening->err, DR_IO, errno, "cannot read %s/%s",
                           opening->folder, name);
}

static enum dr_code read_file(struct opening *opening, const char *name,
                              struct file_text *text)
{
    char path[PATH_MAX];
    const int length = snprintf(path, sizeof path, "%s/%s", opening->folder, name);
    if (length < 0 || (size_t)length >= sizeof path) return not_found(opening);
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0 && (errno == ENOENT || errno == ENOTDIR))
        return not_found(opening);
    if (descriptor < 0)
        return error_set_errno(opening->err, DR_IO, errno, "cannot open %s", path);
    const enum dr_code code = read_open_file(opening, name, descriptor, text);
    (void)close(descriptor);
    return code;
}

/* ---- symbols ---- */

static enum dr_code load_symbols(struct opening *opening)
{
    struct file_text text = {0};
    const enum dr_code code = read_file(opening, SYMBOLS_FILE, &text);
    if (code != DR_OK) return code;
    json_error_t fault;
    opening->symbols =
        json_loadb(text.bytes, text.count, JSON_REJECT_DUPLICATES, &fault);
    if (!opening->symbols && json_error_code(&fault) == json_error_out_of_memory)
        return no_memory(opening);
    if (!opening->symbols)
        return error_set(opening->err, DR_CORRUPT, "%s/%s, line %d: %s",
                         opening->folder, SYMBOLS_FILE, fault.line, fault.text);
    if (!json_is_object(opening->symbols))
        return error_set(opening->err, DR_CORRUPT,
                         "%s/%s is no JSON object of symbols and ids", opening->folder,
                         SYMBOLS_FILE);

    const char *symbol;
    json_t *value;
    json_object_foreach(opening->symbols, symbol, value)
    {
        const json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id > MAX_ID)
            return error_set(
                opening->err, DR_CORRUPT,
                "%s/%s: the id of \"%.80s\" is no whole number from 0 to %d",
                opening->folder, SYMBOLS_FILE, symbol, MAX_ID);
        if (id >= opening->vocabulary->count)
            opening->vocabulary->count = (int32_t)id + 1;
    }
    return DR_OK;
}

/* The id of a symbol, or -1. */
static int32_t symbol_id(const struct opening *opening, const char *symbol)
{
    const json_t *const value = json_object_get(opening->symbols, symbol);
    return value ? (int32_t)json_integer_value(value) : -1;
}

static enum dr_code need_symbol(struct opening *opening, const char *symbol,
                                int32_t *id)
{
    *id = symbol_id(opening, symbol);
    if (*id >= 0) return DR_OK;
    return error_set(opening->err, DR_CORRUPT, "%s/%s lacks the symbol \"%s\"",
                     opening->folder, SYMBOLS_FILE, symbol);
}

/* Bytes that stand for themselves in the files. */
static bool is_plain(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
}

static enum dr_code find_bytes(struct opening *opening)
{
    struct vocabulary *const vocabulary = opening->vocabulary;
    enum dr_code code = DR_OK;
    unsigned spare = 0x100; /* the next character for a byte that is not plain */
    for (int byte = 0; byte < 256 && code == DR_OK; ++byte) {
        const unsigned point = is_plain(byte) ? (unsigned)byte : spare++;
        char symbol[8] = {(char)point};
        if (point >= 0x80) {
            symbol[0] = (char)(0xC0 | point >> 6);
            symbol[1] = (char)(0x80 | (point & 0x3F));
        }
        code = need_symbol(opening, symbol, &vocabulary->byte_ids[byte]);
        if (code != DR_OK) break;
        memcpy(symbol + strlen(symbol), WORD_END, sizeof WORD_END);
        code = need_symbol(opening, symbol, &vocabulary->byte_end_ids[byte]);
    }
    if (code == DR_OK) code = need_symbol(opening, BOS_SYMBOL, &vocabulary->bos);
    if (code == DR_OK) code = need_symbol(opening, EOS_SYMBOL, &vocabulary->eos);
    return code;
}

/* ---- merges ---- */

static uint32_t place_of(const struct vocabulary *vocabulary, int32_t left,
                         int32_t right)
{
    const uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    /* Fibonacci hashing: 2^64 over the golden ratio, the high bits taken. */
    return (uint32_t)(pair * 0x9E3779B97F4A7C15u >> 32) & vocabulary->rank_mask;
}

/* The place of the pair, or the free place where it belongs. */
static int32_t *find_place(const struct vocabulary *vocabulary, int32_t left,
                           int32_t right)
{
    uint32_t place = place_of(vocabulary, left, right);
    for (;; place = (place + 1) & vocabulary->rank_mask) {
        int32_t *const rank = &vocabulary->ranks[place];
        if (*rank < 0) return rank;
        const struct merge *const merge = &vocabulary->merges[*rank];
        if (merge->left == left && merge->right == right) return rank;
    }
}

int32_t vocabulary_rank(const struct vocabulary *vocabulary, int32_t left,
                        int32_t right)
{
    return *find_place(vocabulary, left, right);
}

static bool reserve_merges(struct vocabulary *vocabulary, size_t most)
{
    size_t places = 16;
    while (places < 2 * most)
        places *= 2;
    vocabulary->merges =
        pool_grow(&vocabulary->pool, NULL, 0, most, sizeof *vocabulary->merges);
    vocabulary->ranks =
        pool_grow(&vocabulary->pool, NULL, 0, places, sizeof *vocabulary->ranks);
    if (!vocabulary->merges || !vocabulary->ranks) return false;
    for (size_t i = 0; i < places; ++i)
        vocabulary->ranks[i] = -1;
    vocabulary->rank_mask = (uint32_t)places - 1;
    return true;
}

/* One line, "left right"; its text is cut in two in place. */
static enum dr_code add_merge(struct opening *opening, char *line, int line_number)
{
    char *const right = strchr(line, ' ');
    const size_t length = strlen(line);
    struct merge merge = {-1, -1, -1};
    if (right && length < MAX_SYMBOL_BYTES) {
        char whole[MAX_SYMBOL_BYTES];
        const size_t left_length = (size_t)(right - line);
        memcpy(whole, line, left_length);
        memcpy(whole + left_length, right + 1, length - left_length); /* with its end */
        *right = '\0';
        merge = (struct merge){symbol_id(opening, line), symbol_id(opening, right + 1),
                               symbol_id(opening, whole)};
        *right = ' ';
    }
    if (merge.left < 0 || merge.right < 0 || merge.result < 0)
        return error_set(
            opening->err, DR_CORRUPT,
            "%s/%s, line %d: \"%.80s\" is no merge of two symbols of %s into one",
            opening->folder, MERGES_FILE, line_number, line, SYMBOLS_FILE);

    struct vocabulary *const vocabulary = opening->vocabulary;
    int32_t *const place = find_place(vocabulary, merge.left, merge.right);
    vocabulary->merges[vocabulary->merge_count] = merge;
    *place =
        vocabulary->merge_count++; /* of a pair that comes twice, the later counts */
    return DR_OK;
}

/* A line that ends as on Windows. */
static void cut_return(char *line)
{
    const size_t length = strlen(line);
    if (length > 0 && line[length - 1] == '\r') line[length - 1] = '\0';
}

static enum dr_code load_merges(struct opening *opening)
{
    struct file_text text = {0};
    enum dr_code code = read_file(opening, MERGES_FILE, &text);
    if (code != DR_OK) return code;
    if (strlen(text.bytes) != text.count)
        return error_set(opening->err, DR_CORRUPT, "%s/%s has a zero byte at %zu",
                         opening->folder, MERGES_FILE, strlen(text.bytes));
    size_t lines = 1;
    for (size_t i = 0; i < text.count; ++i)
        lines += text.bytes[i] == '\n';
    if (!reserve_merges(opening->vocabulary, lines)) return no_memory(opening);

    char *line = text.bytes;
    for (int number = 1; line && code == DR_OK; ++number) {
        char *const end = strchr(line, '\n');
        if (end) *end = '\0';
        cut_return(line);
        const bool is_title = number == 1 && strncmp(line, "#version", 8) == 0;
        if (*line && !is_title) code = add_merge(opening, line, number);
        line = end ? end + 1 : NULL;
    }
    return code;
}

enum dr_code vocabulary_open(struct vocabulary *vocabulary, const char *folder,
                             struct dr_error *err)
{
    *vocabulary = (struct vocabulary){0};
    struct opening opening = {.vocabulary = vocabulary, .folder = folder, .err = err};
    enum dr_code code = load_symbols(&opening);
    if (code == DR_OK) code = find_bytes(&opening);
    if (code == DR_OK) code = load_merges(&opening);
    json_decref(opening.symbols);
    pool_finish(&opening.pool);
    if (code != DR_OK) vocabulary_close(vocabulary);
    /* glibc would keep the 6 MB of small blocks that CLIP's symbols were while they were JSON. */
    (void)malloc_trim(0);
    return code;
}

void vocabulary_close(struct vocabulary *vocabulary)
{
    pool_finish(&vocabulary->pool);
    (void)malloc_trim(0);
    *vocabulary = (struct vocabulary){0};
}
