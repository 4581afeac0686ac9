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
    FOR_ENGINE_START = FOR_GENERATE | FOR_ENCODE | FOR_DECODE | FOR_MEMORY | FOR_SHELL,
};

struct options {
    /* engine */
    int precision; /* enum dr_precision */
    int32_t threads;
    uint64_t budget;
    const char *tokenizer, *vae_dir;
    /* job */
    const char *model, *prompt, *negative, *output, *sampler, *scheduler, *vae, *init;
    int32_t width, height, steps, clip_skip, batch, bits, quality;
    int64_t seed;
    double cfg, strength;
    int rng, prediction; /* enum dr_rng, enum dr_prediction */
    /* talk */
    bool force, json, verbose, quiet, help, digests;
    bool rng_said, strength_said;
    const char *operands[OPTIONS_MAX_OPERANDS];
    int operand_count;
};

struct options options_default(void);

/* Parse words (without the command's name). Strings stay borrowed. Errors: DR_BAD_INPUT names
 * the option and what it takes. "--" ends options. */
enum dr_code options_parse(struct options *options, unsigned command, int count,
                           const char *const *words,
                           struct dr_error *err) DR_MUST_CHECK;

/* The options of a command, a line each, two columns. */
void options_print_help(FILE *stream, unsigned command);

/* Long names of a command's options, one a line: for completion. */
void options_print_names(FILE *stream, unsigned command);

#endif
