#include "service/option_store.h"

#include "service/store_sql.h"

enum dr_code option_store_read(struct store *store,
                               void (*each)(void *cookie, const char *name,
                                            const char *value),
                               void *cookie, struct dr_error *err)
{
    sqlite3_stmt *statement;
    bool has_row = false;
    store_lock(store);
    enum dr_code code =
        store_prepare(store, &statement, "SELECT name, value FROM option ORDER BY name",
                      NULL, 0, err);
    if (code == DR_OK) code = store_step(store, statement, &has_row, err);
    while (code == DR_OK && has_row) {
        const char *const name = (const char *)sqlite3_column_text(statement, 0);
        const char *const value = (const char *)sqlite3_column_text(statement, 1);
        if (!name || !value) {
            code = failure_memory(err, "the settings");
            break;
        }
        each(cookie, name, value);
        code = store_step(store, statement, &has_row, err);
    }
    sqlite3_finalize(statement);
    store_unlock(store);
    return code;
}

enum dr_code option_store_write(struct store *store, const char *name,
                                const char *value, struct dr_error *err)
{
    enum dr_code code = store_begin_durable(store, err);
    if (code) return code;
    const struct store_value values[] = {store_text(name), store_text(value)};
    code = value ? store_execute(store, "INSERT OR REPLACE INTO option VALUES (?1, ?2)",
                                 values, 2, err)
                 : store_execute(store, "DELETE FROM option WHERE name = ?1", values, 1,
                                 err);
    return store_commit(store, code, err);
}
