#include "service/model_folders.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/failure.h"
#include "service/folder_option.h"
#include "service/model_names.h"
#include "service/model_snapshot.h"

enum {
    LOOK_AFTER_MS = 1000 /* at the directories again */
};

/* A snapshot and who has it. */
struct held {
    struct snapshot *snapshot;
    size_t holders; /* the folders themselves, while it is the newest, and callers */
    struct held *next;
};

struct model_folders {
    struct model_folders_options options;
    char *model_option;      /* "DIR:DIR"; NULL: the default */
    pthread_mutex_t listing; /* held while directories are read; before lock */
    pthread_mutex_t lock;    /* of all below */
    struct held *newest;     /* and those before it that are still held; never NULL */
    bool is_listed;          /* false: the newest is empty, nobody has asked yet */
    double looked_ms;
};

/* ---- held lists -------------------------------------------------------------------------- */

/* Lets go of one; the last holder destroys it. */
static void let_go(struct model_folders *folders, struct held *held)
{
    struct held **link = &folders->newest;
    if (!held || --held->holders > 0) return;
    while (*link && *link != held)
        link = &(*link)->next;
    if (*link) *link = held->next;
    snapshot_destroy(held->snapshot);
    free(held);
}

/* Makes a snapshot, which is taken, the newest. False: no memory, or it is NULL. */
static bool add(struct model_folders *folders, struct snapshot *snapshot_take)
{
    struct held *const held = snapshot_take ? calloc(1, sizeof *held) : NULL;
    if (!held) {
        snapshot_destroy(snapshot_take);
        return false;
    }
    *held = (struct held){.snapshot = snapshot_take, .holders = 1};
    pthread_mutex_lock(&folders->lock);
    struct held *const before = folders->newest;
    held->next = before;
    folders->newest = held;
    folders->looked_ms = dr_clock_ms();
    let_go(folders, before);
    pthread_mutex_unlock(&folders->lock);
    return true;
}

/* ---- making and closing ------------------------------------------------------------------ */

enum dr_code model_folders_create(struct model_folders **out,
                                  const struct model_folders_options *options,
                                  struct dr_error *err)
{
    struct model_folders *folders = calloc(1, sizeof *folders);
    *out = NULL;
    if (!folders) return failure_memory(err, "the list of models");
    folders->options = *options;
    pthread_mutex_init(&folders->listing, NULL);
    pthread_mutex_init(&folders->lock, NULL);
    enum dr_code code =
        folder_option_join(options->models, "model", &folders->model_option, err);
    if (code == DR_OK && !add(folders, snapshot_create_empty()))
        code = failure_memory(err, "the list of models");
    if (code == DR_OK)
        *out = folders;
    else
        model_folders_destroy(folders);
    return code;
}

void model_folders_destroy(struct model_folders *folders)
{
    if (!folders) return;
    let_go(folders, folders->newest);
    pthread_mutex_destroy(&folders->listing);
    pthread_mutex_destroy(&folders->lock);
    free(folders->model_option);
    free(folders);
}

/* ---- the newest list --------------------------------------------------------------------- */

/* Under `listing`, so that the newest stays meanwhile. */
static enum dr_code list_again(struct model_folders *folders, struct dr_error *err)
{
    struct snapshot *snapshot;
    const enum dr_code code =
        snapshot_create(&snapshot, &folders->options, folders->model_option,
                        folders->newest->snapshot, err);
    if (code != DR_OK) return code;
    if (!add(folders, snapshot)) return failure_memory(err, "the list of models");
    pthread_mutex_lock(&folders->lock);
    folders->is_listed = true;
    pthread_mutex_unlock(&folders->lock);
    return DR_OK;
}

enum dr_code model_folders_refresh(struct model_folders *folders, struct dr_error *err)
{
    pthread_mutex_lock(&folders->listing);
    const enum dr_code code = list_again(folders, err);
    pthread_mutex_unlock(&folders->listing);
    return code;
}

static struct held *hold_newest(struct model_folders *folders)
{
    pthread_mutex_lock(&folders->lock);
    struct held *const held = folders->newest;
    ++held->holders;
    pthread_mutex_unlock(&folders->lock);
    return held;
}

static void drop_held(struct model_folders *folders, struct held *held)
{
    pthread_mutex_lock(&folders->lock);
    let_go(folders, held);
    pthread_mutex_unlock(&folders->lock);
}

static bool is_time(struct model_folders *folders)
{
    const double now_ms = dr_clock_ms();
    pthread_mutex_lock(&folders->lock);
    const bool is_due = now_ms - folders->looked_ms >= LOOK_AFTER_MS;
    if (is_due) folders->looked_ms = now_ms;
    pthread_mutex_unlock(&folders->lock);
    return is_due;
}

/* The first list is made when somebody asks for it: the service answers before it has read hundreds of headers. Whoever
 * asks meanwhile waits for it. Where it cannot be made, it is empty, and the next who asks tries again. */
static void list_first(struct model_folders *folders)
{
    pthread_mutex_lock(&folders->lock);
    bool is_listed = folders->is_listed;
    pthread_mutex_unlock(&folders->lock);
    if (is_listed) return;
    pthread_mutex_lock(&folders->listing);
    pthread_mutex_lock(&folders->lock);
    is_listed = folders->is_listed;
    pthread_mutex_unlock(&folders->lock);
    if (!is_listed) (void)!list_again(folders, NULL);
    pthread_mutex_unlock(&folders->listing);
}

/* One thread looks; others go on with the list that is there. Where it cannot be listed again, the old one stays. */
static void look(struct model_folders *folders)
{
    if (!is_time(folders) || pthread_mutex_trylock(&folders->listing) != 0) return;
    struct held *const held = hold_newest(folders);
    if (snapshot_is_old(held->snapshot)) (void)!list_again(folders, NULL);
    drop_held(folders, held);
    pthread_mutex_unlock(&folders->listing);
}

const struct model_snapshot *model_folders_hold(struct model_folders *folders)
{
    list_first(folders);
    look(folders);
    return snapshot_shown(hold_newest(folders)->snapshot);
}

void model_folders_drop(struct model_folders *folders,
                        const struct model_snapshot *snapshot)
{
    pthread_mutex_lock(&folders->lock);
    struct held *held = folders->newest;
    while (held && snapshot_shown(held->snapshot) != snapshot)
        held = held->next;
    let_go(folders, held);
    pthread_mutex_unlock(&folders->lock);
}

/* ---- names ------------------------------------------------------------------------------- */

enum dr_code model_folders_find(struct model_folders *folders, const char *said,
                                char path[DR_PATH_BYTES], struct dr_error *err)
{
    const struct listed_checkpoint *model;
    const struct model_snapshot *const list = model_folders_hold(folders);
    const enum dr_code code = model_names_find(list, said, &model, err);
    if (code == DR_OK) (void)snprintf(path, DR_PATH_BYTES, "%s", model->path);
    model_folders_drop(folders, list);
    return code;
}

enum dr_code model_folders_find_vae(struct model_folders *folders, const char *said,
                                    char choice[DR_PATH_BYTES], struct dr_error *err)
{
    enum vae_meaning meaning = VAE_MEANS_AUTOMATIC;
    const struct listed_vae_file *vae = NULL;
    const struct model_snapshot *const list = model_folders_hold(folders);
    const enum dr_code code = model_names_find_vae(list, said, &meaning, &vae, err);
    if (code == DR_OK)
        (void)snprintf(choice, DR_PATH_BYTES, "%s",
                       meaning == VAE_MEANS_AUTOMATIC ? "automatic"
                       : meaning == VAE_MEANS_NONE    ? "none"
                                                      : vae->path);
    model_folders_drop(folders, list);
    return code;
}

/* A name of the settings that is not listed stays as it is: the engine says then what is wrong with it. */
void model_folders_vae_setting(struct model_folders *folders,
                               char choice[DR_PATH_BYTES])
{
    struct dr_settings settings;
    (void)snprintf(choice, DR_PATH_BYTES, "automatic");
    if (dr_settings_read(folders->options.settings_path, &settings, NULL) != DR_OK)
        return;
    if (settings.vae[0] &&
        model_folders_find_vae(folders, settings.vae, choice, NULL) != DR_OK)
        (void)snprintf(choice, DR_PATH_BYTES, "%s", settings.vae);
    dr_settings_free(&settings);
}

static const struct listed_checkpoint *find_path(const struct model_snapshot *list,
                                                 const char *path)
{
    for (size_t i = 0; i < list->model_count; ++i)
        if (strcmp(list->models[i].path, path) == 0) return &list->models[i];
    return NULL;
}

void model_folders_title(struct model_folders *folders, const char *path,
                         char title[MODEL_TITLE_BYTES])
{
    const struct model_snapshot *const list = model_folders_hold(folders);
    const struct listed_checkpoint *const model = find_path(list, path);
    (void)snprintf(title, MODEL_TITLE_BYTES, "%s",
                   model ? model->title : model_names_file(path));
    model_folders_drop(folders, list);
}

void model_folders_vae_name(struct model_folders *folders, const char *choice,
                            char name[MODEL_TITLE_BYTES])
{
    const struct model_snapshot *const list = model_folders_hold(folders);
    const char *text = model_names_file(choice);
    if (strcmp(choice, "automatic") == 0) text = "Automatic";
    if (strcmp(choice, "none") == 0) text = "None";
    for (size_t i = 0; i < list->vae_count; ++i)
        if (strcmp(list->vaes[i].path, choice) == 0) text = list->vaes[i].name;
    (void)snprintf(name, MODEL_TITLE_BYTES, "%s", text);
    model_folders_drop(folders, list);
}

static void hide_all(const char *const *named, char *text)
{
    for (size_t i = 0; named && named[i]; ++i)
        model_names_hide(named[i], text);
}

/* Nothing is listed for it: the default directories are known when somebody has asked for a list. */
void model_folders_hide(struct model_folders *folders, char *text)
{
    const struct model_folders_options *const options = &folders->options;
    if (!strchr(text, '/')) return;
    hide_all(options->models, text);
    hide_all(options->vaes, text);
    if (options->model) {
        char folder[DR_PATH_BYTES];
        const int length = (int)(model_names_file(options->model) - options->model);
        (void)snprintf(folder, sizeof folder, "%.*s", length, options->model);
        model_names_hide(folder, text);
    }
    struct held *const held = hold_newest(folders);
    snapshot_hide_folders(held->snapshot, text);
    drop_held(folders, held);
}

void model_folders_sha256(struct model_folders *folders, const char *path,
                          char sha256[DR_DIGEST_CHARS])
{
    const struct model_snapshot *const list = model_folders_hold(folders);
    const struct listed_checkpoint *const model = find_path(list, path);
    (void)snprintf(sha256, DR_DIGEST_CHARS, "%s", model ? model->sha256 : "");
    model_folders_drop(folders, list);
}
