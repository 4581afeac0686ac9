#include "service/gallery.h"

#include <stdlib.h>
#include <string.h>

#include "service/store_sql.h"

enum {
    MOST_LISTED = 1000,
    MOST_WORDS = 16,
    SWEEP_COUNT = 256 /* rows of one transaction */
};

/* ---- pictures in memory ------------------------------------------------------------------------ */

void gallery_picture_finish(struct gallery_picture *picture)
{
    free(picture->prompt);
    free(picture->model);
    free(picture->vae);
    free(picture->parameters);
    *picture = (struct gallery_picture){0};
}

static void finish_all(struct gallery_picture *pictures, int32_t count)
{
    for (int32_t i = 0; pictures && i < count; ++i)
        gallery_picture_finish(&pictures[i]);
    free(pictures);
}

#define COLUMNS                                                                    \
    "p.number, p.id, p.job, p.idx, p.user, p.kept, p.jpeg, p.created_s, p.width, " \
    "p.height, p.seed, p.bytes, p.prompt, p.model, p.vae, p.parameters"

static enum dr_code read_row(sqlite3_stmt *row, struct gallery_picture *picture,
                             struct dr_error *err)
{
    *picture = (struct gallery_picture){
        .number = sqlite3_column_int64(row, 0),
        .index = sqlite3_column_int(row, 3),
        .is_kept = sqlite3_column_int(row, 5) != 0,
        .is_jpeg = sqlite3_column_int(row, 6) != 0,
        .created_s = sqlite3_column_double(row, 7),
        .width = sqlite3_column_int(row, 8),
        .height = sqlite3_column_int(row, 9),
        .seed = (uint64_t)sqlite3_column_int64(row, 10),
        .bytes = (uint64_t)sqlite3_column_int64(row, 11),
        .prompt = store_column_copy(row, 12),
        .model = store_column_copy(row, 13),
        .vae = store_column_copy(row, 14),
        .parameters = store_column_copy(row, 15),
    };
    store_column_text(row, 1, picture->id, sizeof picture->id);
    store_column_text(row, 2, picture->job, sizeof picture->job);
    store_column_text(row, 4, picture->user, sizeof picture->user);
    if (picture->prompt && picture->model && picture->vae && picture->parameters)
        return DR_OK;
    gallery_picture_finish(picture);
    return failure_memory(err, "the entry of a picture");
}

/* All rows of a statement, at most `most`. */
static enum dr_code read_rows(struct store *store, const char *sql,
                              const struct store_value *values, size_t value_count,
                              int32_t most, struct gallery_picture **pictures,
                              int32_t *count, struct dr_error *err)
{
    sqlite3_stmt *statement = NULL;
    struct gallery_picture *list = calloc((size_t)most + 1, sizeof *list);
    int32_t at = 0;
    bool has_row = false;
    enum dr_code code = list ? DR_OK : failure_memory(err, "the list");
    if (code == DR_OK)
        code = store_prepare(store, &statement, sql, values, value_count, err);
    if (code == DR_OK) code = store_step(store, statement, &has_row, err);
    while (code == DR_OK && has_row && at < most) {
        code = read_row(statement, &list[at], err);
        if (code == DR_OK) ++at;
        if (code == DR_OK) code = store_step(store, statement, &has_row, err);
    }
    sqlite3_finalize(statement);
    if (code) {
        finish_all(list, at);
        return code;
    }
    *pictures = list;
    *count = at;
    return DR_OK;
}

/* ---- adding ------------------------------------------------------------------------------------ */

/* The number of an entry of the same job and index, which goes. */
static enum dr_code remove_older(struct store *store,
                                 const struct gallery_picture *picture,
                                 struct store_value *number, struct dr_error *err)
{
    const struct store_value place[] = {store_text(picture->job),
                                        store_integer(picture->index)};
    int64_t older = 0;
    enum dr_code code =
        store_look_up(store, "SELECT number FROM picture WHERE job = ?1 AND idx = ?2",
                      place, 2, &older, err);
    *number = (struct store_value){.type = STORE_NULL};
    if (code == DR_NOT_FOUND) return DR_OK;
    if (code) return code;
    *number = store_integer(older);
    return store_execute(store, "DELETE FROM picture WHERE number = ?1", number, 1,
                         err);
}

enum dr_code gallery_insert(struct store *store, struct gallery_picture *picture,
                            struct dr_error *err)
{
    struct store_value number;
    enum dr_code code = remove_older(store, picture, &number, err);
    if (code) return code;
    picture->created_s = store_now_s();
    const struct store_value values[] = {
        number,
        store_text(picture->id),
        store_text(picture->job),
        store_integer(picture->index),
        store_text(picture->user),
        store_integer(picture->is_kept),
        store_integer(picture->is_jpeg),
        store_real(picture->created_s),
        store_integer(picture->width),
        store_integer(picture->height),
        store_integer((int64_t)picture->seed),
        store_integer((int64_t)picture->bytes),
        store_text(picture->prompt ? picture->prompt : ""),
        store_text(picture->model ? picture->model : ""),
        store_text(picture->vae ? picture->vae : ""),
        store_text(picture->parameters ? picture->parameters : ""),
    };
    code = store_execute(store,
                         "INSERT INTO picture VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "
                         "?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
                         values, sizeof values / sizeof *values, err);
    if (code) return code;
    picture->number = sqlite3_last_insert_rowid(store->database);
    const struct store_value file[] = {values[1], values[6]};
    return store_execute(store, "DELETE FROM doomed WHERE id = ?1 AND jpeg = ?2", file,
                         2, err);
}

enum dr_code gallery_add(struct store *store, struct gallery_picture *picture,
                         struct dr_error *err)
{
    enum dr_code code = gallery_sync(store, picture, err);
    if (code == DR_OK) code = store_begin(store, err);
    if (code) return code;
    return store_commit(store, gallery_insert(store, picture, err), err);
}

/* ---- looking ----------------------------------------------------------------------------------- */

static enum dr_code fail_unknown(struct dr_error *err, const char *id)
{
    return store_is_id(id) ? failure(err, DR_NOT_FOUND, "there is no picture %s", id)
                           : failure(err, DR_NOT_FOUND, "there is no such picture");
}

enum dr_code gallery_get(struct store *store, const char *id, const char *user,
                         struct gallery_picture *picture, struct dr_error *err)
{
    if (!store_is_id(id)) return fail_unknown(err, id);
    struct gallery_picture *found = NULL;
    int32_t count = 0;
    const struct store_value values[] = {store_text(id)};
    store_lock(store);
    const enum dr_code code =
        read_rows(store, "SELECT " COLUMNS " FROM picture p WHERE p.id = ?1", values, 1,
                  1, &found, &count, err);
    store_unlock(store);
    if (code) return code;
    if (count == 0 || (user && strcmp(found->user, user) != 0)) {
        finish_all(found, count);
        return fail_unknown(err, id);
    }
    *picture = *found;
    free(found);
    return DR_OK;
}

enum dr_code gallery_of_job(struct store *store, const char *job,
                            struct gallery_picture **pictures, int32_t *count,
                            struct dr_error *err)
{
    const struct store_value values[] = {store_text(job)};
    store_lock(store);
    const enum dr_code code =
        read_rows(store,
                  "SELECT " COLUMNS " FROM picture p WHERE p.job = ?1 ORDER BY p.idx",
                  values, 1, MOST_LISTED, pictures, count, err);
    store_unlock(store);
    return code;
}

/* The words of a search as strings of FTS5, in which nothing is syntax. Malloc'ed. */
static char *match_expression(const char *search, bool is_prefix)
{
    char *const expression = malloc(8 * strlen(search) + 8);
    char *out = expression;
    int words = 0;
    for (const char *c = search; expression && *c && words < MOST_WORDS; ++words) {
        c += strspn(c, " \t\r\n");
        const size_t bytes = strcspn(c, " \t\r\n");
        if (bytes == 0) break;
        *out++ = '"';
        for (const char *end = c + bytes; c < end; ++c) {
            if (*c == '"') *out++ = '"';
            *out++ = *c;
        }
        *out++ = '"';
        if (is_prefix) *out++ = '*';
        *out++ = ' ';
    }
    if (expression) *out = '\0';
    return expression;
}

#define MINE   " AND p.user = ?3"
#define LATEST " ORDER BY p.number DESC LIMIT ?2"
#define LIST   "SELECT " COLUMNS " FROM picture p WHERE p.kept = 1 AND p.number < ?1"
#define SEARCH                                                                    \
    "SELECT " COLUMNS " FROM word CROSS JOIN picture p ON p.number = word.rowid " \
    "WHERE word MATCH ?4 AND word.rowid < ?1 AND p.kept = 1"

static enum dr_code search_for(struct store *store, struct store_value values[4],
                               const char *search, bool is_prefix, int32_t limit,
                               struct gallery_picture **pictures, int32_t *count,
                               struct dr_error *err)
{
    char *const expression = match_expression(search, is_prefix);
    if (!expression) return failure_memory(err, "a search");
    values[3] = store_text(expression);
    const bool has_user = values[2].type == STORE_TEXT;
    const enum dr_code code =
        read_rows(store,
                  has_user ? SEARCH MINE " ORDER BY word.rowid DESC LIMIT ?2"
                           : SEARCH " ORDER BY word.rowid DESC LIMIT ?2",
                  values, 4, limit, pictures, count, err);
    free(expression);
    return code;
}

/* A beginning that very many words have takes more memory than the database may: then only the words themselves. */
enum dr_code gallery_list(struct store *store, const char *user, int64_t before,
                          int32_t limit, const char *search,
                          struct gallery_picture **pictures, int32_t *count,
                          struct dr_error *err)
{
    if (limit < 0) limit = 0;
    if (limit > MOST_LISTED) limit = MOST_LISTED;
    struct store_value values[4] = {
        store_integer(before > 0 ? before : INT64_MAX),
        store_integer(limit),
        store_text(user),
    };
    enum dr_code code;
    store_lock(store);
    if (search[strspn(search, " \t\r\n")] == '\0') {
        code = read_rows(store, user ? LIST MINE LATEST : LIST LATEST, values,
                         user ? 3 : 2, limit, pictures, count, err);
    } else {
        code = search_for(store, values, search, true, limit, pictures, count, err);
        if (code == DR_NOMEM)
            code =
                search_for(store, values, search, false, limit, pictures, count, err);
    }
    store_unlock(store);
    return code;
}

/* ---- removing ---------------------------------------------------------------------------------- */

static enum dr_code forget_doomed(struct store *store, const char *id)
{
    const struct store_value values[] = {store_text(id)};
    const enum dr_code code = store_begin(store, NULL);
    if (code) return code;
    return store_commit(store,
                        store_execute(store, "DELETE FROM doomed WHERE id = ?1", values,
                                      1, NULL),
                        NULL);
}

/* The row goes first: with it the trigger notes the files, which are removed when that is on disk. */
enum dr_code gallery_remove(struct store *store, const char *id, const char *user,
                            struct dr_error *err)
{
    struct gallery_picture picture;
    enum dr_code code = gallery_get(store, id, user, &picture, err);
    if (code) return code;
    const struct store_value values[] = {store_text(id)};
    const bool is_jpeg = picture.is_jpeg;
    gallery_picture_finish(&picture);
    code = store_begin(store, err);
    if (code) return code;
    code = store_commit(
        store,
        store_execute(store, "DELETE FROM picture WHERE id = ?1", values, 1, err), err);
    if (code) return code;
    gallery_remove_files(store, id, is_jpeg);
    code = forget_doomed(store, id);
    (void)code; /* gallery_sweep looks again */
    return DR_OK;
}

enum dr_code gallery_keep(struct store *store, const char *id, bool is_kept,
                          struct dr_error *err)
{
    const struct store_value values[] = {store_integer(is_kept), store_text(id)};
    enum dr_code code = store_begin(store, err);
    if (code) return code;
    code = store_execute(store, "UPDATE picture SET kept = ?1 WHERE id = ?2", values, 2,
                         err);
    if (code == DR_OK && sqlite3_changes(store->database) == 0)
        code = fail_unknown(err, id);
    return store_commit(store, code, err);
}

enum dr_code gallery_doom(struct store *store, const char *job, int32_t count,
                          struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < 2 * count; ++i) {
        char id[STORE_ID_BYTES];
        gallery_id(job, i / 2, id);
        const struct store_value values[] = {store_text(id), store_integer(i % 2)};
        code =
            store_execute(store,
                          "INSERT OR IGNORE INTO doomed SELECT ?1, ?2 WHERE NOT EXISTS"
                          " (SELECT 1 FROM picture WHERE id = ?1)",
                          values, 2, err);
    }
    return code;
}

/* Removes some of the files that are noted, and then the notes. *has_more: there may be others. */
static enum dr_code sweep_some(struct store *store, bool *has_more,
                               struct dr_error *err)
{
    sqlite3_stmt *statement = NULL;
    int32_t count = 0;
    enum dr_code code = store_begin(store, err);
    if (code) return code;
    const struct store_value limit[] = {store_integer(SWEEP_COUNT)};
    code = store_prepare(store, &statement,
                         "SELECT id, jpeg FROM doomed ORDER BY id, jpeg LIMIT ?1",
                         limit, 1, err);
    *has_more = code == DR_OK;
    while (code == DR_OK && *has_more) {
        code = store_step(store, statement, has_more, err);
        if (code || !*has_more) break;
        char id[STORE_ID_BYTES];
        store_column_text(statement, 0, id, sizeof id);
        gallery_remove_files(store, id, sqlite3_column_int(statement, 1) != 0);
        ++count;
    }
    sqlite3_finalize(statement);
    *has_more = count == SWEEP_COUNT;
    if (code == DR_OK && count > 0)
        code =
            store_execute(store,
                          "DELETE FROM doomed WHERE (id, jpeg) IN"
                          " (SELECT id, jpeg FROM doomed ORDER BY id, jpeg LIMIT ?1)",
                          limit, 1, err);
    return store_commit(store, code, err);
}

enum dr_code gallery_sweep(struct store *store, double before_s, struct dr_error *err)
{
    const struct store_value values[] = {store_real(before_s)};
    bool has_more = true;
    enum dr_code code = store_begin(store, err);
    if (code) return code;
    code = store_commit(
        store,
        store_execute(store, "DELETE FROM picture WHERE kept = 0 AND created_s < ?1",
                      values, 1, err),
        err);
    while (code == DR_OK && has_more)
        code = sweep_some(store, &has_more, err);
    return code;
}
