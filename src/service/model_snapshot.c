#include "service/model_snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "service/failure.h"
#include "service/model_names.h"

enum {
    LISTS = 2, /* the directories', and the one that lies elsewhere */
    YOUNG_NS =
        50000000 /* the kernel counts changes in ticks: of a directory that changed
                         * less long ago, a later change may have the same time */
};

/* A directory, and when it had changed last when it was listed. */
struct watched {
    char *path;
    struct timespec changed;
};

struct snapshot {
    struct model_snapshot shown;
    struct dr_model_list lists[LISTS];
    struct dr_vae_files *vae_lists;
    size_t vae_list_count;
    struct listed_checkpoint *models;
    struct listed_vae_file *vaes;
    char **texts; /* titles and names */
    size_t text_count;
    struct watched *watched;
    size_t watched_count;
    struct timespec started; /* when the lists were begun */
};

struct snapshot *snapshot_create_empty(void)
{
    return calloc(1, sizeof(struct snapshot));
}

void snapshot_destroy(struct snapshot *snapshot)
{
    if (!snapshot) return;
    for (size_t i = 0; i < snapshot->text_count; ++i)
        free(snapshot->texts[i]);
    for (size_t i = 0; i < snapshot->watched_count; ++i)
        free(snapshot->watched[i].path);
    for (size_t i = 0; i < snapshot->vae_list_count; ++i)
        dr_vae_files_free(&snapshot->vae_lists[i]);
    for (size_t i = 0; i < LISTS; ++i)
        dr_model_list_free(&snapshot->lists[i]);
    free(snapshot->vae_lists);
    free(snapshot->models);
    free(snapshot->vaes);
    free(snapshot->texts);
    free(snapshot->watched);
    free(snapshot);
}

const struct model_snapshot *snapshot_shown(const struct snapshot *snapshot)
{
    return &snapshot->shown;
}

static enum dr_code no_memory(struct dr_error *err)
{
    return failure_memory(err, "the list of models");
}

/* ---- which directories ------------------------------------------------------------------- */

/* path [length]. One that changed while it was listed, or just before, counts as old at once. */
static enum dr_code watch(struct snapshot *snapshot, const char *path, size_t length,
                          struct dr_error *err)
{
    struct stat status;
    for (size_t i = snapshot->watched_count; i-- > 0;)
        if (strncmp(snapshot->watched[i].path, path, length) == 0 &&
            snapshot->watched[i].path[length] == '\0')
            return DR_OK;
    struct watched *const grown =
        realloc(snapshot->watched,
                (snapshot->watched_count + 1) * sizeof *snapshot->watched);
    if (!grown) return no_memory(err);
    snapshot->watched = grown;
    struct watched *const folder = &grown[snapshot->watched_count];
    *folder = (struct watched){.path = strndup(path, length)};
    if (!folder->path) return no_memory(err);
    ++snapshot->watched_count;
    if (stat(folder->path, &status) != 0) return DR_OK;
    const double age_ns =
        1e9 * (double)(snapshot->started.tv_sec - status.st_mtim.tv_sec) +
        (double)(snapshot->started.tv_nsec - status.st_mtim.tv_nsec);
    if (age_ns > YOUNG_NS) folder->changed = status.st_mtim;
    return DR_OK;
}

/* Those between a root and a file in it: file is the end of path. */
static enum dr_code watch_below(struct snapshot *snapshot, const char *path,
                                const char *file, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (const char *slash = strchr(file, '/'); slash && code == DR_OK;
         slash = strchr(slash + 1, '/'))
        code = watch(snapshot, path,
                     strlen(path) - strlen(file) + (size_t)(slash - file), err);
    return code;
}

static enum dr_code watch_all(struct snapshot *snapshot, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    const struct dr_model_list *const list = &snapshot->lists[0];
    for (size_t i = 0; i < list->folder_count && code == DR_OK; ++i)
        code =
            watch(snapshot, list->folder_paths[i], strlen(list->folder_paths[i]), err);
    for (size_t i = 0; i < list->count && code == DR_OK; ++i)
        code = watch_below(snapshot, list->models[i].path, list->models[i].file, err);
    for (size_t i = 0; i < snapshot->vae_list_count && code == DR_OK; ++i) {
        const struct dr_vae_files *const vaes = &snapshot->vae_lists[i];
        const size_t length = strlen(vaes->folder);
        code = watch(snapshot, vaes->folder, length, err);
        for (size_t k = 0; k < vaes->count && code == DR_OK; ++k)
            code = watch_below(snapshot, vaes->files[k].path,
                               vaes->files[k].path + length + 1, err);
    }
    return code;
}

bool snapshot_is_old(const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->watched_count; ++i) {
        const struct watched *const folder = &snapshot->watched[i];
        struct stat status = {0};
        (void)stat(folder->path, &status); /* one that is gone has no time */
        if (status.st_mtim.tv_sec != folder->changed.tv_sec ||
            status.st_mtim.tv_nsec != folder->changed.tv_nsec)
            return true;
    }
    return false;
}

/* ---- names ------------------------------------------------------------------------------- */

/* A text that the snapshot owns, of room that was made before; NULL: no memory. */
static const char *keep_text(struct snapshot *snapshot, char *text_take)
{
    if (text_take) snapshot->texts[snapshot->text_count++] = text_take;
    return text_take;
}

static char *join(const char *a, const char *b, const char *c, size_t c_length,
                  const char *d)
{
    const size_t bytes = strlen(a) + strlen(b) + c_length + strlen(d) + 1;
    char *const text = malloc(bytes);
    if (text) (void)snprintf(text, bytes, "%s%s%.*s%s", a, b, (int)c_length, c, d);
    return text;
}

/* The last component of the directory that a file lies in below. */
static char *root_name(const char *path, const char *file)
{
    size_t end = strlen(path) - strlen(file);
    while (end > 0 && path[end - 1] == '/')
        --end;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        --start;
    return strndup(path + start, end - start);
}

/* Has another directory, before this model's, a file of the same name? Then the name of its directory stands before. */
static bool is_taken(const struct snapshot *snapshot, const char *file)
{
    if (snapshot->lists[0].folder_count < 2 && snapshot->lists[1].count == 0)
        return false;
    for (size_t i = 0; i < snapshot->shown.model_count; ++i)
        if (strcmp(snapshot->models[i].file, file) == 0) return true;
    return false;
}

static const char *distinct_file(struct snapshot *snapshot,
                                 const struct dr_listed_model *model)
{
    if (!is_taken(snapshot, model->file)) return model->file;
    char *const root = root_name(model->path, model->file);
    const char *const file =
        root
            ? keep_text(snapshot, join(root, "/", model->file, strlen(model->file), ""))
            : NULL;
    free(root);
    return file;
}

/* A1111's: the file without its extension, "_" for "/". A directory's name has none. */
static char *model_name(const char *file, const char *stem)
{
    const char *const slash = strrchr(file, '/');
    const size_t above = slash ? (size_t)(slash - file) + 1 : 0;
    char *const name = join("", "", file, above, stem);
    for (char *c = name; c && *c; ++c)
        if (*c == '/') *c = '_';
    return name;
}

static enum dr_code add_model(struct snapshot *snapshot,
                              const struct dr_listed_model *model, struct dr_error *err)
{
    const char *const file = distinct_file(snapshot, model);
    if (!file) return no_memory(err);
    const bool has_hash = model->sha256[0] != '\0';
    const char *const name = keep_text(snapshot, model_name(file, model->name));
    const char *const title =
        has_hash ? keep_text(snapshot,
                             join(file, " [", model->sha256, MODEL_HASH_CHARS - 1, "]"))
                 : file;
    if (!name || !title) return no_memory(err);
    snapshot->models[snapshot->shown.model_count++] =
        (struct listed_checkpoint){.title = title,
                                   .name = name,
                                   .file = file,
                                   .path = model->path,
                                   .sha256 = model->sha256,
                                   .family = model->family,
                                   .vae = model->vae,
                                   .problem = model->problem,
                                   .bytes = model->bytes};
    return DR_OK;
}

static bool has_model(const struct snapshot *snapshot, const char *path)
{
    for (size_t i = 0; i < snapshot->shown.model_count; ++i)
        if (strcmp(snapshot->models[i].path, path) == 0) return true;
    return false;
}

static enum dr_code add_models(struct snapshot *snapshot, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    const struct dr_model_list *const lists = snapshot->lists;
    snapshot->models =
        calloc(lists[0].count + lists[1].count + 1, sizeof *snapshot->models);
    snapshot->shown.models = snapshot->models;
    snapshot->shown.folders = snapshot->lists[0].folders;
    if (!snapshot->models) return no_memory(err);
    for (size_t i = 0; i < lists[0].count && code == DR_OK; ++i)
        code = add_model(snapshot, &lists[0].models[i], err);
    for (size_t i = 0; i < lists[1].count && code == DR_OK; ++i)
        if (!has_model(snapshot, lists[1].models[i].path))
            code = add_model(snapshot, &lists[1].models[i], err);
    return code;
}

/* The file's name; where another VAE has it, its path below its directory. */
static const char *vae_name(const struct snapshot *snapshot,
                            const struct dr_vae_files *list,
                            const struct dr_vae_file *file)
{
    for (size_t i = 0; i < snapshot->shown.vae_count; ++i)
        if (strcmp(snapshot->vaes[i].name, file->name) == 0)
            return file->path + strlen(list->folder) + 1;
    return file->name;
}

static enum dr_code add_vaes(struct snapshot *snapshot, struct dr_error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < snapshot->vae_list_count; ++i)
        count += snapshot->vae_lists[i].count;
    snapshot->vaes = calloc(count + 1, sizeof *snapshot->vaes);
    snapshot->shown.vaes = snapshot->vaes;
    if (!snapshot->vaes) return no_memory(err);
    for (size_t i = 0; i < snapshot->vae_list_count; ++i) {
        const struct dr_vae_files *const list = &snapshot->vae_lists[i];
        for (size_t k = 0; k < list->count; ++k) {
            const struct dr_vae_file *const file = &list->files[k];
            const char *const name = vae_name(snapshot, list, file);
            snapshot->vaes[snapshot->shown.vae_count++] =
                (struct listed_vae_file){name, file->path, file->bytes};
        }
    }
    return DR_OK;
}

/* ---- making one -------------------------------------------------------------------------- */

static enum dr_code list_models(struct snapshot *snapshot,
                                const struct model_folders_options *options,
                                const char *model_option, const struct snapshot *before,
                                struct dr_error *err)
{
    struct dr_models_options how = {.model_folders = model_option,
                                    .vae_folder =
                                        options->vaes ? options->vaes[0] : NULL,
                                    .pack_folder = options->pack_folder,
                                    .settings_path = options->settings_path,
                                    .before = before ? &before->lists[0] : NULL};
    enum dr_code code = dr_models_list(&how, &snapshot->lists[0], err);
    /* ":" would part it: then it can be loaded, and is not listed. */
    if (code != DR_OK || !options->model || strchr(options->model, ':')) return code;
    how.model_folders = options->model;
    how.before = before ? &before->lists[1] : NULL;
    return dr_models_list(&how, &snapshot->lists[1], err);
}

static enum dr_code list_vaes(struct snapshot *snapshot,
                              const struct model_folders_options *options,
                              struct dr_error *err)
{
    static const char *const defaults[] = {NULL};
    const char *const *const folders = options->vaes ? options->vaes : defaults;
    size_t count = 0;
    while (options->vaes && folders[count])
        ++count;
    if (!options->vaes) count = 1;
    snapshot->vae_lists = calloc(count + 1, sizeof *snapshot->vae_lists);
    enum dr_code code = snapshot->vae_lists ? DR_OK : no_memory(err);
    for (size_t i = 0; i < count && code == DR_OK; ++i) {
        code = dr_vae_files_list(folders[i], options->settings_path,
                                 &snapshot->vae_lists[i], err);
        snapshot->vae_list_count += code == DR_OK;
    }
    return code;
}

enum dr_code snapshot_create(struct snapshot **out,
                             const struct model_folders_options *options,
                             const char *model_option, const struct snapshot *before,
                             struct dr_error *err)
{
    struct snapshot *const snapshot = calloc(1, sizeof *snapshot);
    *out = NULL;
    if (!snapshot) return no_memory(err);
    clock_gettime(CLOCK_REALTIME, &snapshot->started);
    enum dr_code code = list_models(snapshot, options, model_option, before, err);
    if (code == DR_OK) code = list_vaes(snapshot, options, err);
    if (code == DR_OK) code = watch_all(snapshot, err);
    if (code == DR_OK) {
        /* A model has three texts at most: its file, name and title. */
        snapshot->texts =
            calloc(3 * (snapshot->lists[0].count + snapshot->lists[1].count) + 1,
                   sizeof *snapshot->texts);
        if (!snapshot->texts) code = no_memory(err);
    }
    if (code == DR_OK) code = add_models(snapshot, err);
    if (code == DR_OK) code = add_vaes(snapshot, err);
    if (code == DR_OK)
        *out = snapshot;
    else
        snapshot_destroy(snapshot);
    return code;
}

/* ---- what clients do not see ------------------------------------------------------------- */

void snapshot_hide_folders(const struct snapshot *snapshot, char *text)
{
    for (size_t i = 0; i < snapshot->vae_list_count; ++i)
        model_names_hide(snapshot->vae_lists[i].folder, text);
    for (size_t i = 0; i < snapshot->lists[0].folder_count; ++i)
        model_names_hide(snapshot->lists[0].folder_paths[i], text);
}
