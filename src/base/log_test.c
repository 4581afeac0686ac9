#include "base/log.h"

#include "base/utf8.h"
#include "check.h"

struct heard {
    int count;
    enum log_level level;
    char name[32];
    char text[LOG_BYTES];
};

static void hear(void *cookie, enum log_level level, const char *name, const char *text)
{
    struct heard *const heard = cookie;
    ++heard->count;
    heard->level = level;
    snprintf(heard->name, sizeof heard->name, "%s", name ? name : "(none)");
    snprintf(heard->text, sizeof heard->text, "%s", text);
}

static void passes_what_is_wanted(void)
{
    struct heard heard = {0};
    const struct log_sink sink = {.write = hear, .cookie = &heard, .most = LOG_STEP};
    log_write(&sink, LOG_STEP, "step %d of %d", 3, 20);
    check_int(heard.count, ==, 1);
    check_int(heard.level, ==, LOG_STEP);
    check_str(heard.text, "step 3 of 20");
    check_str(heard.name, "(none)");
    log_write(&sink, LOG_DETAIL, "band %d", 1);
    check_int(heard.count, ==, 1);
    const struct log_sink child = log_child(&sink, "vae");
    log_write(&child, LOG_WARNING, "falls back to the base");
    check_int(heard.count, ==, 2);
    check_str(heard.name, "vae");
}

static void is_silent_without_a_sink(void)
{
    const struct log_sink nothing = {0}, child = log_child(NULL, "unet");
    log_write(NULL, LOG_WARNING, "%s", "x");
    log_write(&nothing, LOG_WARNING, "%s", "x");
    log_write(&child, LOG_WARNING, "%s", "x");
    check(child.write == NULL);
    check_str(log_level_name(LOG_WARNING), "warning");
    check_str(log_level_name(LOG_DETAIL), "detail");
}

static void cuts_at_a_whole_character(void)
{
    struct heard heard = {0};
    const struct log_sink sink = {.write = hear, .cookie = &heard};
    static char text[3 * LOG_BYTES + 4];
    for (size_t shift = 0; shift < 3; ++shift) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xe6\x9a\x97", 4);
        log_write(&sink, LOG_WARNING, "%s", text);
        const size_t length = strlen(heard.text);
        check(utf8_is_valid(heard.text, length));
        check_int(length, >=, LOG_BYTES - 4);
    }
}

int main(void)
{
    check_run(passes_what_is_wanted);
    check_run(is_silent_without_a_sink);
    check_run(cuts_at_a_whole_character);
    return check_done();
}
