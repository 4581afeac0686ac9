/* options — the command line's options, as one table: names, values, help, and the commands that take them.
 *
 * One-shot commands and shell lines use the same parser. It finds an option in the table, checks
 * its value and stores it in struct options at the table's offset. --help is printed from the same
 * table, so help and parser always agree.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include <darkroom/darkroom.h>

enum {
    OPTIONS_MAX_OPERANDS = 8,
    OPTIONS_MAX_WORDS = 16 /* how often an option may be repeated */
};

/* The values of an option that may be repeated, NULL-terminated. */
struct option_words {
    const char *list[OPTIONS_MAX_WORDS + 1];
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
    FOR_VAES = 4096,
    FOR_SETTINGS = 8192,
    FOR_PACKS = 16384,
    FOR_MODEL = 32768, /* the shell's command */
    FOR_VOCABULARY = 65536,
    FOR_MODELS = 131072,
    FOR_SERVE = 524288,
    FOR_SERVICE = 1048576, /* ps and stop: a running service is asked */
    FOR_SUBMIT = 2097152,
    FOR_CONVERT = 4194304,
    FOR_PROMPT = 8388608,
    FOR_LORAS = 16777216,
    FOR_EMBEDDINGS = 33554432,
    FOR_STYLES = 67108864,
    FOR_ALL = FOR_GENERATE | FOR_ENCODE | FOR_DECODE | FOR_INSPECT | FOR_MEMORY |
              FOR_SHELL | FOR_VAE | FOR_PLAIN | FOR_UNLOAD | FOR_VAES | FOR_SETTINGS |
              FOR_PACKS | FOR_MODEL | FOR_VOCABULARY | FOR_MODELS | FOR_SERVE |
              FOR_SERVICE | FOR_SUBMIT | FOR_CONVERT | FOR_PROMPT | FOR_LORAS |
              FOR_EMBEDDINGS | FOR_STYLES,
    IN_SHELL = 256, /* with a command's bit: a shell line; the engine is already open */
    OF_PICTURE = 262144, /* with a command's bit: a picture has the defaults (again) */
    AT_START = 512,      /* with an option's bits: fixed when the engine opens */
};

/* What `serve` alone takes. A number that is negative was not given, except keep_alive_s (-1: always). */
struct serve_options {
    const char *listen, *data, *auth_file, *access_log;
    struct option_words models, vae_dirs, lora_dirs, embedding_dirs, control_dirs,
        upscaler_dirs, cors_origins, allowed_hosts;
    bool preload, insecure_no_auth, metrics;
    int32_t keep_alive_s, exit_idle_s, grace_s;
    uint64_t body_bytes, body_memory_bytes, pixels; /* at most; 0: not given */
    int32_t batch, steps, queue, connections;       /* at most; 0: not given */
    int url_format;                                 /* 0: b64_json, 1: url */
};

struct options {
    struct serve_options serve;
    /* engine */
    int precision; /* enum dr_precision; DR_PRECISION_UNSET: not given */
    int weights;   /* enum dr_weights; DR_WEIGHTS_UNSET: not given */
    int32_t threads;
    uint64_t budget, keep;
    const char *budget_text; /* as typed; NULL: not given */
    const char *lora_dir, *embedding_dir, *styles_file, *wildcard_dir;
    struct option_words loras, styles;
    const char *tokenizer, *vae_dir, *models, *base, *packs, *memory_log;
    /* job */
    const char *to, *wheel;                         /* of the vocabulary */
    const char *default_model, *output_dir, *unset; /* settings */
    uint64_t packs_limit;
    const char *model, *prompt, *negative, *output, *sampler, *scheduler, *vae, *init;
    int32_t original[2], crop[2], target[2]; /* width, height; left, top */
    int32_t width, height, steps, clip_skip, batch, bits, quality;
    int32_t cut_width, cut_height; /* of a picture that is made again; 0: none */
    uint64_t seed;
    struct dr_sampling sampling;
    double cfg, strength;
    int rng, prediction;         /* enum dr_rng, enum dr_prediction */
    int prompt_syntax, emphasis; /* enum dr_prompt_syntax, enum dr_emphasis */
    bool pad_prompts, is_negative;
    /* output and flags */
    bool force, json, quiet, help, profile, digests, drop_cache, exact_convolutions,
        unset_vae, unset_vae_dir, yes;
    int32_t verbose; /* how often it was given */
    bool overwrite, no_clobber;
    bool prompt_given, budget_given, keep_given, strength_given, seed_given;
    bool prompt_is_plain;                /* not the name of a list: it was not typed */
    const char *like;                    /* a picture whose settings are the defaults */
    const struct dr_parameters *picture; /* that is made again, or --like; NULL: none */
    const char *not_restored; /* "" or what of it could not be, as text; or NULL */
    const char *operands[OPTIONS_MAX_OPERANDS];
    int operand_count;
};

struct options options_default(void);

/* Parse the words after the command's name. `command` is the command's bit, with IN_SHELL for a
 * shell line. Strings stay borrowed. "--" ends the options; a negative number is a value, never
 * an option. Errors: DR_BAD_INPUT names the option and what it takes; `options` may then be
 * partly filled. */
enum dr_code options_parse(struct options *options, unsigned command, int count,
                           const char *const *words,
                           struct dr_error *err) DR_MUST_CHECK;

/* Is "--json" among the words? Decides the form of the error when the words do not parse. */
bool options_have_json(int count, const char *const *words);

/* Prints the options of a command, one per line, in two columns. */
void options_print_help(FILE *stream, unsigned command);

/* Prints the names of a command's options, one per line, for completion. */
void options_print_names(FILE *stream, unsigned command);

/* Prints the completions for the value of an option ("--sampler" or "-o"), one per line. FILE
 * means any file name, DIR any directory name, VALUE a value that only the user knows. Prints
 * nothing for an option that takes no value. */
void options_print_values(FILE *stream, const char *option);

#endif
