#include "weights/yaml_config.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

enum {
    YAML_MAX_BYTES = 1 << 20,
    YAML_MAX_SCALARS = 4096,
    YAML_MAX_DEPTH = 32,
    YAML_MAX_KEY = 512,
};

/* A mapping or sequence that is open. */
struct level {
    bool is_mapping;
    bool has_key;     /* of a mapping: the value is next */
    size_t key_bytes; /* of the path, where this level begins */
    int32_t item;     /* of a sequence: the next one's place */
};

struct walk {
    struct tensor_list *list;
    const char *path;
    struct level levels[YAML_MAX_DEPTH];
    int32_t depth;
    int32_t scalar_count;
    char key[YAML_MAX_KEY]; /* "model.params" */
};

static enum dr_code refuse_size(const struct walk *walk, const char *what, int most,
                                struct dr_error *err)
{
    return error_set(err, DR_UNSUPPORTED, "%.600s: more than %d %s", walk->path, most,
                     what);
}

/* The path of what comes next: the mapping's key, or the sequence's place. */
static enum dr_code append(struct walk *walk, const char *part, struct dr_error *err)
{
    const size_t used = strlen(walk->key);
    const int bytes = snprintf(walk->key + used, sizeof walk->key - used, "%s%s",
                               used ? "." : "", part);
    return bytes >= 0 && (size_t)bytes < sizeof walk->key - used
               ? DR_OK
               : refuse_size(walk, "bytes in a key", YAML_MAX_KEY - 1, err);
}

static struct level *top(struct walk *walk)
{
    return walk->depth > 0 ? &walk->levels[walk->depth - 1] : NULL;
}

/* A value begins: in a sequence its place is its key. */
static enum dr_code begin_value(struct walk *walk, struct dr_error *err)
{
    struct level *const level = top(walk);
    char place[16];
    if (!level || level->is_mapping) return DR_OK;
    (void)snprintf(place, sizeof place, "%d", (int)level->item++);
    return append(walk, place, err);
}

/* A value has ended: its key goes from the path. */
static void end_value(struct walk *walk)
{
    struct level *const level = top(walk);
    walk->key[level ? level->key_bytes : 0] = '\0';
    if (level) level->has_key = false;
}

static enum dr_code open_level(struct walk *walk, bool is_mapping, struct dr_error *err)
{
    if (walk->depth == YAML_MAX_DEPTH)
        return refuse_size(walk, "levels", YAML_MAX_DEPTH, err);
    const struct level *const outer = top(walk);
    if (outer && outer->is_mapping && !outer->has_key)
        return error_set(err, DR_UNSUPPORTED, "%.600s: a key is not a string",
                         walk->path);
    const enum dr_code code = begin_value(walk, err);
    if (code) return code;
    walk->levels[walk->depth++] =
        (struct level){.is_mapping = is_mapping, .key_bytes = strlen(walk->key)};
    return DR_OK;
}

static void close_level(struct walk *walk)
{
    --walk->depth;
    end_value(walk);
}

static enum dr_code take_scalar(struct walk *walk, const char *text,
                                struct dr_error *err)
{
    struct level *const level = top(walk);
    if (++walk->scalar_count > YAML_MAX_SCALARS)
        return refuse_size(walk, "values", YAML_MAX_SCALARS, err);
    if (level && level->is_mapping && !level->has_key) {
        level->has_key = true;
        return append(walk, text, err);
    }
    enum dr_code code = begin_value(walk, err);
    if (!code)
        code = tensor_list_config(walk->list,
                                  &(struct tensor_metadata){.key = walk->key,
                                                            .text = text,
                                                            .config = CONFIG_YAML,
                                                            .config_path = walk->path},
                                  err);
    end_value(walk);
    return code;
}

static enum dr_code take_event(struct walk *walk, const yaml_event_t *event,
                               struct dr_error *err)
{
    switch (event->type) {
    case YAML_MAPPING_START_EVENT: return open_level(walk, true, err);
    case YAML_SEQUENCE_START_EVENT: return open_level(walk, false, err);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT: close_level(walk); return DR_OK;
    case YAML_SCALAR_EVENT:
        return take_scalar(walk, (const char *)event->data.scalar.value, err);
    case YAML_ALIAS_EVENT: return take_scalar(walk, "*", err);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT: break;
    }
    return DR_OK;
}

enum dr_code yaml_config_parse(struct tensor_list *list, const char *path,
                               const void *text, size_t bytes, struct dr_error *err)
{
    struct walk walk = {.list = list, .path = path};
    yaml_parser_t parser;
    enum dr_code code = DR_OK;
    if (!yaml_parser_initialize(&parser))
        return error_set(err, DR_NOMEM, "no memory to read %.600s", path);
    yaml_parser_set_input_string(&parser, text, bytes);
    for (bool ended = false; !code && !ended;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            code = parser.error == YAML_MEMORY_ERROR
                       ? error_set(err, DR_NOMEM, "no memory to read %.600s", path)
                       : error_set(err, DR_CORRUPT, "%.600s: line %zu: %.200s", path,
                                   parser.problem_mark.line + 1,
                                   parser.problem ? parser.problem : "not YAML");
            break;
        }
        ended = event.type == YAML_STREAM_END_EVENT;
        code = take_event(&walk, &event, err);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return code;
}

char *yaml_config_path(struct pool *pool, const char *path)
{
    const char *const slash = strrchr(path, '/');
    const char *const dot = strrchr(slash ? slash : path, '.');
    const size_t stem_bytes = dot ? (size_t)(dot - path) : strlen(path);
    char *const out = pool_alloc(pool, stem_bytes + sizeof ".yaml");
    if (!out) return NULL;
    memcpy(out, path, stem_bytes);
    memcpy(out + stem_bytes, ".yaml", sizeof ".yaml");
    return out;
}

enum dr_code yaml_config_beside(struct tensor_list *list, const char *path,
                                struct dr_error *err)
{
    struct tensor_shard file;
    struct stat status;
    const char *const beside = yaml_config_path(list->pool, path);
    if (!beside) return error_set(err, DR_NOMEM, "no memory to read %.600s", path);
    if (stat(beside, &status) != 0 || !S_ISREG(status.st_mode)) return DR_OK;
    enum dr_code code = tensor_shard_open(&file, beside, err);
    if (code) return code;
    const uint64_t bytes = file.identity.bytes;
    struct pool pool = {0};
    char *const text = bytes <= YAML_MAX_BYTES ? pool_alloc(&pool, bytes + 1) : NULL;
    if (!text)
        code = bytes <= YAML_MAX_BYTES
                   ? error_set(err, DR_NOMEM, "no memory to read %.600s", beside)
                   : error_set(err, DR_UNSUPPORTED,
                               "%.600s has %llu bytes, too many for the YAML "
                               "configuration of a model",
                               beside, (unsigned long long)bytes);
    if (!code) code = tensor_shard_read(&file, 0, text, (size_t)bytes, err);
    if (!code) code = yaml_config_parse(list, beside, text, (size_t)bytes, err);
    pool_finish(&pool);
    tensor_shard_close(&file);
    return code;
}
