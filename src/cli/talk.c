#include "talk.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "front/answer.h"
#include "front/event_json.h"
#include "interrupt.h"
#include "listing.h"

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
    *talk = (struct talk){.stream = stream, .level = DR_LOG_NOTICE};
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
                                 : DR_LOG_NOTICE;
    talk_begin_job(talk);
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

static void print_event(const struct talk *talk, json_t *event_take)
{
    (void)answer_print(event_take, talk->stream);
    answer_free(event_take);
}

void talk_log(void *cookie, enum dr_log_level level, const char *line)
{
    struct talk *const talk = cookie;
    if (level > talk->level) return;
    clear_bar(talk);
    if (talk->json) {
        print_event(talk, event_json_log(level, line));
    } else {
        fprintf(talk->stream, "darkroom: %s%s",
                level <= DR_LOG_WARNING ? event_json_level(level) : "",
                level <= DR_LOG_WARNING ? ": " : "");
        listing_print_text(line, 0, talk->stream);
        fputc('\n', talk->stream);
    }
    (void)fflush(talk->stream);
}

void talk_warned(void *cookie, const char *sentence)
{
    talk_log(cookie, DR_LOG_WARNING, sentence);
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

/* What is shown of any kind of progress. */
struct report {
    const char *stage;
    double share, elapsed_ms;
    const struct dr_progress *job;       /* of a job; or NULL */
    const struct dr_load_progress *load; /* of a reading; or NULL */
};

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

static void show_json(const struct talk *talk, const struct report *report)
{
    if (report->job)
        print_event(talk, event_json_job(report->job));
    else
        print_event(talk, event_json_load(report->load));
}

/* Pictures that are still written though the command is to stop: also the one that is decoded when a signal comes. */
static int finishing_count(const struct dr_progress *p)
{
    const bool is_sampled = p->stage == DR_STAGE_DECODE || p->stage == DR_STAGE_WRITE;
    if (p->finishing_count > 0) return p->finishing_count;
    return p->has_seed && is_sampled && interrupt_seen() ? 1 : 0;
}

/* What stays to be read above the bar: the seeds, before the first step, and what a cancel lets end. */
static void tell_once(struct talk *talk, const struct dr_progress *p)
{
    const bool is_new = p->has_seed && !talk->seed_is_told;
    const int count = finishing_count(p);
    const bool ends = count > 0 && !talk->end_is_told;
    talk->seed_is_told |= is_new;
    talk->end_is_told |= ends;
    if (talk->json || (!is_new && !ends)) return;
    clear_bar(talk);
    const uint64_t first = p->seed - (uint64_t)p->image;
    if (is_new && p->image_count > 1)
        fprintf(talk->stream, "seeds %llu to %llu\n", (unsigned long long)first,
                (unsigned long long)(first + (uint64_t)p->image_count - 1));
    else if (is_new)
        fprintf(talk->stream, "seed %llu\n", (unsigned long long)first);
    if (ends)
        fprintf(
            talk->stream,
            "stopping; %d finished picture%s decoded and written first (Ctrl-C again "
            "stops at once)\n",
            count, count == 1 ? " is" : "s are");
}

/* "9/20  1.23 s/step  0:14 left  image 1/2" */
static void describe_job(const struct talk *talk, const struct dr_progress *p,
                         char *text, size_t text_bytes)
{
    char left[16], steps[64] = "", pace[64] = "", rest[32] = "", image[48] = "";
    const double ms = pace_ms(talk, p);
    if (p->stage == DR_STAGE_UNET)
        (void)snprintf(steps, sizeof steps, "  %d/%d", (int)p->step,
                       (int)p->step_count);
    else if (p->share >= 0.01 && p->share < 1.0)
        (void)snprintf(steps, sizeof steps, "  %d%%", (int)(p->share * 100.0));
    if (ms > 0.0)
        (void)snprintf(pace, sizeof pace, "  %.*f s/step", ms < 100.0 ? 3 : 2,
                       ms / 1000.0);
    if (p->left_ms >= 0.0)
        (void)snprintf(rest, sizeof rest, "  %s left",
                       talk_format_time(p->left_ms, left));
    if (p->image_count > 1 &&
        (p->stage == DR_STAGE_UNET || p->stage == DR_STAGE_DECODE))
        (void)snprintf(image, sizeof image, "  image %d/%d", (int)p->image + 1,
                       (int)p->image_count);
    (void)snprintf(text, text_bytes, "%s%s%s%s", steps, pace, rest, image);
}

/* "1.2 GiB of 6.5 GiB  unet", "312/2000" */
static void describe(const struct talk *talk, const struct report *report, char *text,
                     size_t text_bytes)
{
    char done[16], total[16];
    text[0] = '\0';
    if (report->job) {
        describe_job(talk, report->job, text, text_bytes);
    } else if (report->load) {
        (void)snprintf(text, text_bytes, "  %s of %s  %s",
                       dr_format_bytes(report->load->done_bytes, done),
                       dr_format_bytes(report->load->total_bytes, total),
                       report->load->component);
    }
}

static int terminal_columns(const struct talk *talk)
{
    struct winsize size;
    if (ioctl(fileno(talk->stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return DEFAULT_COLUMNS;
    return size.ws_col;
}

static void show_bar(struct talk *talk, const struct report *report)
{
    char words[192], bar[MOST_BAR + 1];
    describe(talk, report, words, sizeof words);
    /* The last column stays free: some terminals wrap when it is written. The bar's width does
     * not depend on the words, or it would jump. */
    const int columns = terminal_columns(talk) - 1;
    const int room = columns - STAGE_COLUMNS;
    int width = room - 2 - WORD_COLUMNS;
    if (width > MOST_BAR) width = MOST_BAR;
    if (width < LEAST_BAR || (int)strlen(words) > WORD_COLUMNS) {
        fprintf(talk->stream, "\r\033[K%-6s %.*s", report->stage, room > 0 ? room : 0,
                words);
    } else {
        const int full = (int)(report->share * width + 0.5);
        for (int i = 0; i < width; ++i)
            bar[i] = i < full ? '#' : '.';
        bar[width] = '\0';
        fprintf(talk->stream, "\r\033[K%-6s [%s]%s", report->stage, bar, words);
    }
    talk->bar_is_shown = true;
}

static void show(struct talk *talk, const struct report *report)
{
    char words[192];
    if (talk->json) {
        show_json(talk, report);
    } else if (talk->is_terminal) {
        show_bar(talk, report);
    } else {
        describe(talk, report, words, sizeof words);
        fprintf(talk->stream, "%s%s\n", report->stage, words);
    }
    (void)fflush(talk->stream);
    talk->shown_ms = report->elapsed_ms;
}

/* Is this report worth a line (or a redraw)? */
static bool is_due(const struct talk *talk, const struct report *report,
                   bool stage_changed)
{
    const struct dr_progress *const job = report->job;
    const double since_ms = report->elapsed_ms - talk->shown_ms;
    if (stage_changed) return true;
    if (talk->json && job && (job->step != talk->step || job->image != talk->image))
        return true;
    return since_ms >= (talk->json ? JSON_MS : talk->is_terminal ? BAR_MS : LINE_MS);
}

static bool is_new_stage(const struct talk *talk, const char *stage)
{
    return !talk->stage || strcmp(talk->stage, stage) != 0;
}

static void take(struct talk *talk, const struct report *report)
{
    if (talk->quiet) return;
    const bool stage_changed = is_new_stage(talk, report->stage);
    if (stage_changed && report->job) {
        talk->pace_begin_ms = report->elapsed_ms;
        talk->pace_begin_step = steps_done(report->job);
    }
    if (report->job) tell_once(talk, report->job);
    if (is_due(talk, report, stage_changed)) show(talk, report);
    talk->stage = report->stage;
}

void talk_begin_job(struct talk *talk)
{
    talk->stage = NULL;
    talk->seed_is_told = talk->end_is_told = false;
}

void talk_written(void *cookie, int32_t index, const struct dr_image_info *image)
{
    struct talk *const talk = cookie;
    if (!talk->json || talk->quiet) return;
    print_event(talk, event_json_written(index, image));
    (void)fflush(talk->stream);
}

void talk_progress(void *cookie, const struct dr_progress *progress)
{
    struct talk *const talk = cookie;
    /* A signal between two calls of one command was cancelled before the engine listened. */
    if (interrupt_seen()) dr_engine_cancel(talk->engine);
    take(talk, &(struct report){.stage = dr_stage_name(progress->stage),
                                .share = progress->share,
                                .elapsed_ms = progress->elapsed_ms,
                                .job = progress});
    talk->image = progress->image;
    talk->step = progress->step;
}

static double share_of(uint64_t done, uint64_t total)
{
    return total ? (double)done / (double)total : 1.0;
}

int talk_load(void *cookie, const struct dr_load_progress *progress)
{
    struct talk *const talk = cookie;
    take(talk, &(struct report){.stage = "load",
                                .share = share_of(progress->done_bytes,
                                                  progress->total_bytes),
                                .elapsed_ms = progress->elapsed_ms,
                                .load = progress});
    return interrupt_seen();
}
