#include "commands.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "again_command.h"
#include "convert_command.h"
#include "embeddings_command.h"
#include "front/embedding_json.h"
#include "front/inspection_json.h"
#include "front/lora_json.h"
#include "front/member.h"
#include "front/memory_json.h"
#include "generate_command.h"
#include "help_text.h"
#include "interrupt.h"
#include "loras_command.h"
#include "models_command.h"
#include "packs_command.h"
#include "picture_commands.h"
#include "prompt_command.h"
#include "serve_command.h"
#include "service_commands.h"
#include "settings_command.h"
#include "styles_command.h"
#include "suggestion.h"
#include "switch_commands.h"
#include "vaes_command.h"
#include "vocabulary_command.h"

enum dr_code command_fail(struct dr_error *err, enum dr_code code, const char *format,
                          ...)
{
    va_list arguments;
    va_start(arguments, format);
    err->code = code;
    (void)vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    return code;
}

/* ---- memory and inspect ------------------------------------------------------------------ */

static enum dr_code run_memory(struct session *session, const struct options *options,
                               json_t *fields, struct dr_error *err)
{
    (void)options;
    struct dr_memory *const memory = calloc(1, sizeof *memory);
    if (!memory) return command_fail(err, DR_NOMEM, "out of memory for the answer");
    const enum dr_code code = dr_engine_memory(session->engine, memory, err);
    if (code == DR_OK) memory_json_add(fields, memory);
    dr_memory_free(memory);
    free(memory);
    return code;
}

void command_explain_words(const struct command *command, int count,
                           const char *const *words, struct dr_error *err)
{
    struct options ignored = options_default();
    struct dr_error why;
    if (command->run != run_memory ||
        options_parse(&ignored, FOR_MEMORY | IN_SHELL, count, words, &why) != DR_OK)
        return;
    (void)command_fail(err, DR_BAD_INPUT,
                       "in the shell, memory shows what is held now, and takes no "
                       "options of a job; what a job needs is shown by forecast, with "
                       "the same options");
}

/* "png" or "jpeg" by the first bytes of the file, NULL for anything else. A pipe is not opened:
 * that would wait for a writer. */
static const char *picture_format(const char *path)
{
    static const unsigned char png[] = {0x89, 'P', 'N', 'G'},
                               jpeg[] = {0xFF, 0xD8, 0xFF};
    unsigned char head[4] = {0};
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) return NULL;
    FILE *const file = fopen(path, "rb");
    if (!file) return NULL;
    const size_t got = fread(head, 1, sizeof head, file);
    (void)fclose(file);
    if (got == sizeof head && memcmp(head, png, sizeof png) == 0) return "png";
    if (got == sizeof head && memcmp(head, jpeg, sizeof jpeg) == 0) return "jpeg";
    return NULL;
}

static enum dr_code inspect_picture(const char *path, const char *format,
                                    json_t *fields, struct dr_error *err)
{
    char *text = NULL;
    const enum dr_code code = dr_read_parameters(path, &text, err);
    if (code != DR_OK) return code;
    inspection_json_add_picture(fields, path, format, text);
    free(text);
    return DR_OK;
}

/* What is no model may be a LoRA or an embedding; else it is said to be no model. */
static enum dr_code inspect_network(const char *path, enum dr_code refused,
                                    json_t *fields, struct dr_error *err)
{
    struct dr_lora_info lora;
    struct dr_embedding_info embedding;
    struct dr_error why;
    if (dr_inspect_lora(path, &lora, &why) == DR_OK) {
        lora_json_add(fields, &lora);
    } else if (dr_inspect_embedding(path, &embedding, &why) == DR_OK) {
        embedding_json_add(fields, &embedding);
    } else {
        if (why.code != DR_NOT_FINITE) return refused;
        *err = why; /* it is one, and damaged */
        return why.code;
    }
    *err = (struct dr_error){0};
    return DR_OK;
}

static enum dr_code run_inspect(struct session *session, const struct options *options,
                                json_t *fields, struct dr_error *err)
{
    char model[DR_PATH_BYTES];
    const struct dr_models_options models = models_options(options);
    struct dr_error why;
    const char *path = options->operands[0];
    /* What is no file here may be the name of a model; else it is said to be no file. */
    const enum dr_code found = access(path, F_OK) == 0
                                   ? DR_NOT_FOUND
                                   : dr_find_model(path, &models, model, &why);
    if (found == DR_OK) path = model;
    if (found == DR_BAD_INPUT) *err = why; /* it means several */
    if (found == DR_BAD_INPUT) return found;
    const char *const format = picture_format(path);
    if (format) return inspect_picture(path, format, fields, err);
    struct dr_inspection *const inspection = calloc(1, sizeof *inspection);
    if (!inspection)
        return command_fail(err, DR_NOMEM, "out of memory while inspecting %.400s",
                            path);
    char base[DR_PATH_BYTES] = "";
    if (options->base) {
        const enum dr_code code = dr_find_model(options->base, &models, base, err);
        if (code != DR_OK) {
            free(inspection);
            return code;
        }
    }
    const struct dr_inspect_options how = {.vae_folder = options->vae_dir,
                                           .base = base,
                                           .flags = options->digests
                                                        ? DR_INSPECT_DIGESTS
                                                        : 0,
                                           .progress = talk_load,
                                           .progress_cookie = &session->talk};
    interrupt_heed();
    enum dr_code code = dr_inspect(path, &how, inspection, err);
    if (code == DR_OK) inspection_json_add(fields, inspection);
    if (code == DR_UNSUPPORTED || code == DR_INCOMPLETE)
        code = inspect_network(path, code, fields, err);
    dr_inspection_free(inspection);
    free(inspection);
    return code;
}

/* ---- help and quit ----------------------------------------------------------------------- */

static enum dr_code run_help(struct session *session, const struct options *options,
                             json_t *fields, struct dr_error *err)
{
    const unsigned where =
        session->kind == SESSION_SHELL ? ON_SHELL_LINE : ON_COMMAND_LINE;
    const char *const name = options->operand_count ? options->operands[0] : NULL;
    const struct command *const command = name ? command_find(name, where) : NULL;
    char *text = NULL;
    size_t text_bytes = 0;
    if (name && !command) return command_refuse_unknown(name, where, err);
    FILE *const stream = open_memstream(&text, &text_bytes);
    if (!stream) return command_fail(err, DR_NOMEM, "out of memory for the help text");
    if (command)
        command_print_help(stream, command, where);
    else
        command_print_list(stream, where);
    if (fclose(stream) != 0) {
        free(text);
        return command_fail(err, DR_NOMEM, "out of memory for the help text");
    }
    member_set_text(fields, "help", text);
    free(text);
    return DR_OK;
}

/* ---- unknown commands -------------------------------------------------------------------- */

enum dr_code command_refuse_unknown(const char *name, unsigned where,
                                    struct dr_error *err)
{
    char text[SUGGESTION_TEXT_BYTES];
    struct suggestion nearest;
    const bool in_shell = where == ON_SHELL_LINE;
    if (command_find(name, ON_COMMAND_LINE | ON_SHELL_LINE))
        return command_fail(
            err, DR_BAD_INPUT,
            in_shell
                ? "%.80s is not a command of the shell; quit, then run darkroom %.80s"
                : "%.80s is a command of the shell: run darkroom shell, then %.80s",
            name, name);
    suggestion_begin(&nearest, name);
    for (int i = 0; command_at(i); ++i)
        if (command_at(i)->where & where)
            suggestion_offer(&nearest, command_at(i)->name);
    return command_fail(err, DR_BAD_INPUT,
                        "unknown command \"%.80s\"%s%s lists the commands", name,
                        suggestion_text(&nearest, SUGGESTION_GOES_ON, text),
                        in_shell ? "help" : "darkroom --help");
}

static enum dr_code run_quit(struct session *session, const struct options *options,
                             json_t *fields, struct dr_error *err)
{
    (void)options;
    (void)fields;
    (void)err;
    session->ended = true;
    return DR_OK;
}

/* ---- the table --------------------------------------------------------------------------- */

#define BOTH (ON_COMMAND_LINE | ON_SHELL_LINE)

/* One row per command, formatted by hand. */
// clang-format off
static const struct command table[] = {
    {"model", ON_SHELL_LINE, FOR_MODEL, 0, 1, "[MODEL]",
     "switch to a checkpoint and load it, or show the current one", true, run_model},
    {"vae", ON_SHELL_LINE, FOR_VAE, 0, 1, "[automatic|none|NAME|FILE]",
     "choose the VAE, or show the current one", true, run_vae},
    {"generate", BOTH, FOR_GENERATE, 0, 0, "",
     "make pictures from a prompt, or from a prompt and a picture (--init)", true, run_generate},
    {"again", BOTH, FOR_GENERATE | OF_PICTURE, 1, 1, "PICTURE",
     "make a picture again from what it says of itself; options of generate change it", true, run_again},
    {"encode", BOTH, FOR_ENCODE, 1, 1, "IN.png", "encode a picture to latents", true,
     run_encode},
    {"decode", BOTH, FOR_DECODE, 1, 1, "LATENT.safetensors", "decode latents to pictures", true,
     run_decode},
    {"inspect", BOTH, FOR_INSPECT, 1, 1, "FILE",
     "show what a checkpoint, VAE, LoRA, embedding or picture file contains", false, run_inspect},
    {"convert", ON_COMMAND_LINE, FOR_CONVERT, 1, 1, "MODEL",
     "write a checkpoint in another type: 8 or 4 bits, float16, float32", false, run_convert},
    {"vaes", BOTH, FOR_VAES, 0, 0, "", "list the VAEs for a model, and what each choice would use",
     true, run_vaes},
    {"prompt", ON_COMMAND_LINE, FOR_PROMPT, 1, 1, "TEXT",
     "show what a prompt means: its parts, schedule, chunks, and the weight of each word", false, run_prompt},
    {"models", BOTH, FOR_MODELS, 0, 0, "", "list the models in the model directories", false, run_models},
    {"loras", BOTH, FOR_LORAS, 0, 0, "", "list the LoRAs in the LoRA directory", false, run_loras},
    {"embeddings", BOTH, FOR_EMBEDDINGS, 0, 0, "", "list the embeddings in the embedding directory", false, run_embeddings},
    {"styles", BOTH, FOR_STYLES, 0, 0, "", "list the styles that --style takes", false, run_styles},
    {"packs", BOTH, FOR_PACKS, 0, 2, "[list|verify|prune|rm NAME]",
     "list, verify or remove cached weights (packs)", false, run_packs},
    {"settings", ON_COMMAND_LINE, FOR_SETTINGS, 0, 0, "",
     "show or change the settings, for all models or for one", false, run_settings},
    {"vocabulary", ON_COMMAND_LINE, FOR_VOCABULARY, 0, 0, "",
     "download CLIP's vocabulary, which checkpoints need to read prompts (1.5 MB)", false, run_vocabulary},
    {"memory", ON_COMMAND_LINE, FOR_MEMORY, 0, 0, "",
     "show how much memory a job needs, whether it fits, and which budgets it can have", true, run_forecast},
    {"memory", ON_SHELL_LINE, FOR_PLAIN, 0, 0, "",
     "list every region in use and compare it with the kernel's figures", true, run_memory},
    {"forecast", ON_SHELL_LINE, FOR_MEMORY, 0, 0, "", "show how much memory a job needs", true,
     run_forecast},
    {"unload", ON_SHELL_LINE, FOR_UNLOAD, 0, 1, "[vae|model]",
     "release weights; a later job loads them again", true, run_unload},
    {"budget", ON_SHELL_LINE, FOR_PLAIN, 0, 1, "[SIZE|default]",
     "set or show the limit on private memory", true, run_budget},
    {"shell", ON_COMMAND_LINE, FOR_SHELL, 0, 0, "",
     "run commands from standard input, one per line, in one process", true, NULL},
    {"serve", ON_COMMAND_LINE, FOR_SERVE, 0, 0, "",
     "answer requests over HTTP: a web page, and the APIs of AUTOMATIC1111 and OpenAI", false, run_serve},
    {"ps", ON_COMMAND_LINE, FOR_SERVICE, 0, 0, "",
     "show which model a running service has loaded, and until when", false, run_ps},
    {"stop", ON_COMMAND_LINE, FOR_SERVICE, 0, 1, "[MODEL]",
     "unload the model of a running service; its memory is free when this returns", false, run_stop},
    {"submit", ON_COMMAND_LINE, FOR_SUBMIT, 0, 0, "",
     "give a running service a job, and do not wait for it", false, run_submit},
    {"help", BOTH, FOR_PLAIN, 0, 1, "[COMMAND]", "list the commands, or show the options of one command", false, run_help},
    {"quit", ON_SHELL_LINE, FOR_PLAIN, 0, 0, "", "end the shell", false, run_quit},
    {"exit", ON_SHELL_LINE, FOR_PLAIN, 0, 0, "", "the same as quit", false, run_quit},
};
// clang-format on
enum {
    TABLE_COUNT = sizeof table / sizeof *table
};

const struct command *command_at(int idx)
{
    return idx >= 0 && idx < TABLE_COUNT ? &table[idx] : NULL;
}

const struct command *command_find(const char *name, unsigned where)
{
    for (int i = 0; i < TABLE_COUNT; ++i)
        if ((table[i].where & where) && strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

void command_print_help(FILE *stream, const struct command *command, unsigned where)
{
    const bool in_shell = where == ON_SHELL_LINE;
    fprintf(stream, "usage: %s%s [option...]%s%s\n\n%s.\n\n",
            in_shell ? "" : "darkroom ", command->name, command->operands[0] ? " " : "",
            command->operands, command->summary);
    options_print_help(stream, command->bit | (in_shell ? IN_SHELL : 0));
    if (!command->run) {
        fputs(
            "\nCommands of the shell, one per line, with words and quotes as in a POSIX shell:\n",
            stream);
        command_print_list(stream, ON_SHELL_LINE);
    }
}

static void print_row(FILE *stream, const struct command *command)
{
    char left[80];
    (void)snprintf(left, sizeof left, "  %-10s %s", command->name, command->operands);
    help_text_print_row(stream, left, 40, command->summary);
}

void command_print_list(FILE *stream, unsigned where)
{
    for (int i = 0; i < TABLE_COUNT; ++i)
        if (table[i].where & where) print_row(stream, &table[i]);
}
