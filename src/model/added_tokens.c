/* Two halves: reading the files into a list of texts, and searching the finished table, in which
 * the tokens that begin alike lie beside each other: each step of a search narrows a range. */
#include "model/added_tokens.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/code_point.h"
#include "model/prompt_text.h"
#include "model/tokenizer_file.h"

#define CONFIG_FILE "tokenizer_config.json"
#define MAP_FILE    "special_tokens_map.json"
#define ADDED_FILE  "added_tokens.json"
#define FAST_FILE   "tokenizer.json"

/* ---- the list ---- */

/* Where reading is: for messages. */
struct source {
    struct added_tokens *tokens;
    const char *folder, *file;
    struct dr_error *err;
};

static enum dr_code no_memory(const struct source *source)
{
    return error_set(source->err, DR_NOMEM, "no memory for the tokens of %s",
                     source->folder);
}

static struct added_token *find(const struct added_tokens *tokens, const char *text)
{
    for (int32_t i = 0; i < tokens->count; ++i)
        if (strcmp(tokens->items[i].text, text) == 0) return &tokens->items[i];
    return NULL;
}

const struct added_token *added_tokens_find(const struct added_tokens *tokens,
                                            const char *text)
{
    return find(tokens, text);
}

/* Add one, or change what is known of it: the last flags count, ids must agree. */
static enum dr_code put(const struct source *source, const struct added_token *token)
{
    struct added_tokens *const tokens = source->tokens;
    if (!*token->text) return DR_OK; /* the reference leaves it out */
    if (strlen(token->text) > ADDED_TOKEN_MAX_BYTES)
        return error_set(source->err, DR_UNSUPPORTED,
                         "%s/%s: the token \"%.40s...\" has %zu bytes, more than %d",
                         source->folder, source->file, token->text, strlen(token->text),
                         ADDED_TOKEN_MAX_BYTES);
    struct added_token *const known = find(tokens, token->text);
    if (known && known->id >= 0 && token->id >= 0 && known->id != token->id)
        return error_set(source->err, DR_CORRUPT,
                         "%s/%s gives the token \"%.80s\" the id %d, but another "
                         "file gives it %d",
                         source->folder, source->file, token->text, (int)token->id,
                         (int)known->id);
    if (known) {
        known->is_normalized = token->is_normalized;
        if (token->id >= 0) known->id = token->id;
        return DR_OK;
    }
    if (tokens->count == ADDED_TOKENS_MAX)
        return error_set(source->err, DR_UNSUPPORTED, "%s/%s has more than %d tokens",
                         source->folder, source->file, ADDED_TOKENS_MAX);
    if (tokens->count == tokens->capacity) {
        const int32_t capacity = tokens->capacity ? 2 * tokens->capacity : 8;
        struct added_token *const grown =
            pool_grow(&tokens->pool, tokens->items, (size_t)tokens->count,
                      (size_t)capacity, sizeof *grown);
        if (!grown) return no_memory(source);
        tokens->items = grown;
        tokens->capacity = capacity;
    }
    struct added_token added = *token;
    added.text = pool_string(&tokens->pool, token->text);
    if (!added.text) return no_memory(source);
    tokens->items[tokens->count++] = added;
    return DR_OK;
}

static enum dr_code bad(const struct source *source, const char *key, const char *what)
{
    return error_set(source->err, DR_CORRUPT, "%s/%s: \"%.80s\" %s", source->folder,
                     source->file, key, what);
}

static bool flag(const json_t *entry, const char *name, bool otherwise)
{
    const json_t *const value = json_object_get(entry, name);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* {"content": "<x>", "single_word": false, ...} or "<x>", which is a special one. */
static enum dr_code take_entry(const struct source *source, const char *key,
                               const json_t *entry, struct added_token *out)
{
    const json_t *const content =
        json_is_object(entry) ? json_object_get(entry, "content") : entry;
    if (!json_is_string(content)) return bad(source, key, "is not a token");
    const bool is_special = json_is_string(entry) || flag(entry, "special", false);
    *out =
        (struct added_token){.text = json_string_value(content),
                             .id = -1,
                             .is_normalized = flag(entry, "normalized", !is_special)};
    if (flag(entry, "single_word", false))
        return error_set(source->err, DR_UNSUPPORTED,
                         "%s/%s: the token \"%.80s\" has \"single_word\": true, which "
                         "darkroom does not support",
                         source->folder, source->file, out->text);
    return DR_OK;
}

static enum dr_code take_id(const struct source *source, const char *text,
                            json_int_t id, int32_t *out)
{
    if (id < 0 || id > ADDED_TOKEN_MAX_ID)
        return error_set(
            source->err, DR_CORRUPT,
            "%s/%s: the id of \"%.80s\" is not a whole number from 0 to %d",
            source->folder, source->file, text, ADDED_TOKEN_MAX_ID);
    *out = (int32_t)id;
    return DR_OK;
}

/* ---- the files ---- */

/* NULL in *out where there is no such file. */
static enum dr_code open_optional(json_t **out, const char *folder, const char *file,
                                  struct dr_error *err)
{
    struct dr_error problem = {0};
    *out = NULL;
    const enum dr_code code = tokenizer_file_json(out, folder, file, &problem);
    if (code == DR_NOT_FOUND) return DR_OK;
    if (code && err) *err = problem;
    return code;
}

/* added_tokens_decoder: {"49408": {...}} */
static enum dr_code read_decoder(struct source *source, json_t *decoder)
{
    const char *key;
    json_t *entry;
    json_object_foreach(decoder, key, entry)
    {
        struct added_token token;
        char *end;
        errno = 0;
        const long long id = strtoll(key, &end, 10);
        enum dr_code code = take_entry(source, key, entry, &token);
        if (code == DR_OK)
            code = take_id(source, token.text, *end || errno || end == key ? -1 : id,
                           &token.id);
        if (code == DR_OK) code = put(source, &token);
        if (code) return code;
    }
    return DR_OK;
}

/* added_tokens.json: {"<x>": 49408}. A special one is one that a file names. */
static enum dr_code read_added(struct source *source, json_t *added,
                               const struct added_tokens *named)
{
    const char *text;
    json_t *value;
    json_object_foreach(added, text, value)
    {
        const struct added_token *const known = find(source->tokens, text);
        struct added_token token = {.text = text, .id = -1};
        token.is_normalized = known ? known->is_normalized : !find(named, text);
        enum dr_code code =
            take_id(source, text,
                    json_is_integer(value) ? json_integer_value(value) : -1, &token.id);
        if (code == DR_OK) code = put(source, &token);
        if (code) return code;
    }
    return DR_OK;
}

/* tokenizer.json: {"added_tokens": [{"id": 49408, "content": "<x>", ...}]} */
static enum dr_code read_fast(struct source *source, const json_t *fast)
{
    const json_t *const list = json_object_get(fast, "added_tokens");
    size_t i;
    const json_t *entry;
    json_array_foreach(list, i, entry)
    {
        struct added_token token;
        const json_t *const id = json_object_get(entry, "id");
        enum dr_code code = take_entry(source, "added_tokens", entry, &token);
        if (code == DR_OK)
            code =
                take_id(source, token.text,
                        json_is_integer(id) ? json_integer_value(id) : -1, &token.id);
        if (code == DR_OK) code = put(source, &token);
        if (code) return code;
    }
    return DR_OK;
}

static void note_pad(struct added_tokens *tokens, const char *text)
{
    const struct added_token *const pad = find(tokens, text);
    tokens->pad = pad ? pad->text : NULL;
}

/* A named token: the map's, else the config's (null: none), else CLIP's own end of text as a plain text. */
static enum dr_code read_named(struct source *source, const json_t *config,
                               const json_t *map, const char *key,
                               const char *otherwise)
{
    const json_t *value = json_object_get(map, key);
    source->file = value ? MAP_FILE : CONFIG_FILE;
    if (!value) value = json_object_get(config, key);
    if (json_is_null(value)) return DR_OK;
    if (!value) {
        const struct added_token token = {.text = otherwise, .id = -1};
        return otherwise ? put(source, &token) : DR_OK;
    }
    struct added_token token;
    enum dr_code code = take_entry(source, key, value, &token);
    if (code) return code;
    const char *const only = strcmp(key, "bos_token") == 0   ? BOS_SYMBOL
                             : strcmp(key, "eos_token") == 0 ? EOS_SYMBOL
                                                             : NULL;
    if (only && strcmp(token.text, only) != 0)
        return error_set(source->err, DR_UNSUPPORTED,
                         "%s/%s: \"%s\" is \"%.80s\"; darkroom supports only \"%s\"",
                         source->folder, source->file, key, token.text, only);
    code = put(source, &token);
    if (code == DR_OK && strcmp(key, "pad_token") == 0)
        note_pad(source->tokens, token.text);
    return code;
}

/* A list of special tokens, or an object of them. */
static enum dr_code read_list(struct source *source, const json_t *root,
                              const char *file, const char *key)
{
    json_t *const list = json_object_get(root, key);
    struct added_token token;
    enum dr_code code = DR_OK;
    source->file = file;
    if (json_is_object(list)) {
        const char *name;
        json_t *value;
        json_object_foreach(list, name, value)
        {
            code = take_entry(source, name, value, &token);
            if (code == DR_OK) code = put(source, &token);
            if (code) return code;
        }
        return code;
    }
    for (size_t i = 0; code == DR_OK && i < json_array_size(list); ++i) {
        code = take_entry(source, key, json_array_get(list, i), &token);
        if (code == DR_OK) code = put(source, &token);
    }
    return code;
}

/* The tokens that the files name, in the reference's order: of one text the last counts. */
static enum dr_code read_special(struct added_tokens *named, const char *folder,
                                 const json_t *config, const json_t *map,
                                 struct dr_error *err)
{
    static const struct {
        const char *key, *otherwise;
    } keys[] = {
        {"bos_token",  BOS_SYMBOL},
        {"eos_token",  EOS_SYMBOL},
        {"unk_token",  EOS_SYMBOL},
        {"sep_token",  NULL      },
        {"pad_token",  EOS_SYMBOL},
        {"cls_token",  NULL      },
        {"mask_token", NULL      },
    };
    struct source source = {named, folder, CONFIG_FILE, err};
    enum dr_code code = DR_OK;
    for (size_t i = 0; code == DR_OK && i < sizeof keys / sizeof *keys; ++i)
        code = read_named(&source, config, map, keys[i].key, keys[i].otherwise);
    static const char *const lists[] = {"additional_special_tokens",
                                        "extra_special_tokens"};
    for (size_t i = 0; code == DR_OK && i < 2; ++i) {
        code = read_list(&source, config, CONFIG_FILE, lists[i]);
        if (code == DR_OK) code = read_list(&source, map, MAP_FILE, lists[i]);
    }
    return code;
}

/* Those of the named ones that no file gave an id or flags of their own. */
static enum dr_code join(struct source *source, const struct added_tokens *named)
{
    enum dr_code code = DR_OK;
    source->file = CONFIG_FILE;
    for (int32_t i = 0; code == DR_OK && i < named->count; ++i)
        if (!find(source->tokens, named->items[i].text))
            code = put(source, &named->items[i]);
    if (code == DR_OK && named->pad) note_pad(source->tokens, named->pad);
    return code;
}

static enum dr_code read_default(struct source *source)
{
    const struct added_token bos = {.text = BOS_SYMBOL,
                                    .id = -1,
                                    .is_normalized = true};
    const struct added_token eos = {.text = EOS_SYMBOL, .id = -1};
    const enum dr_code code = put(source, &bos);
    return code ? code : put(source, &eos);
}

static enum dr_code check_config(const struct source *source, const json_t *config)
{
    if (!flag(config, "split_special_tokens", false)) return DR_OK;
    return error_set(source->err, DR_UNSUPPORTED,
                     "%s/%s has \"split_special_tokens\": true, which darkroom does "
                     "not support",
                     source->folder, CONFIG_FILE);
}

struct files {
    json_t *config, *map, *added, *fast;
};

static enum dr_code open_files(struct files *files, const char *folder,
                               struct dr_error *err)
{
    enum dr_code code = open_optional(&files->config, folder, CONFIG_FILE, err);
    if (code == DR_OK) code = open_optional(&files->added, folder, ADDED_FILE, err);
    if (json_object_get(files->config, "added_tokens_decoder")) return code;
    if (code == DR_OK) code = open_optional(&files->map, folder, MAP_FILE, err);
    if (code == DR_OK) code = open_optional(&files->fast, folder, FAST_FILE, err);
    return code;
}

static void close_files(struct files *files)
{
    json_decref(files->config);
    json_decref(files->map);
    json_decref(files->added);
    json_decref(files->fast);
}

static enum dr_code read_files(struct source *source, const struct files *files,
                               struct added_tokens *named)
{
    enum dr_code code = check_config(source, files->config);
    if (code == DR_OK && (files->config || files->map))
        code =
            read_special(named, source->folder, files->config, files->map, source->err);
    else if (code == DR_OK)
        code = read_default(&(struct source){named, source->folder, "", source->err});
    source->file = CONFIG_FILE;
    if (code == DR_OK)
        code = read_decoder(source,
                            json_object_get(files->config, "added_tokens_decoder"));
    source->file = ADDED_FILE;
    if (code == DR_OK) code = read_added(source, files->added, named);
    source->file = FAST_FILE;
    if (code == DR_OK) code = read_fast(source, files->fast);
    return code == DR_OK ? join(source, named) : code;
}

enum dr_code added_tokens_read(struct added_tokens *tokens, const char *folder,
                               struct dr_error *err)
{
    *tokens = (struct added_tokens){0};
    struct files files = {0};
    struct added_tokens named = {0};
    struct source source = {tokens, folder, CONFIG_FILE, err};
    enum dr_code code = open_files(&files, folder, err);
    if (code == DR_OK) code = read_files(&source, &files, &named);
    close_files(&files);
    added_tokens_finish(&named);
    if (code) added_tokens_finish(tokens);
    return code;
}

void added_tokens_finish(struct added_tokens *tokens)
{
    pool_finish(&tokens->pool);
    *tokens = (struct added_tokens){0};
}

/* ---- the table ---- */

/* Runs of white space are one space: so the reference normalises. */
static int32_t join_space(int32_t *points, size_t count)
{
    int32_t written = 0;
    for (size_t i = 0; i < count; ++i) {
        const bool is_space = code_point_class(points[i]) == CODE_POINT_SPACE;
        if (is_space && written > 0 && points[written - 1] == ' ') continue;
        points[written++] = is_space ? ' ' : points[i];
    }
    return written;
}

static enum dr_code find_points(struct added_tokens *tokens, struct added_token *token,
                                struct dr_error *err)
{
    struct prompt_text text;
    const enum dr_code code = token->is_normalized
                                  ? prompt_text_init(&text, token->text, NULL, err)
                                  : prompt_text_decode(&text, token->text, err);
    if (code) return code;
    if (token->is_normalized) text.count = (size_t)join_space(text.points, text.count);
    token->points = pool_grow(&tokens->pool, text.points, text.count, text.count + 1,
                              sizeof(int32_t));
    token->point_count = (int32_t)text.count;
    prompt_text_finish(&text);
    if (!token->points)
        return error_set(err, DR_NOMEM, "no memory for the token \"%.80s\"",
                         token->text);
    return DR_OK;
}

/* As written before normalised, then by points, a beginning before what it begins, then by id. */
static int compare_tokens(const void *left, const void *right)
{
    const struct added_token *const a = left, *const b = right;
    if (a->is_normalized != b->is_normalized) return a->is_normalized ? 1 : -1;
    for (int32_t i = 0; i < a->point_count && i < b->point_count; ++i)
        if (a->points[i] != b->points[i]) return a->points[i] < b->points[i] ? -1 : 1;
    if (a->point_count != b->point_count)
        return a->point_count < b->point_count ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

enum dr_code added_tokens_build(struct added_tokens *tokens, struct dr_error *err)
{
    tokens->raw_count = 0;
    for (int32_t i = 0; i < tokens->count; ++i) {
        const enum dr_code code = find_points(tokens, &tokens->items[i], err);
        if (code) return code;
        tokens->raw_count += !tokens->items[i].is_normalized;
    }
    if (tokens->count > 0)
        qsort(tokens->items, (size_t)tokens->count, sizeof *tokens->items,
              compare_tokens);
    return DR_OK;
}

struct token_search token_search_raw(const struct added_tokens *tokens)
{
    return (struct token_search){0, tokens ? tokens->raw_count : 0, 0, -1, 0};
}

struct token_search token_search_normalized(const struct added_tokens *tokens)
{
    return (struct token_search){tokens ? tokens->raw_count : 0,
                                 tokens ? tokens->count : 0, 0, -1, 0};
}

/* The first token of the range whose point at the search's depth is at least so much. */
static int32_t lower_bound(const struct token_search *search,
                           const struct added_tokens *tokens, int32_t point)
{
    int32_t low = search->first, high = search->end;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        const struct added_token *const token = &tokens->items[middle];
        const bool is_below =
            token->point_count <= search->depth || token->points[search->depth] < point;
        if (is_below)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool token_search_step(struct token_search *search, const struct added_tokens *tokens,
                       int32_t point)
{
    const int32_t first = lower_bound(search, tokens, point);
    search->end = lower_bound(search, tokens, point + 1);
    search->first = first;
    ++search->depth;
    if (first >= search->end) return false;
    if (tokens->items[first].point_count == search->depth) {
        search->found = first;
        search->found_points = search->depth;
    }
    return true;
}
