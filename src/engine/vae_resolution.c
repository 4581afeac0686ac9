#include "engine/vae_resolution.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/path_error.h"

enum {
    FOLDER_DEPTH = 6,
    FOLDER_FILES = 20000
};

static const char *const beside_endings[] = {".vae.safetensors", ".vae.sft",
                                             ".vae.ckpt", ".vae.pt"};
static const char *const vae_endings[] = {".safetensors", ".sft", ".ckpt",
                                          ".pt",          ".pth", ".bin"};
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A name that leads to nothing counts: who opens it says why it cannot be used, and nobody takes it for
 * a file that was never there. */
static bool is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? S_ISREG(status.st_mode) : path_is_broken(path);
}

/* ---- folders as VAEs --------------------------------------------------------------------- */

static bool has_file(const char *folder, const char *name)
{
    char path[DR_PATH_BYTES];
    struct stat status;
    const int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && (size_t)length < sizeof path && lstat(path, &status) == 0 &&
           is_file(path);
}

static int is_diffusers_file(const struct dirent *entry)
{
    return strncmp(entry->d_name, "diffusion_pytorch_model", 23) == 0;
}

/* A config.json alone may be a note that a download program left beside other files. */
static bool has_network(const char *folder)
{
    struct dirent **entries = NULL;
    if (!has_file(folder, "config.json")) return false;
    const int count = scandir(folder, &entries, is_diffusers_file, NULL);
    for (int i = 0; i < count; ++i)
        free(entries[i]);
    free(entries);
    return count > 0;
}

/* The VAE that a folder is: itself, or vae/ in it, into path; false where it is none. */
static bool find_vae_in(const char *folder, char path[static DR_PATH_BYTES])
{
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/')
        --length;
    if (length + sizeof "/vae" > DR_PATH_BYTES) return false;
    (void)snprintf(path, DR_PATH_BYTES, "%.*s", (int)length, folder);
    if (has_network(path)) return true;
    memcpy(path + length, "/vae", sizeof "/vae");
    return has_network(path);
}

/* One file may be reached by two names (links). */
bool path_is_same_file(const char *a, const char *b)
{
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

static bool is_any_of(const char *text, const char *const *words)
{
    for (; *words; ++words)
        if (strcasecmp(text, *words) == 0) return true;
    return false;
}

struct vae_said vae_said_by(enum vae_source source, const char *choice)
{
    struct vae_said said = {.source = source};
    (void)snprintf(said.choice, sizeof said.choice, "%s", choice);
    return said;
}

const char *vae_source_name(enum vae_source source)
{
    switch (source) {
    case VAE_SAID_DEFAULT: return "default";
    case VAE_SAID_SETTING: return "setting";
    case VAE_SAID_MODEL: return "model";
    case VAE_SAID_JOB: return "job";
    }
    return "";
}

const char *path_name(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void path_stem(const char *path, char *stem, size_t stem_bytes)
{
    int length = (int)strlen(path);
    while (length > 1 && path[length - 1] == '/')
        --length;
    int start = length;
    while (start > 0 && path[start - 1] != '/')
        --start;
    (void)snprintf(stem, stem_bytes, "%.*s", length - start, path + start);
    char *const dot = strrchr(stem, '.');
    if (dot && dot != stem) *dot = '\0';
}

/* The ending of a VAE file name that is one of ours, or NULL. */
static const char *vae_ending(const char *name)
{
    const char *const dot = strrchr(name, '.');
    if (!dot || dot == name) return NULL;
    for (size_t i = 0; i < COUNT(vae_endings); ++i)
        if (strcasecmp(dot, vae_endings[i]) == 0) return dot;
    return NULL;
}

/* ---- walking the VAE folder ------------------------------------------------------------- */

/* Folders are visited from a queue of paths, not by recursion: what is on disk decides the
 * depth. Names are visited in byte order, so that messages are the same everywhere. */
struct folder_walk {
    bool (*visit)(void *cookie, const char *path, const char *name); /* false: stop */
    /* A folder that is one VAE: it is not looked into. NULL: what lies there goes unseen. */
    bool (*visit_vae)(void *cookie, const char *path, const char *name);
    void *cookie;
    size_t file_count;
    /* The first folder that could not be looked into, and why; 0: all could. */
    int refused;
    char refused_folder[DR_PATH_BYTES];
};

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

struct folder_queue {
    char (*paths)[DR_PATH_BYTES];
    int *depths;
    size_t count, capacity;
};

static bool queue_push(struct folder_queue *queue, const char *path, int depth)
{
    if (queue->count == queue->capacity) {
        const size_t capacity = queue->capacity ? queue->capacity * 2 : 4;
        void *const paths = realloc(queue->paths, capacity * sizeof *queue->paths);
        if (!paths) return false;
        queue->paths = paths;
        int *const depths = realloc(queue->depths, capacity * sizeof *queue->depths);
        if (!depths) return false;
        queue->depths = depths;
        queue->capacity = capacity;
    }
    (void)snprintf(queue->paths[queue->count], DR_PATH_BYTES, "%s", path);
    queue->depths[queue->count++] = depth;
    return true;
}

/* A folder on the way: one VAE, or one to look into. A pipeline's other networks are no VAEs. */
static bool walk_folder(struct folder_walk *walk, struct folder_queue *queue,
                        const char *path, int depth)
{
    char vae[DR_PATH_BYTES];
    const bool is_vae = has_network(path) || has_file(path, "model_index.json");
    if (!is_vae) return depth >= FOLDER_DEPTH || queue_push(queue, path, depth + 1);
    return !walk->visit_vae || !find_vae_in(path, vae) ||
           walk->visit_vae(walk->cookie, vae, path_name(path));
}

/* One folder's entries: files are visited, folders queued. False: stop the walk. */
static bool walk_one(struct folder_walk *walk, struct folder_queue *queue, size_t at)
{
    struct dirent **entries = NULL;
    char folder[DR_PATH_BYTES];
    (void)snprintf(folder, sizeof folder, "%s", queue->paths[at]);
    const int depth = queue->depths[at];
    const int count = scandir(folder, &entries, not_hidden, by_name);
    if (count < 0 && !walk->refused) {
        walk->refused = errno;
        (void)snprintf(walk->refused_folder, sizeof walk->refused_folder, "%s", folder);
    }
    bool go_on = true;
    for (int i = 0; i < count; ++i) {
        char path[DR_PATH_BYTES];
        struct stat status;
        const int length =
            snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        const bool fits = go_on && length > 0 && (size_t)length < sizeof path;
        if (fits && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
            go_on = walk_folder(walk, queue, path, depth);
        else if (fits && is_file(path))
            go_on = ++walk->file_count <= FOLDER_FILES &&
                    walk->visit(walk->cookie, path, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return go_on;
}

static void folder_visit(const char *folder, struct folder_walk *walk)
{
    if (!folder || !*folder) return;
    struct folder_queue queue = {0};
    bool go_on = queue_push(&queue, folder, 0);
    for (size_t at = 0; go_on && at < queue.count; ++at)
        go_on = walk_one(walk, &queue, at);
    free(queue.paths);
    free(queue.depths);
}

struct vae_listing {
    void (*found)(void *cookie, const char *path, const char *name);
    void *cookie;
};

static bool list_file(void *cookie, const char *path, const char *name)
{
    const struct vae_listing *const listing = cookie;
    char stem[DR_PATH_BYTES];
    if (!vae_ending(name)) return true;
    path_stem(name, stem, sizeof stem);
    listing->found(listing->cookie, path, stem);
    return true;
}

static bool list_folder(void *cookie, const char *path, const char *name)
{
    const struct vae_listing *const listing = cookie;
    listing->found(listing->cookie, path, name);
    return true;
}

void vae_folder_each(const char *vae_folder,
                     void (*found)(void *cookie, const char *path, const char *name),
                     void *cookie)
{
    struct vae_listing listing = {found, cookie};
    folder_visit(vae_folder,
                 &(struct folder_walk){list_file, list_folder, &listing, 0, 0, ""});
}

/* ---- a name in the folder --------------------------------------------------------------- */

struct name_search {
    const char *name;
    size_t name_length;
    size_t found_count;
    char found[2][DR_PATH_BYTES];
};

static void note_found(struct name_search *search, const char *path)
{
    if (search->found_count == 1 && path_is_same_file(path, search->found[0])) return;
    if (search->found_count < 2)
        (void)snprintf(search->found[search->found_count], DR_PATH_BYTES, "%s", path);
    ++search->found_count;
}

static bool match_name(void *cookie, const char *path, const char *name)
{
    struct name_search *const search = cookie;
    const char *const ending = vae_ending(name);
    if (!ending) return true;
    const size_t stem_length = (size_t)(ending - name);
    const bool same = strcmp(name, search->name) == 0 ||
                      (stem_length == search->name_length &&
                       strncmp(name, search->name, stem_length) == 0);
    if (same) note_found(search, path);
    return true;
}

/* A folder's name has no ending. */
static bool match_folder(void *cookie, const char *path, const char *name)
{
    struct name_search *const search = cookie;
    if (strcmp(name, search->name) == 0) note_found(search, path);
    return true;
}

/* Why a folder is none. */
static enum dr_code refuse_folder(const char *path, struct dr_error *err)
{
    struct stat status;
    char config[DR_PATH_BYTES];
    DIR *const stream = opendir(path);
    if (!stream) return path_error_set(err, errno, "cannot look into", path);
    (void)closedir(stream);
    (void)snprintf(config, sizeof config, "%.4000s/config.json", path);
    if (stat(config, &status) != 0 && errno != ENOENT)
        return path_error_set(err, errno, "cannot open", config);
    return error_set(err, DR_NOT_FOUND,
                     "the folder %.600s holds no VAE: neither it nor vae/ in it has "
                     "a config.json and a diffusion_pytorch_model file",
                     path);
}

/* A file, or a folder that is a VAE or has one in vae/. */
static enum dr_code resolve_path(struct vae_resolution *resolution, const char *path,
                                 struct dr_error *err)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return path_error_set(err, errno,
                              errno == ENOENT ? "no VAE file or folder" : "cannot open",
                              path);
    if (S_ISDIR(status.st_mode)) {
        if (!find_vae_in(path, resolution->path)) return refuse_folder(path, err);
    } else if (S_ISREG(status.st_mode)) {
        (void)snprintf(resolution->path, sizeof resolution->path, "%s", path);
    } else {
        return error_set(err, DR_NOT_FOUND,
                         "no VAE file or folder %.800s: it is a "
                         "device or pipe",
                         path);
    }
    (void)snprintf(resolution->reason, sizeof resolution->reason,
                   "chosen by path: %.400s", resolution->path);
    return DR_OK;
}

/* Neither a name in the folder nor a path. */
static enum dr_code refuse_name(const struct vae_resolution_request *request,
                                const struct folder_walk *walk, struct dr_error *err)
{
    if (!request->vae_folder || !*request->vae_folder)
        return error_set(
            err, DR_NOT_FOUND,
            "no VAE \"%.200s\": there is no such file, and no VAE folder is set "
            "(--vae-dir)",
            request->choice);
    if (walk->refused && walk->refused != ENOENT) {
        const enum dr_code code = path_error_set(err, walk->refused, "cannot look into",
                                                 walk->refused_folder);
        error_prefix(err, "no VAE \"%.200s\" was found", request->choice);
        return code;
    }
    return error_set(
        err, DR_NOT_FOUND,
        "no VAE \"%.200s\" in the VAE folder %.400s%s, nor a file of that name here",
        request->choice, request->vae_folder,
        walk->refused ? ", which does not exist" : "");
}

static enum dr_code resolve_name(struct vae_resolution *resolution,
                                 const struct vae_resolution_request *request,
                                 struct dr_error *err)
{
    struct name_search search = {.name = request->choice,
                                 .name_length = strlen(request->choice)};
    struct folder_walk walk = {match_name, match_folder, &search, 0, 0, ""};
    folder_visit(request->vae_folder, &walk);
    if (search.found_count > 1)
        return error_set(
            err, DR_BAD_INPUT,
            "\"%.200s\" names more than one VAE: %.300s and %.300s; say which by "
            "its path",
            request->choice, search.found[0], search.found[1]);
    if (search.found_count == 1) {
        (void)snprintf(resolution->path, sizeof resolution->path, "%s",
                       search.found[0]);
        (void)snprintf(resolution->reason, sizeof resolution->reason,
                       "chosen by name, in the VAE folder: %.400s",
                       path_name(search.found[0]));
        return DR_OK;
    }
    if (path_is_taken(request->choice))
        return resolve_path(resolution, request->choice, err);
    return refuse_name(request, &walk, err);
}

/* ---- automatic -------------------------------------------------------------------------- */

static void folder_of(const char *path, char *folder, size_t folder_bytes)
{
    (void)snprintf(folder, folder_bytes, "%s", path);
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/')
        folder[--length] = '\0';
    char *const slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder ? 1 : 0] = '\0';
    else
        (void)snprintf(folder, folder_bytes, ".");
}

bool path_is_same(const char *a, const char *b)
{
    char folder_a[DR_PATH_BYTES], folder_b[DR_PATH_BYTES];
    if (strcmp(path_name(a), path_name(b)) != 0) return false;
    folder_of(a, folder_a, sizeof folder_a);
    folder_of(b, folder_b, sizeof folder_b);
    return path_is_same_file(folder_a, folder_b);
}

struct stem_search {
    char stem[DR_PATH_BYTES];
    size_t stem_length;
    void (*found)(void *cookie, const char *path);
    void *cookie;
};

/* <stem>.ending or <stem>.vae.ending */
static bool match_stem(void *cookie, const char *path, const char *name)
{
    const struct stem_search *const search = cookie;
    const char *const ending = vae_ending(name);
    if (!ending || strncmp(name, search->stem, search->stem_length) != 0) return true;
    const char *const rest = name + search->stem_length;
    if (rest == ending || (strncmp(rest, ".vae", 4) == 0 && rest + 4 == ending))
        search->found(search->cookie, path);
    return true;
}

void vae_neighbours(const struct vae_resolution_request *request,
                    void (*found)(void *cookie, const char *path), void *cookie)
{
    char folder[DR_PATH_BYTES], path[DR_PATH_BYTES];
    struct stem_search search = {.found = found, .cookie = cookie};
    folder_of(request->checkpoint, folder, sizeof folder);
    path_stem(request->checkpoint, search.stem, sizeof search.stem);
    search.stem_length = strlen(search.stem);
    for (size_t i = 0; i < COUNT(beside_endings); ++i) {
        const int length = snprintf(path, sizeof path, "%s%s%s%s", folder,
                                    strcmp(folder, "/") == 0 ? "" : "/", search.stem,
                                    beside_endings[i]);
        if (length > 0 && (size_t)length < sizeof path && is_file(path))
            found(cookie, path);
    }
    folder_visit(request->vae_folder,
                 &(struct folder_walk){match_stem, NULL, &search, 0, 0, ""});
}

struct first_neighbour {
    char path[DR_PATH_BYTES];
    const char *checkpoint;
};

static void take_first(void *cookie, const char *path)
{
    struct first_neighbour *const first = cookie;
    /* A checkpoint that lies in the VAE folder itself is not its own VAE. */
    const bool is_itself = path_is_same_file(path, first->checkpoint);
    if (!first->path[0] && !is_itself)
        (void)snprintf(first->path, sizeof first->path, "%s", path);
}

static void resolve_automatic(struct vae_resolution *resolution,
                              const struct vae_resolution_request *request)
{
    struct first_neighbour first = {.checkpoint = request->checkpoint};
    vae_neighbours(request, take_first, &first);
    if (!first.path[0]) {
        resolution->is_base = true;
        (void)snprintf(resolution->reason, sizeof resolution->reason,
                       "automatic: no VAE file belongs to this checkpoint, so its own");
        return;
    }
    char own_folder[DR_PATH_BYTES], found_folder[DR_PATH_BYTES];
    folder_of(request->checkpoint, own_folder, sizeof own_folder);
    folder_of(first.path, found_folder, sizeof found_folder);
    (void)snprintf(resolution->path, sizeof resolution->path, "%s", first.path);
    (void)snprintf(resolution->reason, sizeof resolution->reason,
                   "automatic, %s: %.400s",
                   strcmp(own_folder, found_folder) == 0 ? "beside the checkpoint"
                                                         : "in the VAE folder",
                   path_name(first.path));
}

/* ---- the function ----------------------------------------------------------------------- */

enum dr_code vae_resolve(struct vae_resolution *resolution,
                         const struct vae_resolution_request *request,
                         struct dr_error *err)
{
    static const char *const none[] = {"none", "default", "built-in", NULL};
    static const char *const automatic[] = {"automatic", "auto", NULL};
    *resolution = (struct vae_resolution){0};
    const char *const choice = request->choice ? request->choice : "automatic";
    if (is_any_of(choice, automatic)) {
        resolve_automatic(resolution, request);
        return DR_OK;
    }
    if (is_any_of(choice, none)) {
        resolution->is_base = true;
        (void)snprintf(resolution->reason, sizeof resolution->reason,
                       "%.20s: the checkpoint's own VAE", choice);
        return DR_OK;
    }
    resolution->is_explicit = true;
    if (!*choice || strlen(choice) >= DR_PATH_BYTES)
        return error_set(err, DR_BAD_INPUT,
                         "the VAE choice is %s; give automatic, none, a name or a path",
                         *choice ? "longer than any path" : "empty");
    if (!strchr(choice, '/')) return resolve_name(resolution, request, err);
    return resolve_path(resolution, choice, err);
}
