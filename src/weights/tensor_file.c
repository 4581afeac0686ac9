/* Opening tells the format from the first bytes, since a wrong extension is common: a pickle
 * checkpoint named .safetensors, a web page saved in place of a model. */
#include "weights/tensor_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file_kind.h"
#include "base/path_error.h"
#include "weights/composed_tensor.h"
#include "weights/gguf.h"
#include "weights/hub_cache.h"
#include "weights/tensor_reader.h"

/* ---- shards ---- */

enum dr_code tensor_shard_open(struct tensor_shard *shard, const char *path,
                               struct dr_error *err)
{
    struct stat status;
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return path_error_set(err, errno, "cannot open", path);
    enum dr_code code = DR_OK;
    if (fstat(descriptor, &status))
        code = error_set_errno(err, DR_IO, errno, "cannot look at %s", path);
    else if (S_ISDIR(status.st_mode))
        code = error_set(err, DR_UNSUPPORTED, "%s is a directory, not a file", path);
    else if (!S_ISREG(status.st_mode))
        code = error_set(err, DR_BAD_INPUT, "%s is not a regular file", path);
    if (!code) code = file_identity_read(&shard->identity, descriptor, path, err);
    if (code) {
        close(descriptor);
        return code;
    }
    shard->path = path;
    shard->descriptor = descriptor;
    return DR_OK;
}

void tensor_shard_close(struct tensor_shard *shard)
{
    if (shard->descriptor >= 0) close(shard->descriptor);
    shard->descriptor = -1;
}

enum dr_code tensor_shard_read(const struct tensor_shard *shard, uint64_t offset,
                               void *target, size_t bytes, struct dr_error *err)
{
    char *const out = target;
    size_t done = 0;
    if (fault_strikes(FAULT_READ))
        return error_set_errno(err, DR_IO, EIO, "cannot read %s", shard->path);
    while (done < bytes) {
        const ssize_t got =
            pread(shard->descriptor, out + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return error_set_errno(err, DR_IO, errno, "cannot read %s", shard->path);
        if (got == 0)
            return error_set(
                err, DR_CHANGED,
                "%s was truncated while it was in use: it ends at byte %llu, before "
                "byte %llu",
                shard->path, (unsigned long long)(offset + done),
                (unsigned long long)(offset + bytes));
        done += (size_t)got;
    }
    return DR_OK;
}

static enum dr_code header_length(const struct tensor_shard *shard,
                                  const unsigned char prefix[8], uint64_t *out,
                                  struct dr_error *err)
{
    uint64_t length = 0;
    for (int i = 7; i >= 0; --i)
        length = length << 8 | prefix[i];
    if (length > HEADER_MAX_BYTES)
        return error_set(
            err, DR_CORRUPT,
            "it is not a safetensors file: its header would have %llu bytes, but the "
            "format allows %d; download it again",
            (unsigned long long)length, HEADER_MAX_BYTES);
    if (length > shard->identity.bytes - 8)
        return error_set(
            err, DR_CORRUPT,
            "it is truncated: its header has %llu bytes, the file only %llu; "
            "download it again",
            (unsigned long long)length, (unsigned long long)shard->identity.bytes);
    *out = length;
    return DR_OK;
}

enum dr_code tensor_shard_parse(struct tensor_list *list, int32_t shard_idx,
                                struct tensor_shard *shard, struct dr_error *err)
{
    unsigned char prefix[8];
    uint64_t length = 0;
    if (shard->identity.bytes < sizeof prefix)
        return error_set(err, DR_CORRUPT,
                         "%s has %llu bytes, too few for a safetensors file",
                         shard->path, (unsigned long long)shard->identity.bytes);
    enum dr_code code = tensor_shard_read(shard, 0, prefix, sizeof prefix, err);
    if (code) return code;
    code = header_length(shard, prefix, &length, err);
    if (code) {
        error_prefix(err, "%s", shard->path);
        return code;
    }
    char *const header = malloc((size_t)length + 1);
    if (!header)
        return error_set(err, DR_NOMEM, "no memory for the header of %s, %llu bytes",
                         shard->path, (unsigned long long)length);
    code = tensor_shard_read(shard, sizeof prefix, header, (size_t)length, err);
    if (!code) {
        struct digest digest;
        digest_init(&digest);
        digest_add(&digest, prefix, sizeof prefix);
        digest_add(&digest, header, (size_t)length);
        digest_end(&digest, shard->identity.header);
        code = safetensors_parse(list, shard_idx, header, (size_t)length,
                                 shard->identity.bytes - sizeof prefix - length, err);
        if (code) error_prefix(err, "%s", shard->path);
    }
    free(header);
    return code;
}

/* ---- formats ---- */

enum format {
    FORMAT_SAFETENSORS,
    FORMAT_GGUF,
    FORMAT_ZIP,
    FORMAT_LEGACY,
    FORMAT_INDEX,
    FORMAT_KNOWN,
    FORMAT_OTHER
};

static bool ends_with(const char *text, const char *end)
{
    const size_t text_bytes = strlen(text), end_bytes = strlen(end);
    return text_bytes >= end_bytes && strcmp(text + text_bytes - end_bytes, end) == 0;
}

/* A safetensors length never has its highest byte set; a JSON text always has. A good beginning
 * goes before the others' marks: a length of 640 is also how an old pickle starts. A file named
 * .safetensors or .sft goes to that reader, whose errors then say what is wrong with it. */
static enum format tell_format(const char *start, size_t bytes, const char *path)
{
    char words[FILE_KIND_TEXT];
    size_t i = 0;
    /* As a length of safetensors it would be 13 GB or more, which that format does not allow. */
    if (gguf_is_beginning(start, bytes)) return FORMAT_GGUF;
    while (i < bytes && start[i] && strchr(" \t\r\n", start[i]))
        ++i;
    if (i < bytes && start[i] == '{' && (bytes < 8 || start[7] != 0))
        return FORMAT_INDEX;
    const bool is_brace = bytes > 8 && start[8] == '{';
    if (is_brace && start[7] == 0) return FORMAT_SAFETENSORS;
    if (bytes >= 4 && memcmp(start, "PK\003\004", 4) == 0) return FORMAT_ZIP;
    if (bytes >= 2 && start[0] == '\200' && start[1] >= 2 && start[1] <= 5)
        return FORMAT_LEGACY;
    const bool is_named =
        is_brace || ends_with(path, ".safetensors") || ends_with(path, ".sft");
    /* Too few bytes tell nothing: a beginning of a header may be a letter. */
    if (bytes >= 8 && !is_brace && file_kind_tell(start, bytes, words))
        return FORMAT_KNOWN;
    return is_named ? FORMAT_SAFETENSORS : FORMAT_OTHER;
}

/* What the first bytes of a file told. */
struct beginning {
    char bytes[FILE_KIND_BYTES];
    size_t count;
    enum format format;
};

static enum dr_code read_beginning(const struct tensor_shard *shard,
                                   struct beginning *out, struct dr_error *err)
{
    out->count = shard->identity.bytes < sizeof out->bytes
                     ? (size_t)shard->identity.bytes
                     : sizeof out->bytes;
    if (out->count == 0)
        return error_set(err, DR_CORRUPT, "%s is empty: download it again",
                         shard->path);
    const enum dr_code code = tensor_shard_read(shard, 0, out->bytes, out->count, err);
    if (!code) out->format = tell_format(out->bytes, out->count, shard->path);
    return code;
}

static enum dr_code parse_shard(struct tensor_list *list, int32_t shard_idx,
                                struct tensor_shard *shard,
                                const struct beginning *start, const char **name,
                                struct dr_error *err)
{
    char words[FILE_KIND_TEXT];
    switch (start->format) {
    case FORMAT_SAFETENSORS:
        *name = "safetensors";
        return tensor_shard_parse(list, shard_idx, shard, err);
    case FORMAT_GGUF: *name = "GGUF"; return gguf_parse(list, shard_idx, shard, err);
    case FORMAT_ZIP:
        *name = "PyTorch checkpoint";
        return pickle_zip_parse(list, shard_idx, shard, err);
    case FORMAT_LEGACY:
        *name = "PyTorch checkpoint (legacy)";
        return pickle_legacy_parse(list, shard_idx, shard, err);
    case FORMAT_KNOWN:
        (void)file_kind_tell(start->bytes, start->count, words);
        return error_set(err, DR_UNSUPPORTED, "%s is %s", shard->path, words);
    case FORMAT_INDEX:
        return error_set(err, DR_CORRUPT,
                         "%s is JSON, not a file with tensors: download it again",
                         shard->path);
    case FORMAT_OTHER: break;
    }
    return error_set(err, DR_UNSUPPORTED,
                     "%s is in no format that darkroom reads (.safetensors, .gguf, the "
                     ".index.json of a sharded model, a PyTorch .ckpt, .pt, .pth or "
                     ".bin, or a diffusers directory)",
                     shard->path);
}

enum dr_code tensor_shard_parse_any(struct tensor_list *list, int32_t shard_idx,
                                    struct tensor_shard *shard, const char **name,
                                    struct dr_error *err)
{
    struct beginning start;
    const enum dr_code code = read_beginning(shard, &start, err);
    return code ? code : parse_shard(list, shard_idx, shard, &start, name, err);
}

static enum dr_code open_single(struct tensor_file *file, struct tensor_list *list,
                                const struct tensor_shard *first,
                                const struct beginning *start, struct dr_error *err)
{
    file->shards = pool_alloc(&file->pool, sizeof file->shards[0]);
    if (!file->shards)
        return error_set(err, DR_NOMEM, "no memory to open %s", file->path);
    file->shards[0] = *first;
    file->shards[0].descriptor = dup(first->descriptor);
    file->shard_count = 1;
    if (file->shards[0].descriptor < 0)
        return error_set_errno(err, DR_IO, errno, "cannot open %s", file->path);
    return parse_shard(list, 0, &file->shards[0], start, &file->format, err);
}

static enum dr_code open_index(struct tensor_file *file, struct tensor_list *list,
                               const struct tensor_shard *index, struct dr_error *err)
{
    const uint64_t bytes = index->identity.bytes;
    if (bytes > HEADER_MAX_BYTES)
        return error_set(err, DR_CORRUPT, "%s has %llu bytes, too many for an index",
                         file->path, (unsigned long long)bytes);
    char *const text = malloc((size_t)bytes + 1);
    if (!text)
        return error_set(err, DR_NOMEM, "no memory for %s, %llu bytes", file->path,
                         (unsigned long long)bytes);
    enum dr_code code = tensor_shard_read(index, 0, text, (size_t)bytes, err);
    if (!code) code = shard_index_read(file, list, text, (size_t)bytes, err);
    free(text);
    return code;
}

static int compare_names(const void *left, const void *right)
{
    const struct tensor *const a = left, *const b = right;
    return strcmp(a->name, b->name);
}

/* The list becomes the file's sorted table. */
static void take_list(struct tensor_file *file, const struct tensor_list *list)
{
    file->tensors = list->tensors;
    file->tensor_count = list->count;
    file->metadata = list->metadata;
    file->metadata_count = list->metadata_count;
    if (file->tensor_count > 0)
        qsort(file->tensors, file->tensor_count, sizeof file->tensors[0],
              compare_names);
}

/* A pickle can say a name twice, and so can the parts of a folder. */
static enum dr_code check_unique(const struct tensor_file *file, struct dr_error *err)
{
    for (size_t i = 1; i < file->tensor_count; ++i)
        if (strcmp(file->tensors[i - 1].name, file->tensors[i].name) == 0)
            return error_set(err, DR_CORRUPT, "%s has tensor %.160s twice", file->path,
                             file->tensors[i].name);
    return DR_OK;
}

/* path is in file->pool; first is the open file of that name. */
static enum dr_code open_format(struct tensor_file *file,
                                const struct tensor_shard *first, struct dr_error *err)
{
    struct beginning start;
    enum dr_code code = read_beginning(first, &start, err);
    if (code) return code;
    struct tensor_list list = {.pool = &file->pool};
    code = start.format == FORMAT_INDEX ? open_index(file, &list, first, err)
                                        : open_single(file, &list, first, &start, err);
    if (!code) code = diffusers_config_beside(&list, file->path, err);
    if (code) return code;
    take_list(file, &list);
    return check_unique(file, err);
}

/* A download program that takes all of the disk's space at once leaves a file that looks whole and
 * has zeros in it. */
static enum dr_code check_download(const char *path, struct dr_error *err)
{
    char words[FILE_KIND_TEXT];
    if (!file_kind_has_notes(path, words)) return DR_OK;
    return error_set(err, DR_CORRUPT, "%s is incomplete: %s", path, words);
}

/* Where a file that is refused is a download that goes on, that is why. */
static void add_download(const char *path, struct dr_error *err)
{
    char words[FILE_KIND_TEXT];
    if (!err || !file_kind_is_unfinished(path, words)) return;
    const struct dr_error old = *err;
    error_set(err, old.code, "%s; %s", old.message, words);
}

enum dr_code tensor_file_open_one(struct tensor_file *file, const char *path,
                                  struct dr_error *err)
{
    *file = (struct tensor_file){0};
    struct tensor_shard first;
    enum dr_code code = tensor_shard_open(&first, path, err);
    if (code) return code;
    file->path = first.path = pool_string(&file->pool, path);
    code = file->path ? check_download(path, err)
                      : error_set(err, DR_NOMEM, "no memory to open %s", path);
    if (!code) {
        code = open_format(file, &first, err);
        if (code == DR_CORRUPT || code == DR_UNSUPPORTED) add_download(path, err);
    }
    close(first.descriptor);
    if (code) tensor_file_close(file);
    return code;
}

static enum dr_code open_folder(struct tensor_file *file, const char *path,
                                struct dr_error *err)
{
    *file = (struct tensor_file){.format = "diffusers folder"};
    struct tensor_list list = {.pool = &file->pool};
    file->path = pool_string(&file->pool, path);
    enum dr_code code = file->path
                            ? diffusers_folder_read(file, &list, err)
                            : error_set(err, DR_NOMEM, "no memory to open %s", path);
    if (!code) {
        take_list(file, &list);
        code = check_unique(file, err);
    }
    if (code) tensor_file_close(file);
    return code;
}

enum dr_code tensor_file_open(struct tensor_file *file, const char *path,
                              struct dr_error *err)
{
    struct stat status;
    char folder[PATH_MAX];
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        return tensor_file_open_one(file, path, err);
    *file = (struct tensor_file){0};
    const enum dr_code code = hub_cache_resolve(path, folder, sizeof folder, err);
    return code ? code : open_folder(file, folder, err);
}

void tensor_file_close(struct tensor_file *file)
{
    for (size_t i = 0; i < file->shard_count; ++i)
        tensor_shard_close(&file->shards[i]);
    pool_finish(&file->pool);
    *file = (struct tensor_file){0};
}

/* ---- the table ---- */

const struct tensor *tensor_file_find(const struct tensor_file *file, const char *name)
{
    const struct tensor key = {.name = name};
    if (file->tensor_count == 0) return NULL;
    return bsearch(&key, file->tensors, file->tensor_count, sizeof file->tensors[0],
                   compare_names);
}

const struct tensor_metadata *tensor_file_config(const struct tensor_file *file,
                                                 enum config_kind config,
                                                 const char *key)
{
    for (size_t i = 0; i < file->metadata_count; ++i)
        if (file->metadata[i].config == config &&
            strcmp(file->metadata[i].key, key) == 0)
            return &file->metadata[i];
    return NULL;
}

const char *tensor_file_metadata(const struct tensor_file *file, const char *key)
{
    const struct tensor_metadata *const found =
        tensor_file_config(file, CONFIG_NONE, key);
    return found ? found->text : NULL;
}

enum dr_code tensor_file_read(const struct tensor_file *file,
                              const struct tensor *tensor, uint64_t start, void *target,
                              size_t bytes, struct dr_error *err)
{
    assert(start <= tensor->bytes && bytes <= tensor->bytes - start);
    if (tensor->parts)
        return composed_tensor_read(file, tensor, start, target, bytes, err);
    assert((size_t)tensor->shard_idx < file->shard_count);
    const enum dr_code code =
        tensor_shard_read(&file->shards[tensor->shard_idx], tensor->offset + start,
                          target, bytes, err);
    if (code) error_prefix(err, "tensor %.160s", tensor->name);
    return code;
}

const struct tensor_shard *tensor_file_only(const struct tensor_file *file)
{
    const bool is_one =
        file->shard_count == 1 && strcmp(file->shards[0].path, file->path) == 0;
    return is_one ? &file->shards[0] : NULL;
}

enum dr_code tensor_file_check(const struct tensor_file *file, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (size_t i = 0; !code && i < file->shard_count; ++i)
        code =
            file_identity_check(&file->shards[i].identity, file->shards[i].descriptor,
                                file->shards[i].path, err);
    return code;
}

int64_t tensor_element_count(const struct tensor *tensor)
{
    return (int64_t)(tensor->bytes / dtype_block_bytes(tensor->dtype) *
                     dtype_block_elements(tensor->dtype));
}

char *tensor_shape_text(const struct tensor *tensor, char out[static TENSOR_SHAPE_TEXT])
{
    size_t used = 0;
    out[used++] = '[';
    for (int i = 0; i < tensor->rank; ++i)
        used += (size_t)snprintf(out + used, TENSOR_SHAPE_TEXT - used, "%s%lld",
                                 i ? ", " : "", (long long)tensor->dims[i]);
    out[used++] = ']';
    out[used] = '\0';
    return out;
}

enum dr_code tensor_file_parse_safetensors(struct tensor_file *file, const void *header,
                                           size_t header_bytes, uint64_t data_bytes,
                                           struct dr_error *err)
{
    *file = (struct tensor_file){.format = "safetensors"};
    struct tensor_list list = {.pool = &file->pool};
    const enum dr_code code =
        safetensors_parse(&list, 0, header, header_bytes, data_bytes, err);
    if (code)
        tensor_file_close(file);
    else
        take_list(file, &list);
    return code;
}

enum dr_code tensor_file_parse_gguf(struct tensor_file *file, const void *data,
                                    size_t bytes, struct dr_error *err)
{
    *file = (struct tensor_file){.path = "the file", .format = "GGUF"};
    struct tensor_list list = {.pool = &file->pool};
    enum dr_code code = gguf_parse_memory(&list, data, bytes, err);
    if (!code) {
        take_list(file, &list);
        code = check_unique(file, err);
    }
    if (code) tensor_file_close(file);
    return code;
}
