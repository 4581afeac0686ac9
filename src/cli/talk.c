#include "talk.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "answer.h"
#include "interrupt.h"

/* How often a report is shown, at most, where nothing but its share changed. */
#define BAR_MS  50.0
#define JSON_MS 250.0
#define LINE_MS 5000.0

enum {
    DEFAULT_COLUMNS = 80,
    LEAST_BAR = 10,
    MOST_BAR = 40,
    STAGE_COLUMNS = 7,
    WORD_COLUMNS = 50
};

void talk_init(struct talk *talk, FILE *stream)
{
    const char *const terminal = getenv("TERM");
    *talk = (struct talk){.stream = stream, .level = DR_LOG_WARNING};
    talk->is_terminal = isatty(fileno(stream)) && terminal && *terminal &&
                        strcmp(terminal, "dumb") != 0;
}

void talk_begin(struct talk *talk, bool json, bool quiet, int verbose)
{
    talk->json = json;
    talk->quiet = quiet;
    talk->level = quiet          ? DR_LOG_ERROR
                  : verbose >= 2 ? DR_LOG_DEBUG
                  : verbose == 1 ? DR_LOG_INFO
                                 : DR_LOG_WARNING;
    talk->has_begun = false;
}

static void clear_bar(struct talk *talk)
{
    if (talk->bar_is_shown) fputs("\r\033[K", talk->stream);
    talk->bar_is_shown = false;
}

void talk_end(struct talk *talk)
{
    clear_bar(talk);
    (void)fflush(talk->stream);
    talk->engine = NULL;
}

/* ---- the log ----------------------------------------------------------------------------- */

static const char *level_name(enum dr_log_level level)
{
    switch (level) {
    case DR_LOG_ERROR: return "error";
    case DR_LOG_WARNING: return "warning";
    case DR_LOG_INFO: return "info";
    case DR_LOG_DEBUG: return "debug";
    }
    return "";
}

void talk_log(void *cookie, enum dr_log_level level, const char *line)
{
    struct talk *const talk = cookie;
    if (level > talk->level) return;
    clear_bar(talk);
    if (talk->json) {
        json_t *const event = json_object();
        answer_set_text(event, "event", "log");
        answer_set_text(event, "level", level_name(level));
        answer_set_text(event, "message", line);
        (void)answer_print(event, talk->stream);
        json_decref(event);
    } else {
        fprintf(talk->stream, "darkroom: %s%s%s\n",
                level <= DR_LOG_WARNING ? level_name(level) : "",
                level <= DR_LOG_WARNING ? ": " : "", line);
    }
    (void)fflush(talk->stream);
}

/* ---- progress ---------------------------------------------------------------------------- */

char *talk_format_time(double ms, char out[16])
{
    const long long all = ms < 0.0      ? 0
                          : ms < 3.6e11 ? (long long)(ms / 1000.0 + 0.5)
                                        : 360000000;
    const int seconds = (int)(all % 60), minutes = (int)(all / 60 % 60);
    const int hours = (int)(all / 3600);
    if (hours)
        (void)snprintf(out, 16, "%d:%02d:%02d", hours, minutes, seconds);
    else
        (void)snprintf(out, 16, "%d:%02d", minutes, seconds);
    return out;
}

static int64_t steps_done(const struct dr_progress *p)
{
    return (int64_t)p->image * p->step_count + p->step;
}

/* Milliseconds a step, 0 while that is not known. */
static double pace_ms(const struct talk *talk, const struct dr_progress *p)
{
    const int64_t steps = steps_done(p) - talk->pace_begin_step;
    return p->stage == DR_STAGE_UNET && steps > 0
               ? (p->elapsed_ms - talk->pace_begin_ms) / (double)steps
               : 0.0;
}

static double left_ms(const struct talk *talk, const struct dr_progress *p)
{
    const int64_t left = (int64_t)p->image_count * p->step_count - steps_done(p);
    return (double)left * pace_ms(talk, p);
}

static void show_json(struct talk *talk, const struct dr_progress *p)
{
    json_t *const event = json_object();
    answer_set_text(event, "event", "progress");
    answer_set_text(event, "stage", dr_stage_name(p->stage));
    (void)json_object_set_new(event, "image", json_integer(p->image));
    (void)json_object_set_new(event, "image_count", json_integer(p->image_count));
    if (p->stage == DR_STAGE_UNET) {
        (void)json_object_set_new(event, "step", json_integer(p->step));
        (void)json_object_set_new(event, "step_count", json_integer(p->step_count));
    }
    (void)json_object_set_new(event, "share", json_real(p->share));
    (void)json_object_set_new(event, "elapsed_ms", json_real(p->elapsed_ms));
    if (pace_ms(talk, p) > 0.0)
        (void)json_object_set_new(event, "left_ms", json_real(left_ms(talk, p)));
    (void)answer_print(event, talk->stream);
    json_decref(event);
}

/* "9/20  1.23 s/step  0:14 left  image 1/2" */
static void describe(const struct talk *talk, const struct dr_progress *p, char *text,
                     size_t text_bytes)
{
    char left[16], steps[64] = "", pace[64] = "", image[48] = "";
    const double ms = pace_ms(talk, p);
    if (p->stage == DR_STAGE_UNET)
        (void)snprintf(steps, sizeof steps, "  %d/%d", (int)p->step,
                       (int)p->step_count);
    else if (p->share >= 0.01 && p->share < 1.0)
        (void)snprintf(steps, sizeof steps, "  %d%%", (int)(p->share * 100.0));
    if (ms > 0.0)
        (void)snprintf(pace, sizeof pace, "  %.*f s/step  %s left", ms < 100.0 ? 3 : 2,
                       ms / 1000.0, talk_format_time(left_ms(talk, p), left));
    if (p->image_count > 1 &&
        (p->stage == DR_STAGE_UNET || p->stage == DR_STAGE_DECODE))
        (void)snprintf(image, sizeof image, "  image %d/%d", (int)p->image + 1,
                       (int)p->image_count);
    (void)snprintf(text, text_bytes, "%s%s%s", steps, pace, image);
}

static int terminal_columns(const struct talk *talk)
{
    struct winsize size;
    if (ioctl(fileno(talk->stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return DEFAULT_COLUMNS;
    return size.ws_col;
}

static void show_bar(struct talk *talk, const struct dr_progress *p)
{
    char words[192], bar[MOST_BAR + 1];
    describe(talk, p, words, sizeof words);
    /* The last column stays free: some terminals wrap when it is written. The bar's width does
     * not depend on the words, or it would jump. */
    const int columns = terminal_columns(talk) - 1;
    const int room = columns - STAGE_COLUMNS;
    int width = room - 2 - WORD_COLUMNS;
    if (width > MOST_BAR) width = MOST_BAR;
    if (width < LEAST_BAR || (int)strlen(words) > WORD_COLUMNS) {
        fprintf(talk->stream, "\r\033[K%-6s %.*s", dr_stage_name(p->stage),
                room > 0 ? room : 0, words);
    } else {
        const int full = (int)(p->share * width + 0.5);
        for (int i = 0; i < width; ++i)
            bar[i] = i < full ? '#' : '.';
        bar[width] = '\0';
        fprintf(talk->stream, "\r\033[K%-6s [%s]%s", dr_stage_name(p->stage), bar,
                words);
    }
    talk->bar_is_shown = true;
}

static void show(struct talk *talk, const struct dr_progress *p)
{
    char words[192];
    if (talk->json) {
        show_json(talk, p);
    } else if (talk->is_terminal) {
        show_bar(talk, p);
    } else {
        describe(talk, p, words, sizeof words);
        fprintf(talk->stream, "%s%s\n", dr_stage_name(p->stage), words);
    }
    (void)fflush(talk->stream);
    talk->shown_ms = p->elapsed_ms;
}

/* Is this report worth a line (or a redraw)? */
static bool is_due(const struct talk *talk, const struct dr_progress *p,
                   bool stage_changed)
{
    const double since_ms = p->elapsed_ms - talk->shown_ms;
    if (stage_changed) return true;
    if (talk->json)
        return p->step != talk->step || p->image != talk->image || since_ms >= JSON_MS;
    return since_ms >= (talk->is_terminal ? BAR_MS : LINE_MS);
}

void talk_progress(void *cookie, const struct dr_progress *progress)
{
    struct talk *const talk = cookie;
    /* A signal between two calls of one command was cancelled before the engine listened. */
    if (interrupt_seen()) dr_engine_cancel(talk->engine);
    if (talk->quiet) return;
    const bool stage_changed = !talk->has_begun || progress->stage != talk->stage;
    if (stage_changed) {
        talk->pace_begin_ms = progress->elapsed_ms;
        talk->pace_begin_step = steps_done(progress);
    }
    if (is_due(talk, progress, stage_changed)) show(talk, progress);
    talk->has_begun = true;
    talk->stage = progress->stage;
    talk->image = progress->image;
    talk->step = progress->step;
}
