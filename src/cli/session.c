#include "session.h"

#include <stdio.h>
#include <string.h>

#include "again_command.h"
#include "commands.h"
#include "forecast_text.h"
#include "front/answer.h"
#include "interrupt.h"
#include "listing.h"
#include "packs_text.h"
#include "summary.h"

void session_init(struct session *session, enum session_kind kind,
                  const struct options *start)
{
    *session = (struct session){.kind = kind, .answers = stdout, .start = *start};
    talk_init(&session->talk, stderr);
    talk_begin(&session->talk, start->json, start->quiet, start->verbose);
    if (start->budget_text) session_note_budget(session, start->budget_text);
}

void session_note_budget(struct session *session, const char *typed)
{
    (void)snprintf(session->budget, sizeof session->budget, "%s", typed);
}

void session_finish(struct session *session)
{
    talk_end(&session->talk);
    dr_engine_close(&session->engine);
    memory_log_close(&session->memory_log);
}

enum dr_code session_open(struct session *session, struct dr_error *err)
{
    if (session->engine) return DR_OK;
    const struct options *const start = &session->start;
    struct dr_engine_options options = dr_engine_options_default();
    options.precision = (enum dr_precision)start->precision;
    options.weights = (enum dr_weights)start->weights;
    options.thread_count = start->threads;
    options.budget_bytes = start->budget;
    options.tokenizer_folder = start->tokenizer;
    options.vae_folder = start->vae_dir;
    options.base = start->base;
    options.pack_folder = start->packs;
    options.log = talk_log;
    options.log_cookie = &session->talk;
    options.load_progress = talk_load;
    options.load_cookie = &session->talk;
    options.drop_cache = start->drop_cache;
    options.exact_convolutions = start->exact_convolutions;
    options.memory = start->memory_log ? memory_log_event : NULL;
    options.memory_cookie = &session->memory_log;
    enum dr_code code = memory_log_open(&session->memory_log, start->memory_log, err);
    if (code != DR_OK) return code;
    code = dr_engine_open(&session->engine, &options, err);
    if (code != DR_OK) memory_log_close(&session->memory_log);
    if (code == DR_OK) talk_log(&session->talk, DR_LOG_INFO, dr_description());
    return code;
}

/* ---- answers ----------------------------------------------------------------------------- */

static bool answer_as_json(const struct session *session, const char *name, double ms,
                           const struct dr_error *err, json_t *fields)
{
    json_t *const answer = answer_create(name, ms, err, fields);
    const bool is_written = answer_print(answer, session->answers);
    answer_free(answer);
    return is_written;
}

/* What was written before is there, whatever became of the rest. */
static bool say_failure(const struct session *session, const char *name,
                        const struct options *options, const struct dr_error *err,
                        json_t *fields)
{
    bool is_written = true;
    if (summary_fits(fields))
        is_written =
            summary_print(fields, 0.0, options->quiet ? SUMMARY_PATHS : SUMMARY_FILES,
                          session->answers);
    const bool is_shell = session->kind == SESSION_SHELL;
    /* The terminal shows ^C where it was typed. */
    if (err->code == DR_CANCELLED && session->talk.is_terminal)
        fputs("\r\033[K", stderr);
    fprintf(stderr, "%s%s", is_shell ? "" : "darkroom", is_shell || !*name ? "" : " ");
    listing_print_text(is_shell && !*name ? "shell" : name, 0, stderr);
    fputs(": ", stderr);
    listing_print_text(err->message, 0, stderr);
    fputc('\n', stderr);
    return is_written;
}

/* What stands before the listing, or in its place. */
static bool print_lead(const json_t *fields, FILE *stream)
{
    if (forecast_text_fits(fields)) return forecast_text_print(fields, stream);
    if (packs_text_is_prune(fields) || packs_text_is_verify(fields))
        return packs_text_print(fields, stream);
    return true;
}

/* -v: all of it. -q: what was asked for; of a job that is what it made, of a switch nothing. */
static bool print_text(const struct options *options, double ms, json_t *fields,
                       FILE *stream)
{
    const char *const help = listing_help(fields);
    const bool is_receipt = listing_has_receipt(fields);
    if (help) return fputs(help, stream) >= 0;
    if (!print_lead(fields, stream)) return false;
    if (options->verbose > 0 && !options->quiet)
        return listing_print(fields, LISTING_FULL, stream);
    if (forecast_text_fits(fields) || packs_text_is_prune(fields)) return true;
    if (summary_fits(fields))
        return summary_print(fields, ms, options->quiet ? SUMMARY_PATHS : SUMMARY_LINES,
                             stream);
    return (options->quiet && is_receipt) ||
           listing_print(fields, LISTING_BRIEF, stream);
}

/* In text a budget that was typed stands in the unit that was typed. */
static void name_budget(const struct session *session, json_t *fields)
{
    char text[BUDGET_TEXT_BYTES];
    if (session->budget[0])
        listing_name_budget(fields, budget_text_of(session->budget, text));
}

static bool answer_as_text(const struct session *session, const struct options *options,
                           double ms, json_t *fields)
{
    name_budget(session, fields);
    const bool is_written = print_text(options, ms, fields, session->answers);
    /* Blank lines part the answers of a person's session. */
    if (session->kind == SESSION_SHELL && session->talk.is_terminal && !options->quiet)
        fputc('\n', session->answers);
    return is_written && fflush(session->answers) == 0;
}

/* err: NULL for success. */
static void answer(struct session *session, const char *name,
                   const struct options *options, double ms, const struct dr_error *err,
                   json_t *fields)
{
    bool is_written = true;
    if (err && err->code != DR_CANCELLED) ++session->failed_count;
    if (options->json)
        is_written = answer_as_json(session, name, ms, err, fields);
    else if (err)
        is_written = say_failure(session, name, options, err, fields);
    else
        is_written = answer_as_text(session, options, ms, fields);
    if (is_written || session->output_failed) return;
    session->output_failed = true;
    fprintf(stderr, "darkroom: the reader closed the pipe, or the disk is full; the "
                    "answer could not be written\n");
}

void session_refuse(struct session *session, const char *name,
                    const struct dr_error *err)
{
    answer(session, name, &session->start, 0.0, err, NULL);
}

/* ---- commands ---------------------------------------------------------------------------- */

/* What a command's options are before its words are read. In the shell the model of the start
 * is loaded and its budget set already. */
static struct options default_options(const struct session *session)
{
    struct options options = session->start;
    options.operand_count = 0;
    options.help = false;
    options.force = false; /* said for the model of the start alone */
    options.model = NULL;
    options.budget_given = false;
    options.budget_text = NULL;
    options.seed = dr_random_seed(); /* another for each command */
    return options;
}

static enum dr_code check_operands(const struct command *command,
                                   const struct options *options, struct dr_error *err)
{
    const bool is_empty = options->operand_count > 0 && !options->operands[0][0];
    if (options->operand_count >= command->least &&
        options->operand_count <= command->most && !is_empty)
        return DR_OK;
    err->code = DR_BAD_INPUT;
    if (options->operand_count < command->least || is_empty)
        (void)snprintf(err->message, sizeof err->message, "%s needs %s; see %s --help",
                       command->name, command->operands, command->name);
    else
        (void)snprintf(
            err->message, sizeof err->message,
            "%s does not take \"%.80s\"; quote text that contains spaces, or see %s "
            "--help",
            command->name, options->operands[command->most], command->name);
    return DR_BAD_INPUT;
}

static enum dr_code find(const struct session *session, const char *name,
                         const struct command **command, struct dr_error *err)
{
    const bool is_shell = session->kind == SESSION_SHELL;
    const unsigned where = is_shell ? ON_SHELL_LINE : ON_COMMAND_LINE;
    *command = command_find(name, where);
    return *command ? DR_OK : command_refuse_unknown(name, where, err);
}

static enum dr_code run(struct session *session, const struct command *command,
                        const struct options *options, json_t *fields,
                        struct dr_error *err)
{
    if (command->needs_engine) {
        const enum dr_code code = session_open(session, err);
        if (code != DR_OK) return code;
        session->talk.engine = session->engine;
        interrupt_watch(session->engine);
    }
    memory_log_begin(&session->memory_log, command->name);
    const enum dr_code code = command->run(session, options, fields, err);
    memory_log_end(&session->memory_log, command->name, code == DR_OK);
    return code;
}

/* `COMMAND --help` is `help COMMAND`. */
static enum dr_code run_parsed(struct session *session, const struct command *command,
                               struct options *options, json_t *fields,
                               struct dr_error *err)
{
    const bool is_shell = session->kind == SESSION_SHELL;
    if (options->help) {
        options->operands[0] = command->name;
        options->operand_count = 1;
        command = command_find("help", is_shell ? ON_SHELL_LINE : ON_COMMAND_LINE);
        return command->run(session, options, fields, err);
    }
    const enum dr_code code = check_operands(command, options, err);
    return code == DR_OK ? run(session, command, options, fields, err) : code;
}

enum dr_code session_run(struct session *session, const char *name, int count,
                         const char *const *words)
{
    const double started_ms = dr_clock_ms();
    const bool is_shell = session->kind == SESSION_SHELL;
    const struct options defaults =
        is_shell ? default_options(session) : session->start;
    struct options options = defaults;
    struct again *again = NULL;
    const struct command *command;
    struct dr_error err = {0};
    json_t *const fields = answer_fields();
    enum dr_code code = find(session, name, &command, &err);
    if (code == DR_OK) {
        code = options_parse(&options, command->bit | (is_shell ? IN_SHELL : 0), count,
                             words, &err);
        if (code != DR_OK) command_explain_words(command, count, words, &err);
    }
    /* What `again` and --like are not given is the picture's. */
    const bool is_again =
        code == DR_OK && command->run == run_again && options.operand_count == 1;
    if (is_again && options.like)
        code = command_fail(&err, DR_BAD_INPUT,
                            "again has a picture already; --like is for generate");
    if (code == DR_OK && (is_again || options.like) && !options.help) {
        const struct again_words all = {command->bit | (is_shell ? IN_SHELL : 0), count,
                                        words,
                                        is_again ? options.operands[0] : options.like,
                                        is_again ? AGAIN_EXACT : AGAIN_LIKE};
        code = again_fill(&options, &defaults, &all, &again, &err);
    }
    if (code != DR_OK) options.json |= options_have_json(count, words);
    talk_begin(&session->talk, options.json, options.quiet, options.verbose);
    if (!is_shell) session->start = options; /* the engine opens by them */
    if (code == DR_OK && options.budget_text)
        session_note_budget(session, options.budget_text);
    if (!is_shell && options.output && strcmp(options.output, "-") == 0)
        session->answers = stderr;
    interrupt_begin(session->engine);
    if (code == DR_OK) code = run_parsed(session, command, &options, fields, &err);
    interrupt_end();
    talk_end(&session->talk);
    if (code != DR_OK)
        budget_text_complete(err.message, sizeof err.message,
                             session->budget[0] ? session->budget : NULL);
    answer(session, name, &options, dr_clock_ms() - started_ms,
           code == DR_OK ? NULL : &err, fields);
    answer_free(fields);
    again_free(again);
    talk_begin(&session->talk, session->start.json, session->start.quiet,
               session->start.verbose);
    return code;
}
