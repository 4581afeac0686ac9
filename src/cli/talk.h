/* talk — what goes to standard error while a command runs: progress, warnings, the log.
 *
 *     a terminal       a bar that is redrawn in place and cleared at the end
 *     anything else    a line when the stage changes, and every few seconds
 *     with --json      one JSON object a line:
 *                      {"event":"progress","stage":"unet","image":0,"image_count":1,"seed":7,"step":3,
 *                       "step_count":20,"share":0.15,"elapsed_ms":812.0,"left_ms":4601.0}
 *                      {"event":"progress","stage":"load","component":"unet","done_bytes":...,
 *                       "total_bytes":...,"share":0.4,"elapsed_ms":310.0}
 *                      {"event":"log","level":"warning","message":"..."}
 *
 * -q leaves errors only; -v adds information, twice all. Not thread-safe: the engine calls back
 * in the thread that called it.
 */
#ifndef CLI_TALK_H
#define CLI_TALK_H

#include <stdbool.h>
#include <stdio.h>

#include <darkroom/darkroom.h>

struct talk {
    FILE *stream;
    bool json, quiet;
    enum dr_log_level level; /* the most talkative that is shown */
    bool is_terminal;
    struct dr_engine
        *engine; /* is told again to cancel where a signal came early; may be NULL */
    /* private below */
    bool bar_is_shown;
    const char *stage; /* of the last report: static; NULL: none yet */
    bool seed_is_told, end_is_told;
    int32_t image, step;
    double shown_ms;         /* when the last report was shown */
    double pace_begin_ms;    /* of the pace of steps: where counting began */
    int64_t pace_begin_step; /* steps of all images */
};

void talk_init(struct talk *talk, FILE *stream);

/* The words of one command: --json, -q and -v as it has them. */
void talk_begin(struct talk *talk, bool json, bool quiet, int verbose);
/* One job of the command begins: its seeds are told before its first step. */
void talk_begin_job(struct talk *talk);
/* The command is done: the bar goes. */
void talk_end(struct talk *talk);

/* The callbacks that darkroom.h asks for; cookie is a struct talk. */
void talk_progress(void *cookie, const struct dr_progress *progress);
void talk_written(void *cookie, int32_t index, const struct dr_image_info *image);
void talk_warned(void *cookie, const char *sentence);
int talk_load(void *cookie, const struct dr_load_progress *progress);
void talk_log(void *cookie, enum dr_log_level level, const char *line);

/* "eta" as "1:05" or "2:00:07". */
char *talk_format_time(double ms, char out[16]);

#endif
