#include "service/option_store.h"

#include "service/store_fixture.h"

struct seen {
    char text[256];
};

static void note(void *cookie, const char *name, const char *value)
{
    struct seen *const seen = cookie;
    const size_t used = strlen(seen->text);
    (void)snprintf(seen->text + used, sizeof seen->text - used, "%s=%s;", name, value);
}

static const char *read_all(struct store *store)
{
    static struct seen seen;
    seen = (struct seen){0};
    check_int(option_store_read(store, note, &seen, NULL), ==, DR_OK);
    return seen.text;
}

static void keeps_what_was_written(void)
{
    struct store *store = fixture_open("options");
    check_str(read_all(store), "");
    check_int(option_store_write(store, "vae", "Automatic", NULL), ==, DR_OK);
    check_int(option_store_write(store, "model", "sd15'; DROP TABLE option;--", NULL),
              ==, DR_OK);
    check_int(option_store_write(store, "vae", "", NULL), ==, DR_OK);
    check_str(read_all(store), "model=sd15'; DROP TABLE option;--;vae=;");
    store_close(store);
    store = fixture_open("options");
    check_str(read_all(store), "model=sd15'; DROP TABLE option;--;vae=;");
    check_int(option_store_write(store, "model", NULL, NULL), ==, DR_OK);
    check_int(option_store_write(store, "unknown", NULL, NULL), ==, DR_OK);
    check_str(read_all(store), "vae=;");
    store_close(store);
}

static void a_text_that_is_too_long_changes_nothing(void)
{
    struct store *const store = fixture_open("long");
    char *const text = malloc(STORE_TEXT_BYTES + 2);
    memset(text, 'x', STORE_TEXT_BYTES + 1);
    text[STORE_TEXT_BYTES + 1] = '\0';
    struct dr_error err = {0};
    check_int(option_store_write(store, "vae", "a", NULL), ==, DR_OK);
    check_int(option_store_write(store, "vae", text, &err), ==, DR_BAD_INPUT);
    check_has(err.message, "1048576 bytes");
    check_str(read_all(store), "vae=a;");
    free(text);
    store_close(store);
}

int main(void)
{
    check_run(keeps_what_was_written);
    check_run(a_text_that_is_too_long_changes_nothing);
    return check_done();
}
