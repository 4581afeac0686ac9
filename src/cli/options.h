/* options — the command line's options, as one table: names, values, help, and who takes them.
 *
 * One-shot commands and the shell's lines go through the same parser. An option is found in the
 * table, its value checked and stored in struct options at the table's offset; --help is printed
 * from the same table, so the two cannot differ.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include <darkroom/darkroom.h>

enum {
    OPTIONS_MAX_OPERANDS = 8
};

/* Which commands take an option: bits. */
enum {
    FOR_GENERATE = 1,
    FOR_ENCODE = 2,
    FOR_DECODE = 4,
    FOR_INSPECT = 8,
    FOR_MEMORY = 16,
    FOR_SHELL = 32,
    FOR_VAE = 64,    /* the shell's own commands */
    FOR_PLAIN = 128, /* shell commands without options */
    FOR_UNLOAD = 1024,
    FOR_SOAK = 2048,
    FOR_VAES = 4096,
    FOR_SETTINGS = 8192,
    FOR_PACKS = 16384,
    FOR_MODEL = 32768, /* the shell's command */
    FOR_ALL = FOR_GENERATE | FOR_ENCODE | FOR_DECODE | FOR_INSPECT | FOR_MEMORY |
              FOR_SHELL | FOR_VAE | FOR_PLAIN | FOR_UNLOAD | FOR_SOAK | FOR_VAES |
              FOR_SETTINGS | FOR_PACKS | FOR_MODEL,
    IN_SHELL =
        256, /* beside a command's bit: a line of the shell, whose engine is open */
    AT_START = 512, /* beside an option's bits: fixed when the engine opens */
};

struct options {
    /* engine */
    int precision; /* enum dr_precision */
    int32_t threads;
    uint64_t budget, keep;
    const char *tokenizer, *vae_dir, *packs, *memory_log;
    /* job */
    const char *models, *vaes; /* of soak: paths and names, with commas between */
    const char *model, *prompt, *negative, *output, *sampler, *scheduler, *vae, *init;
    int32_t original[2], crop[2], target[2]; /* width, height; left, top */
    int32_t width, height, steps, clip_skip, batch, bits, quality;
    uint64_t seed;
    double cfg, strength;
    int rng, prediction; /* enum dr_rng, enum dr_prediction */
    /* talk */
    bool force, json, quiet, help, profile, digests, drop_cache, unset_vae,
        unset_vae_dir;
    int32_t verbose; /* how often it was said */
    bool budget_said, keep_said, strength_said;
    const char *operands[OPTIONS_MAX_OPERANDS];
    int operand_count;
};

struct options options_default(void);

/* Parse words (without the command's name) for a command's bit, with IN_SHELL or without. Strings
 * stay borrowed. Errors: DR_BAD_INPUT names the option and what it takes; options may be half
 * filled then. "--" ends options; a negative number is a value, never an option. */
enum dr_code options_parse(struct options *options, unsigned command, int count,
                           const char *const *words,
                           struct dr_error *err) DR_MUST_CHECK;

/* Is "--json" among the words? For an answer to words that do not parse. */
bool options_say_json(int count, const char *const *words);

/* The options of a command, a line each, two columns. */
void options_print_help(FILE *stream, unsigned command);

/* Names of a command's options, one a line: for completion. */
void options_print_names(FILE *stream, unsigned command);

/* What completes the value of an option, "--sampler" or "-o": words, one a line. The lines FILE
 * and DIR stand for what the folders hold, VALUE for what only the user knows; nothing at all is
 * for an option that takes no value. */
void options_print_values(FILE *stream, const char *option);

#endif
