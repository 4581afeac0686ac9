#include "service/option_list.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "front/member.h"
#include "service/failure.h"
#include "service/loose_field.h"
#include "service/option_store.h"

/* ---- the table --------------------------------------------------------------------------- */

enum option_type {
    OPTION_MODEL, /* a path; clients see its title */
    OPTION_VAE,   /* a choice; clients see a name */
    OPTION_TEXT,  /* one of its words */
    OPTION_INTEGER,
    OPTION_REAL,
    OPTION_FLAG,
    OPTION_NULL /* always null */
};

/* What setting it does. */
enum option_effect {
    OPTION_SHOWN,  /* nothing: it has one value, which clients read */
    OPTION_CHOICE, /* chooses what is loaded */
    OPTION_DEFAULT /* of requests */
};

static const char *const formats[] = {"png", "jpg", NULL};
/* In the order of enum dr_emphasis. */
static const char *const emphases[] = {"Original", "No norm", "Ignore", NULL};

static const struct option {
    const char *name;
    enum option_type type;
    enum option_effect effect;
    const char *value;          /* by default */
    double least, most;         /* of numbers */
    const char *const *words;   /* of texts */
    const char *other_spelling; /* of the last word */
} table[] = {
  /* The model and VAE that jobs have. */
    {"sd_model_checkpoint",        OPTION_MODEL,   OPTION_CHOICE,  "",             0,         0,         NULL,     NULL  },
    {"sd_vae",                     OPTION_VAE,     OPTION_CHOICE,  "",             0,         0,         NULL,     NULL  },
 /* What a request has that does not say it. */
    {"CLIP_stop_at_last_layers",   OPTION_INTEGER, OPTION_DEFAULT, "1",            1,         12,        NULL,
     NULL                                                                                                                },
    {"samples_format",             OPTION_TEXT,    OPTION_DEFAULT, "png",          0,         0,         formats,  "jpeg"},
    {"jpeg_quality",               OPTION_INTEGER, OPTION_DEFAULT, "80",           1,         100,       NULL,     NULL  },
    {"samples_save",               OPTION_FLAG,    OPTION_DEFAULT, "true",         0,         0,         NULL,     NULL  },
    {"eta_noise_seed_delta",       OPTION_INTEGER, OPTION_DEFAULT, "0",            INT32_MIN, INT32_MAX,
     NULL,                                                                                                         NULL  },
    {"pad_cond_uncond",            OPTION_FLAG,    OPTION_DEFAULT, "false",        0,         0,         NULL,     NULL  },
    {"emphasis",                   OPTION_TEXT,    OPTION_DEFAULT, "Original",     0,         0,         emphases, NULL  },
 /* The preview in GET progress. */
    {"live_previews_enable",       OPTION_FLAG,    OPTION_DEFAULT, "true",         0,         0,         NULL,     NULL  },
 /* Read by clients, and not to be changed: what this engine does, in A1111's words. */
    {"show_progress_type",         OPTION_TEXT,    OPTION_SHOWN,   "Approx cheap", 0,         0,         NULL,     NULL  },
    {"live_previews_image_format", OPTION_TEXT,    OPTION_SHOWN,   "png",          0,         0,         NULL,     NULL  },
    {"randn_source",               OPTION_TEXT,    OPTION_SHOWN,   "GPU",          0,         0,         NULL,     NULL  },
    {"eta_ddim",                   OPTION_REAL,    OPTION_SHOWN,   "0",            0,         0,         NULL,     NULL  },
    {"eta_ancestral",              OPTION_REAL,    OPTION_SHOWN,   "1",            0,         0,         NULL,     NULL  },
    {"img2img_color_correction",   OPTION_FLAG,    OPTION_SHOWN,   "false",        0,         0,         NULL,     NULL  },
    {"img2img_fix_steps",          OPTION_FLAG,    OPTION_SHOWN,   "false",        0,         0,         NULL,     NULL  },
    {"initial_noise_multiplier",   OPTION_REAL,    OPTION_SHOWN,   "1",            0,         0,         NULL,     NULL  },
    {"inpainting_mask_weight",     OPTION_REAL,    OPTION_SHOWN,   "1",            0,         0,         NULL,     NULL  },
    {"upcast_attn",                OPTION_FLAG,    OPTION_SHOWN,   "false",        0,         0,         NULL,     NULL  },
    {"upcast_sampling",            OPTION_FLAG,    OPTION_SHOWN,   "false",        0,         0,         NULL,     NULL  },
    {"face_restoration",           OPTION_FLAG,    OPTION_SHOWN,   "false",        0,         0,         NULL,     NULL  },
    {"face_restoration_model",     OPTION_NULL,    OPTION_SHOWN,   "",             0,         0,         NULL,     NULL  },
    {"sd_model_refiner",           OPTION_TEXT,    OPTION_SHOWN,   "None",         0,         0,         NULL,     NULL  },
    {"sd_hypernetwork",            OPTION_TEXT,    OPTION_SHOWN,   "None",         0,         0,         NULL,     NULL  },
    {"sd_lora",                    OPTION_TEXT,    OPTION_SHOWN,   "None",         0,         0,         NULL,     NULL  },
    {"sd_unet",                    OPTION_TEXT,    OPTION_SHOWN,   "Automatic",    0,         0,         NULL,     NULL  },
    {"sd_checkpoint_cache",        OPTION_INTEGER, OPTION_SHOWN,   "0",            0,         0,         NULL,     NULL  },
    {"sd_vae_checkpoint_cache",    OPTION_INTEGER, OPTION_SHOWN,   "0",            0,         0,         NULL,     NULL  },
    {"sd_checkpoints_limit",       OPTION_INTEGER, OPTION_SHOWN,   "1",            0,         0,         NULL,     NULL  },
    {"grid_save",                  OPTION_FLAG,    OPTION_SHOWN,   "false",        0,         0,         NULL,     NULL  },
    {"return_grid",                OPTION_FLAG,    OPTION_SHOWN,   "false",        0,         0,         NULL,     NULL  },
    {"do_not_show_images",         OPTION_FLAG,    OPTION_SHOWN,   "false",        0,         0,         NULL,     NULL  },
    {"enable_pnginfo",             OPTION_FLAG,    OPTION_SHOWN,   "true",         0,         0,         NULL,     NULL  },
    {"save_images_add_number",     OPTION_FLAG,    OPTION_SHOWN,   "true",         0,         0,         NULL,     NULL  },
 /* Pictures are in the gallery; no client names a directory. */
    {"outdir_samples",             OPTION_TEXT,    OPTION_SHOWN,   "",             0,         0,         NULL,     NULL  },
    {"outdir_txt2img_samples",     OPTION_TEXT,    OPTION_SHOWN,   "",             0,         0,         NULL,     NULL  },
    {"outdir_img2img_samples",     OPTION_TEXT,    OPTION_SHOWN,   "",             0,         0,         NULL,     NULL  },
    {"outdir_extras_samples",      OPTION_TEXT,    OPTION_SHOWN,   "",             0,         0,         NULL,     NULL  },
    {"outdir_grids",               OPTION_TEXT,    OPTION_SHOWN,   "",             0,         0,         NULL,     NULL  },
    {"outdir_save",                OPTION_TEXT,    OPTION_SHOWN,   "",             0,         0,         NULL,     NULL  },
};

enum {
    OPTION_COUNT = sizeof table / sizeof *table,
    MOST_IGNORED = 64
};

struct option_list {
    struct store *store;
    struct model_folders *folders;
    pthread_mutex_t
        lock; /* of values; no other lock is taken under it but the store's */
    char *values[OPTION_COUNT];
};

static size_t find(const char *name)
{
    size_t i = 0;
    while (i < OPTION_COUNT && strcmp(table[i].name, name) != 0)
        ++i;
    return i;
}

/* ---- values as text ---------------------------------------------------------------------- */

static enum dr_code no_memory(struct dr_error *err)
{
    return failure_memory(err, "the options");
}

static enum dr_code read_word(const struct option *option, const char *text,
                              const char **value, struct dr_error *err)
{
    char words[DR_TEXT_BYTES] = "";
    for (size_t i = 0; option->words[i]; ++i) {
        const size_t used = strlen(words);
        *value = option->words[i];
        if (strcasecmp(text, *value) == 0) return DR_OK;
        (void)snprintf(words + used, sizeof words - used, "%s%s", i ? ", " : "",
                       *value);
    }
    if (option->other_spelling && strcasecmp(text, option->other_spelling) == 0)
        return DR_OK;
    return failure(err, DR_BAD_INPUT, "%s is \"%.40s\"; it takes %s", option->name,
                   text, words);
}

static enum dr_code read_text(struct option_list *list, const struct option *option,
                              const json_t *values, char value[static DR_PATH_BYTES],
                              bool *is_given, struct dr_error *err)
{
    const char *text = NULL, *word = "";
    enum dr_code code = loose_text(values, option->name, &text, err);
    *is_given = text != NULL;
    if (code != DR_OK || !text) return code;
    if (option->type == OPTION_MODEL)
        return model_folders_find(list->folders, text, value, err);
    if (option->type == OPTION_VAE)
        return model_folders_find_vae(list->folders, text, value, err);
    code = read_word(option, text, &word, err);
    (void)snprintf(value, DR_PATH_BYTES, "%s", word);
    return code;
}

/* A member as the option's text. Missing, null or "": not given. */
static enum dr_code read_value(struct option_list *list, const struct option *option,
                               const json_t *values, char value[static DR_PATH_BYTES],
                               bool *is_given, struct dr_error *err)
{
    int64_t integer = INT64_MIN;
    bool yes = true, no = false;
    double real = -1e300;
    enum dr_code code = DR_OK;
    *is_given = false;
    switch (option->type) {
    case OPTION_MODEL:
    case OPTION_VAE:
    case OPTION_TEXT: return read_text(list, option, values, value, is_given, err);
    case OPTION_INTEGER:
        code = loose_integer(values, option->name, (int64_t)option->least,
                             (int64_t)option->most, &integer, err);
        *is_given = integer != INT64_MIN;
        (void)snprintf(value, DR_PATH_BYTES, "%lld", (long long)integer);
        return code;
    case OPTION_REAL:
        code =
            loose_real(values, option->name, option->least, option->most, &real, err);
        *is_given = real > -1e300;
        (void)snprintf(value, DR_PATH_BYTES, "%.9g", real);
        return code;
    case OPTION_FLAG:
        code = loose_flag(values, option->name, &yes, err);
        if (code == DR_OK) code = loose_flag(values, option->name, &no, err);
        *is_given = yes == no;
        (void)snprintf(value, DR_PATH_BYTES, "%s", yes ? "true" : "false");
        return code;
    case OPTION_NULL: return DR_OK;
    }
    return DR_OK;
}

static json_t *show_value(struct option_list *list, const struct option *option,
                          const char *value)
{
    char name[MODEL_TITLE_BYTES];
    switch (option->type) {
    case OPTION_MODEL:
        model_folders_title(list->folders, value, name);
        return member_text(name);
    case OPTION_VAE:
        model_folders_vae_name(list->folders, value, name);
        return member_text(name);
    case OPTION_TEXT: return member_text(value);
    case OPTION_INTEGER: return json_integer(strtoll(value, NULL, 10));
    case OPTION_REAL: return json_real(strtod(value, NULL));
    case OPTION_FLAG: return json_boolean(strcmp(value, "true") == 0);
    case OPTION_NULL: return json_null();
    }
    return NULL;
}

/* ---- the list ---------------------------------------------------------------------------- */

/* Kept by an earlier run, perhaps of another version: what it cannot mean any more is left. */
static void take_kept(void *cookie, const char *name, const char *value)
{
    struct option_list *const list = cookie;
    const size_t i = find(name);
    if (i == OPTION_COUNT || table[i].effect == OPTION_SHOWN) return;
    char text[DR_PATH_BYTES];
    bool is_given = true;
    if (table[i].effect == OPTION_DEFAULT) {
        json_t *const values = json_object();
        member_set_text(values, name, value);
        if (read_value(list, &table[i], values, text, &is_given, NULL) != DR_OK)
            is_given = false;
        json_decref(values);
    }
    char *const copy = is_given ? strdup(value) : NULL;
    if (!copy) return;
    free(list->values[i]);
    list->values[i] = copy;
}

enum dr_code option_list_create(struct option_list **out, struct store *store,
                                struct model_folders *folders, struct dr_error *err)
{
    struct option_list *const list = calloc(1, sizeof *list);
    enum dr_code code = DR_OK;
    *out = NULL;
    if (!list) return no_memory(err);
    list->store = store;
    list->folders = folders;
    pthread_mutex_init(&list->lock, NULL);
    for (size_t i = 0; i < OPTION_COUNT && code == DR_OK; ++i) {
        char vae[DR_PATH_BYTES];
        if (table[i].type == OPTION_VAE) model_folders_vae_setting(folders, vae);
        list->values[i] = strdup(table[i].type == OPTION_VAE ? vae : table[i].value);
        if (!list->values[i]) code = no_memory(err);
    }
    if (code == DR_OK && store) code = option_store_read(store, take_kept, list, err);
    if (code == DR_OK)
        *out = list;
    else
        option_list_destroy(list);
    return code;
}

void option_list_destroy(struct option_list *list)
{
    if (!list) return;
    for (size_t i = 0; i < OPTION_COUNT; ++i)
        free(list->values[i]);
    pthread_mutex_destroy(&list->lock);
    free(list);
}

void option_list_get(struct option_list *list, const char *name, char *value,
                     size_t bytes)
{
    const size_t i = find(name);
    pthread_mutex_lock(&list->lock);
    (void)snprintf(value, bytes, "%s", i < OPTION_COUNT ? list->values[i] : "");
    pthread_mutex_unlock(&list->lock);
}

json_t *option_list_json(struct option_list *list)
{
    json_t *const object = json_object();
    char value[DR_PATH_BYTES], sha256[DR_DIGEST_CHARS];
    for (size_t i = 0; i < OPTION_COUNT; ++i) {
        option_list_get(list, table[i].name, value, sizeof value);
        member_set(object, table[i].name, show_value(list, &table[i], value));
        if (table[i].type != OPTION_MODEL) continue;
        model_folders_sha256(list->folders, value, sha256);
        member_set_text(object, "sd_checkpoint_hash", sha256);
    }
    return object;
}

/* ---- changes ----------------------------------------------------------------------------- */

void option_changes_free(struct option_change *changes, size_t count)
{
    for (size_t i = 0; changes && i < count; ++i)
        free(changes[i].value);
    free(changes);
}

/* Those of a whole dictionary that was read before and comes back are not worth a word. */
static bool is_as_shown(struct option_list *list, size_t i, const json_t *value)
{
    json_t *const shown = show_value(list, &table[i], table[i].value);
    const bool is_same = json_is_null(value) || json_equal(shown, value) ||
                         (json_is_number(shown) && json_is_number(value) &&
                          json_number_value(shown) == json_number_value(value));
    json_decref(shown);
    return is_same;
}

static void note_ignored(struct option_list *list, json_t *values, json_t *ignored)
{
    const char *name;
    json_t *value;
    json_object_foreach(values, name, value)
    {
        const size_t i = find(name);
        const bool is_taken = i < OPTION_COUNT && (table[i].effect != OPTION_SHOWN ||
                                                   is_as_shown(list, i, value));
        if (!is_taken && strcmp(name, "sd_checkpoint_hash") != 0 &&
            json_array_size(ignored) < MOST_IGNORED)
            (void)json_array_append_new(ignored, member_text(name));
    }
}

static enum dr_code read_changes(struct option_list *list, const json_t *values,
                                 struct option_change changes[OPTION_COUNT],
                                 size_t *count, struct dr_error *err)
{
    char value[DR_PATH_BYTES], current[DR_PATH_BYTES];
    for (size_t i = 0; i < OPTION_COUNT; ++i) {
        bool is_given;
        if (table[i].effect == OPTION_SHOWN) continue;
        const enum dr_code code =
            read_value(list, &table[i], values, value, &is_given, err);
        if (code != DR_OK) return code;
        option_list_get(list, table[i].name, current, sizeof current);
        if (!is_given || strcmp(value, current) == 0) continue;
        changes[*count] = (struct option_change){table[i].name, strdup(value)};
        if (!changes[(*count)++].value) return no_memory(err);
    }
    return DR_OK;
}

enum dr_code option_list_read(struct option_list *list, json_t *values,
                              struct option_change **changes, size_t *count,
                              json_t *ignored, struct dr_error *err)
{
    struct option_change *const found = calloc(OPTION_COUNT, sizeof *found);
    size_t found_count = 0;
    *changes = NULL;
    *count = 0;
    if (!found) return no_memory(err);
    enum dr_code code = DR_OK;
    if (values && !json_is_object(values) && !json_is_null(values))
        code = failure(err, DR_BAD_INPUT,
                       "the options are not an object of names and values");
    if (code == DR_OK) code = read_changes(list, values, found, &found_count, err);
    if (code != DR_OK) {
        option_changes_free(found, found_count);
        return code;
    }
    if (ignored) note_ignored(list, values, ignored);
    *changes = found;
    *count = found_count;
    return DR_OK;
}

/* What they were, so that a failure leaves all as it was. */
static void write_back(struct option_list *list, const struct option_change *changes,
                       size_t count)
{
    for (size_t i = 0; i < count; ++i)
        (void)!option_store_write(list->store, changes[i].name,
                                  list->values[find(changes[i].name)], NULL);
}

static enum dr_code write_all(struct option_list *list,
                              const struct option_change *changes, size_t count,
                              struct dr_error *err)
{
    for (size_t i = 0; i < count; ++i) {
        const enum dr_code code =
            option_store_write(list->store, changes[i].name, changes[i].value, err);
        if (code == DR_OK) continue;
        write_back(list, changes, i);
        return code;
    }
    return DR_OK;
}

static bool set_copy(char **copy, const char *value)
{
    free(*copy);
    *copy = strdup(value);
    return *copy != NULL;
}

enum dr_code option_list_set(struct option_list *list,
                             const struct option_change *changes, size_t count,
                             struct dr_error *err)
{
    char *copies[OPTION_COUNT] = {0};
    enum dr_code code = DR_OK;
    for (size_t i = 0; i < count && code == DR_OK; ++i) {
        const size_t at = find(changes[i].name);
        if (at == OPTION_COUNT)
            code = failure(err, DR_BAD_INPUT, "there is no option %.100s",
                           changes[i].name);
        else if (!set_copy(&copies[at], changes[i].value))
            code = no_memory(err);
    }
    pthread_mutex_lock(&list->lock);
    if (code == DR_OK && list->store) code = write_all(list, changes, count, err);
    for (size_t i = 0; i < OPTION_COUNT; ++i) {
        if (code != DR_OK || !copies[i]) continue;
        char *const before = list->values[i];
        list->values[i] = copies[i];
        copies[i] = before;
    }
    pthread_mutex_unlock(&list->lock);
    for (size_t i = 0; i < OPTION_COUNT; ++i)
        free(copies[i]);
    return code;
}
