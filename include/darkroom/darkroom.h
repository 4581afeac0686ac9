/* darkroom/darkroom.h — the engine: generates pictures from checkpoints, with memory use that is checked
 * against the kernel.
 *
 *     struct dr_error err;
 *     struct dr_engine_options options = dr_engine_options_default();
 *     struct dr_engine *engine;
 *     if (dr_engine_open(&engine, &options, &err)) ...
 *     if (dr_engine_load(engine, "sd15.safetensors", DR_LOAD_EAGER, NULL, &err)) ...
 *     if (dr_engine_choose_vae(engine, "my-vae.safetensors", 0, NULL, NULL, &err)) ...
 *
 *     struct dr_generate_options job = dr_generate_options_default();
 *     job.prompt = "a lighthouse at dusk";
 *     job.output = "dusk.png";
 *     struct dr_generate_result result;
 *     if (dr_engine_generate(engine, &job, &result, &err)) fprintf(stderr, "%s\n", err.message);
 *     dr_generate_result_free(&result);
 *     dr_engine_close(&engine);
 *
 * Ownership: strings passed to a call are borrowed for the call. Results with a _free function own their
 * memory; the others are plain values.
 * Threads: an engine runs one call at a time. A call that changes something or computes returns DR_BUSY
 * while another one runs. Read-only calls may be made at any time, from any thread, also during a job:
 * dr_engine_status, dr_engine_memory, dr_engine_model, dr_engine_vae, and dr_engine_list_vaes without
 * DR_LIST_DIGESTS. Each of these returns a consistent state of one moment. They and the running call
 * wait for each other only while a region of memory is opened or closed, or while the state is read.
 * dr_engine_cancel may be called from any thread and from a signal handler. Each engine may run on its
 * own thread. A server runs its jobs through handles (struct dr_job). A callback that was passed to a
 * call runs in the thread of that call; a callback that was passed to the engine runs in the thread of
 * the call that causes it. log may be called by two threads at once if one of them makes a read-only
 * call. The engine may be locked meanwhile: a callback must not wait for another thread that calls the
 * engine. Waiting threads: the engine uses OpenMP threads (libgomp). By default a waiting thread spins
 * up to 300,000 times before it sleeps. Beside other busy programs, or if the threads of several engines
 * share the cores, a job then takes many times as long. An embedder should set GOMP_SPINCOUNT=1000 in
 * the environment (as the darkroom program does for itself). libgomp reads it once, when it is loaded:
 * set it where the process is started, or before the library is loaded with dlopen; setenv in main is
 * too late.
 * Errors: see error.h. After a failed call the previous model and VAE are still usable. A failed switch
 * (of model or VAE) leaves memory as it was. If it had to release the old weights first and they cannot
 * be read again at once, they are read when they are next needed. A failed job may have loaded
 * components that it needs, or released others to fit the budget.
 */
#ifndef DARKROOM_DARKROOM_H
#define DARKROOM_DARKROOM_H

#include <stddef.h>
#include <stdint.h>

#include "darkroom/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DR_PATH_BYTES 4096
#define DR_MAX_LORAS  16 /* of one job */
#define DR_TEXT_BYTES 512
#define DR_REASON_BYTES \
    2048 /* of what happened and why: it may have an error's message in it */
#define DR_DIGEST_CHARS 65 /* SHA-256 in hexadecimal, and the end */

/* A figure that the kernel does not report: sandboxes and hardened containers hide some or all of
 * /proc. Only figures of the kernel can have this value, never those of the ledger. */
#define DR_UNKNOWN_BYTES UINT64_MAX

/* "0.1.0" */
DR_API const char *dr_version(void);
/* Libraries, processor features and threads in one line. Call it after dr_engine_open. The text
 * belongs to the calling thread and is valid until its next call. */
DR_API const char *dr_description(void);

/* Milliseconds of a monotonic clock. All times in this header use this clock. */
DR_API double dr_clock_ms(void);

/* ---- engine ---------------------------------------------------------------------------- */

struct dr_engine; /* opaque */

enum dr_precision {
    DR_PRECISION_AUTO,
    DR_PRECISION_BF16,
    DR_PRECISION_F32,
    DR_PRECISION_UNSET /* the settings', else AUTO */
};

/* The type in which weights are stored, in packs and in memory. All but F16, Q8 and Q4 give the same pictures. */
enum dr_weights {
    DR_WEIGHTS_AUTO, /* as the file stores them, where the precision holds all numbers of that type; else as F32 */
    DR_WEIGHTS_F32, /* converted to the precision's type once: more bytes, and nothing to convert at each step */
    DR_WEIGHTS_F16, /* as AUTO, but float32 rounded to float16 (in bf16: as AUTO) */
    DR_WEIGHTS_Q8, /* 8 or 4 bits in blocks of 32, as dr_convert's Q8 and Q4: what that writes in float16 is */
    DR_WEIGHTS_Q4, /* stored as with F16. A file in blocks keeps its own */
    DR_WEIGHTS_UNSET /* the settings', else AUTO */
};

enum dr_log_level {
    DR_LOG_ERROR,
    DR_LOG_WARNING,
    DR_LOG_NOTICE, /* nothing is wrong, but a person wants to know it */
    DR_LOG_INFO,
    DR_LOG_DEBUG
};

/* Progress of reading weights, in bytes of the files, over all components of the call. done_bytes
 * never decreases, and equals total_bytes in the last report of a successful call. total_bytes
 * changes only if a VAE cannot be read and the checkpoint's own is used instead. */
struct dr_load_progress {
    const char *component; /* "unet": static */
    uint64_t done_bytes, total_bytes;
    double elapsed_ms; /* since the reading began */
};
/* Called on the thread of the call. A result other than 0 cancels the call, as
 * dr_engine_cancel does: it returns DR_CANCELLED, and the active model and VAE stay. */
typedef int dr_load_report(void *cookie, const struct dr_load_progress *progress);

/* A region of memory was opened or closed. */
struct dr_memory_event {
    int32_t opened;     /* 1: the kernel has provided it; 0: the kernel has it back */
    double ms;          /* by dr_clock_ms */
    char component[32]; /* its owner: "unet", "vae", "job" */
    const char *tag, *kind; /* as in struct dr_region_info */
    uint64_t start, bytes;  /* address and size */
    uint64_t ledger_private_bytes,
        ledger_mapped_bytes; /* of all regions, after the event */
};

struct dr_engine_options {
    enum dr_precision
        precision; /* UNSET: the settings', else AUTO: bf16 if the processor supports it, else f32. BF16 is
                            * emulated, slowly, on a processor with AVX512 alone */
    enum dr_weights weights; /* UNSET: the settings', else AUTO */
    int32_t thread_count;  /* 0: one for each core this process may use. All engines of
                            * the process share these threads: the engine opened last sets
                            * their number, but not while a job of another engine runs
                            * (DR_BUSY; 0 keeps the number) */
    uint64_t budget_bytes; /* maximum private bytes; 0: the settings', else 90 % of
                            * available memory. One that is too small for any job is
                            * accepted: each is refused, with one that is sufficient.
                            * Not if something is set aside of it: DR_OVER_BUDGET */
    /* Private bytes beside the engine's own that the budget includes: what the program around it may take, such as
     * a server's buffers. The engine leaves them free. */
    uint64_t set_aside_bytes;
    const char
        *tokenizer_folder;  /* NULL: DARKROOM_TOKENIZER, beside the model, XDG data */
    const char *vae_folder; /* NULL: DARKROOM_VAE_DIR, the settings, XDG data */
    /* A complete model, by path or name: where a model is a UNet alone, its text encoders and its VAE are
     * this one's. NULL: the settings' "base". See dr_engine_set_base. */
    const char *base;
    /* The directory where weights are cached in the execution layout, to be mapped instead of read
     * (packs). NULL: DARKROOM_PACKS ("off": none), else $XDG_CACHE_HOME/darkroom/packs. "": no packs;
     * all weights are private memory. If the directory cannot be used, there are no packs, and the
     * log says so. Packs take as much disk space as weights take memory; beyond a limit (a quarter of
     * the free space and the packs together, at most 40 GiB) those used least recently are removed,
     * never one that a process has open. While a pack is mapped, a
     * SIGBUS handler replaces pages that the file has lost; it passes any other SIGBUS to the
     * previous handler. */
    const char *pack_folder;
    const char
        *settings_path; /* NULL: the user's file (dr_settings); "": none is read */
    void (*log)(void *cookie, enum dr_log_level level,
                const char *line); /* may be NULL */
    void *log_cookie;
    dr_load_report
        *load_progress; /* of dr_engine_load, dr_engine_choose_vae; or NULL */
    void *load_cookie;
    /* 1: when a file is released, it is dropped from the kernel's page cache; the receipt says
     * how many bytes. */
    int32_t drop_cache;
    /* 1: every output of a convolution is the sum of its products. 0: 3x3 convolutions take fewer multiplications
     * (Winograd), with a relative error of 2e-6 in float32 and half as much again as the rounding in bfloat16. */
    int32_t exact_convolutions;
    /* Called for each region when it is opened and closed, in the thread of the running call;
     * it must not call the engine. May be NULL. */
    void (*memory)(void *cookie, const struct dr_memory_event *event);
    void *memory_cookie;
};
DR_API struct dr_engine_options dr_engine_options_default(void);

/* The settings are read here, once. Errors: DR_BAD_INPUT if their file is damaged,
 * DR_UNSUPPORTED, DR_OVER_BUDGET, ... */
DR_API enum dr_code dr_engine_open(struct dr_engine **out,
                                   const struct dr_engine_options *options,
                                   struct dr_error *err) DR_MUST_CHECK;
/* Releases everything. NULL and *engine == NULL are fine; *engine becomes NULL. */
DR_API void dr_engine_close(struct dr_engine **engine);

/* Stop the running call at its next step, and a list of VAEs that is being made; they return
 * DR_CANCELLED. A job ends as after dr_job_cancel. Async-signal-safe. */
DR_API void dr_engine_cancel(struct dr_engine *engine);

/* Sets the maximum number of private bytes that the process may hold. This includes the memory
 * outside regions, for which 49 MiB are set aside, or 46 MiB more than the process held when the
 * engine opened if that is more. 0: back to the default. Errors: DR_OVER_BUDGET if what is set aside
 * exceeds the budget. */
DR_API enum dr_code dr_engine_set_budget(struct dr_engine *engine, uint64_t bytes,
                                         struct dr_error *err) DR_MUST_CHECK;

/* ---- receipts -------------------------------------------------------------------------- */

struct dr_memory_point {
    uint64_t ledger_private_bytes;
    uint64_t ledger_mapped_bytes;
    uint64_t kernel_private_bytes; /* may be DR_UNKNOWN_BYTES */
};

/* What a switch, an unload or a job did to memory. */
struct dr_receipt {
    uint64_t released_bytes; /* regions closed that had existed before */
    uint64_t acquired_bytes; /* regions opened that still exist */
    /* of the kernel's page cache; 0 if that was not requested, DR_UNKNOWN_BYTES if the kernel does
     * not report it. reason says what stayed */
    uint64_t dropped_cache_bytes;
    struct dr_memory_point before, after;
    double ms;
    char
        reason[DR_REASON_BYTES]; /* what happened and why, as text; warnings included */
};

/* ---- models ---------------------------------------------------------------------------- */

enum dr_component_kind {
    DR_COMPONENT_TEXT, /* a text encoder; a model may have two */
    DR_COMPONENT_UNET,
    DR_COMPONENT_VAE,
    DR_COMPONENT_ADAPTER, /* a LoRA or one of its relatives, of the job that runs */
};
/* "text", "unet", "vae", "adapter" */
DR_API const char *dr_component_kind_name(enum dr_component_kind kind);

struct dr_component_info {
    enum dr_component_kind kind;
    char name[32]; /* "text", "text2", "unet", "vae": unique in its list */
    uint64_t tensor_count;
    uint64_t parameter_count;
    uint64_t stored_bytes;        /* in the file */
    uint64_t weights_bytes;       /* in memory, when loaded */
    char stored_types[64];        /* "F16", "F16 F32" */
    char digest[DR_DIGEST_CHARS]; /* of dr_inspect with DR_INSPECT_DIGESTS; else "" */
    int32_t of_base;              /* it is in the model's base, not in its own file */
};

struct dr_model_info {
    char path[DR_PATH_BYTES];
    char family[16]; /* "sd15", "sdxl", "vae", ... */
    int32_t component_count;
    struct dr_component_info *components;
    char lacks[DR_TEXT_BYTES]; /* "" or "no text encoder: give ..." */
    char base[DR_PATH_BYTES]; /* "", or the model that components with of_base are of */
};
DR_API void dr_model_info_free(struct dr_model_info *model);

enum dr_load_mode {
    DR_LOAD_EAGER = 0, /* read all components now, if they fit the budget */
    DR_LOAD_LAZY = 1,  /* read the index now; components when a job needs them */
    DR_LOAD_FORCE =
        2, /* added to either: load a checkpoint although it has a setting that changes
            * the picture and is not supported; this is then a warning */
};

struct dr_load_result {
    struct dr_model_info model;
    struct dr_receipt receipt;
};
DR_API void dr_load_result_free(struct dr_load_result *result);

/* Switches to a checkpoint. The VAE setting is applied to it; if it does not fit, the checkpoint's own
 * VAE is used, and the receipt says so. Loading the model that is already loaded does nothing, unless
 * its file or one of its configs changed. On error the previous model stays (if both did not fit the
 * budget, its components are read again when needed). Every setting of a checkpoint that changes the
 * picture (markers, metadata, configs beside it) is applied or refused: DR_UNSUPPORTED names file, key
 * and value. mode: of enum dr_load_mode. result may be NULL; it is empty after an error. */
DR_API enum dr_code dr_engine_load(struct dr_engine *engine, const char *path,
                                   unsigned mode, struct dr_load_result *result,
                                   struct dr_error *err) DR_MUST_CHECK;

/* The model that the parts come from which a model that is loaded later does not have (a UNet alone, as
 * GGUF files often are): by path, or by name as dr_find_model's. NULL or "": none. It must be of the same
 * family. The loaded model stays as it is. Errors: dr_find_model's; DR_BUSY. */
DR_API enum dr_code dr_engine_set_base(struct dr_engine *engine, const char *base,
                                       struct dr_error *err) DR_MUST_CHECK;

/* DR_NOT_FOUND if no model is loaded; *model is then empty. */
DR_API enum dr_code dr_engine_model(struct dr_engine *engine,
                                    struct dr_model_info *model,
                                    struct dr_error *err) DR_MUST_CHECK;

enum dr_unload_what {
    DR_UNLOAD_VAE,
    DR_UNLOAD_MODEL,
    DR_UNLOAD_DROP_CACHE =
        2 /* added to either: as dr_engine_options.drop_cache, once */
};
/* Releases weights (DR_UNLOAD_MODEL: of all components). Idempotent. The choice of model and
 * VAE stays: the next job loads again what it needs. */
DR_API enum dr_code dr_engine_unload(struct dr_engine *engine, unsigned what,
                                     struct dr_receipt *receipt,
                                     struct dr_error *err) DR_MUST_CHECK;

/* ---- VAE ------------------------------------------------------------------------------- */

struct dr_vae_info {
    char choice[DR_PATH_BYTES]; /* the choice: "automatic", "none", a name or a path */
    /* its source: "job"; "model", the settings' entry for this model; "setting", chosen
     * for all models, by a call or in the settings; "default", nothing was set */
    char source[32];
    char reason[DR_REASON_BYTES]; /* how the choice was resolved, as text */
    int32_t override_active;      /* 0: the checkpoint's own VAE is the active one */
    char path[DR_PATH_BYTES];     /* the file that the active one is from */
    char name[256];               /* its short name, for picture metadata */
    char digest[DR_DIGEST_CHARS]; /* "" if nothing was read yet */
    int32_t
        verified; /* the bytes in memory were digested when they were read, or belong to a
                   * pack that was made this way and is unchanged since it was checked; for
                   * a restored original the digest equals the one recorded before */
    int32_t resident;
    float scale_factor;
    char probe
        [DR_TEXT_BYTES]; /* the result of the latent probe for an override, as text with
                          * its figures; "" for the checkpoint's own VAE */
};

enum {
    DR_VAE_FORCE = 1
}; /* flags: skip the latent probe, and accept a file with settings that are not
    * supported */

/* Chooses the VAE: "automatic", "none", a name in the VAE directory, or a path. With a model
 * loaded this is a request: if an explicit file is missing, unreadable, incomplete or foreign,
 * the call fails and the active VAE stays. The choice is also the setting for models that are
 * loaded later. It takes precedence over the choice for all models in the settings file, but not
 * over the entry for a model; the reason says so. A VAE from another latent space is foreign
 * (DR_FOREIGN): it cannot reproduce a picture that the checkpoint's own VAE encoded, although
 * that VAE can. DR_VAE_FORCE allows it, and stays in effect with the setting. If the budget has
 * no room for this test, the next job runs it. info and receipt may be NULL. */
DR_API enum dr_code dr_engine_choose_vae(struct dr_engine *engine, const char *choice,
                                         unsigned flags, struct dr_vae_info *info,
                                         struct dr_receipt *receipt,
                                         struct dr_error *err) DR_MUST_CHECK;
/* The active VAE; before a model is loaded only the setting: choice, source and reason. */
DR_API enum dr_code dr_engine_vae(struct dr_engine *engine, struct dr_vae_info *info,
                                  struct dr_error *err) DR_MUST_CHECK;

struct dr_progress; /* below, with the jobs */

/* A VAE that was found for the loaded model, usable or not. */
struct dr_listed_vae {
    char *choice; /* how to choose it: "none", a name, or a path if no name is unique */
    char *path;   /* of the file; the checkpoint's own: of the checkpoint */
    char found
        [32]; /* where: "checkpoint", "beside the checkpoint", "VAE folder", "path" */
    char format[64];
    /* as stated by the file: "sd15", "sdxl"; "sd15 or sdxl" if it does not state it,
     * because both have the same names; "" if it could not be read */
    char family[16];
    char stored_types[64];        /* "F16", "F16 F32" */
    uint64_t stored_bytes;        /* of the VAE's tensors in the file */
    char digest[DR_DIGEST_CHARS]; /* "" if it is not known: see DR_LIST_DIGESTS */
    int32_t same_as;   /* index of an earlier entry that is the same VAE, by file
                              * or by digest if known; -1: none */
    enum dr_code code; /* DR_OK: nothing is known against it */
    /* 1: it is the checkpoint's own or the same VAE, or the latent probe was run for it before. A list runs no
     * probe: where this is 0, one from another latent space is not known as such yet. */
    int32_t tried;
    char fit[DR_TEXT_BYTES]; /* "whole", or the defect, as text; with the result of the
                              * latent probe, or that it was not run */
    int32_t active;          /* the one that runs */
};

/* The result that a choice would have for the loaded model. */
struct dr_listed_choice {
    char *choice;
    char source[32]; /* "setting", "model", "default" for the current choice; else "" */
    enum dr_code code; /* DR_OK, or why a request for it would fail */
    char *path;        /* of the file; "" for the checkpoint's own, and on failure */
    char reason[DR_REASON_BYTES]; /* in words */
};

struct dr_vae_list {
    char model[DR_PATH_BYTES];
    char vae_folder[DR_PATH_BYTES]; /* "": none */
    struct dr_listed_vae *vaes;     /* the checkpoint's own first */
    size_t vae_count;
    struct dr_listed_choice
        *choices; /* the current choice, none, automatic, each name */
    size_t choice_count;
    size_t left_out_count;        /* files beyond the first thousand */
    char left_out[DR_TEXT_BYTES]; /* "" or which part of the VAE directory was not
                                   * searched, as text */
};
enum {
    DR_LIST_DIGESTS = 1
}; /* flags: read each VAE for its digest */

/* Lists the VAEs for the loaded model. A damaged file is listed with its defect and does not end the
 * list. No weights are loaded; progress (may be NULL) reports the files that are read for digests.
 * Errors: DR_NOT_FOUND (no model is loaded), DR_NOMEM, DR_CANCELLED; with DR_LIST_DIGESTS DR_BUSY,
 * DR_OVER_BUDGET (no room for the buffer of 1 MiB through which files are read). */
DR_API enum dr_code dr_engine_list_vaes(
    struct dr_engine *engine, unsigned flags,
    void (*progress)(void *cookie, const struct dr_progress *progress), void *cookie,
    struct dr_vae_list *list, struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_vae_list_free(struct dr_vae_list *list);

/* ---- settings -------------------------------------------------------------------------- */

/* The user's settings for every run: a JSON file, $XDG_CONFIG_HOME/darkroom/settings.json,
 * else ~/.config/darkroom/settings.json, which engines read when they open.
 *
 *     {"vae": "sharp", "vae_by_model": {"sd15": "none"}, "vae_dir": "/data/vae",
 *      "model": "sd15", "model_dirs": ["/data/models"], "output_dir": "/data/pictures",
 *      "precision": "bf16", "weights": "f16", "budget": "8G", "packs_limit": "20G",
 *      "styles": "/data/styles.csv", "wildcard_dir": "/data/wildcards",
 *      "size": "512x768", "steps": 25, "cfg": 7, "sampler": "euler", "scheduler": "karras",
 *      "by_model": {"sd15": {"size": "512x512", "steps": 30}}}
 *
 * by_model has size, steps, cfg, sampler and scheduler for one model. Precedence of what a job leaves
 * open, highest first: by_model, the checkpoint's metadata, the settings for all, the family's.
 * Precedence of choices, highest first: the job's own, vae_by_model, "vae", automatic.
 * Precedence of VAE directories: the option, DARKROOM_VAE_DIR, "vae_dir",
 * $XDG_DATA_HOME/darkroom/vae. */
/* cfg: open. */
#define DR_CFG_DEFAULT (-1.0)

/* What a job has where its options leave something open. */
struct dr_defaults {
    int32_t width, height;           /* 0: open */
    int32_t steps;                   /* 0: open */
    double cfg;                      /* DR_CFG_DEFAULT: open */
    char sampler[24], scheduler[24]; /* "": open */
};

struct dr_model_setting {
    char *model; /* a path or its last components, with or without extension: "sd15",
                  * "xl/base" */
    char *vae;   /* a choice: the entry is of vae_by_model; NULL: it is of by_model */
    struct dr_defaults defaults; /* of by_model: what is not set is open */
};
struct dr_settings {
    char path[DR_PATH_BYTES];       /* of the file; "": there is no directory for it */
    int32_t exists;                 /* the file exists */
    char vae[DR_PATH_BYTES];        /* a choice; "": not set */
    char vae_folder[DR_PATH_BYTES]; /* "vae_dir"; "": not set */
    struct dr_model_setting *models;
    size_t model_count;
    char model[DR_PATH_BYTES]; /* name or path; "": not set */
    char base[DR_PATH_BYTES];  /* name or path of a complete model; "": not set */
    char **model_folders;      /* "model_dirs" */
    size_t model_folder_count;
    char output_folder[DR_PATH_BYTES];        /* "output_dir"; "": not set */
    char styles_file[DR_PATH_BYTES];          /* "styles"; "": not set */
    char wildcard_folder[DR_PATH_BYTES];      /* "wildcard_dir"; "": not set */
    enum dr_precision precision;              /* DR_PRECISION_UNSET: not set */
    enum dr_weights weights;                  /* DR_WEIGHTS_UNSET: not set */
    uint64_t budget_bytes, packs_limit_bytes; /* 0: not set */
    struct dr_defaults defaults;              /* of jobs, with all models */
    char warnings[DR_TEXT_BYTES];             /* "" or sentences about unknown keys */
};
/* path: NULL for the user's file. A missing file is not an error: then nothing is set. Errors:
 * DR_BAD_INPUT if the file is damaged or cannot be read (names file, line or key, and what to
 * do), DR_NOMEM. */
DR_API enum dr_code dr_settings_read(const char *path, struct dr_settings *settings,
                                     struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_settings_free(struct dr_settings *settings);

struct dr_setting {
    const char *key;   /* "steps", ... */
    const char *value; /* as text: "25", "512x768"; model_dirs: "DIR:DIR"; "": remove */
};

struct dr_settings_change {
    const char *model;                 /* vae is for this model; NULL: for all models */
    const char *vae;                   /* NULL: stays; "": remove */
    const char *vae_folder;            /* NULL: stays; "": remove */
    const struct dr_setting *settings; /* for the model if one is given, else for all */
    size_t setting_count;
};
/* Changes the file atomically; creates it if it is missing. Unknown keys are kept. A relative
 * path of a file or directory is written as an absolute path. after may be NULL; its warnings
 * name choices that refer to nothing yet. Open engines are not affected. Errors:
 * dr_settings_read's, DR_BAD_INPUT, DR_NOT_FOUND (nothing to remove), DR_IO. */
DR_API enum dr_code dr_settings_change(const char *path,
                                       const struct dr_settings_change *change,
                                       struct dr_settings *after,
                                       struct dr_error *err) DR_MUST_CHECK;

/* ---- models by name -------------------------------------------------------------------- */

struct dr_model_list; /* below */

struct dr_models_options {
    /* "DIR", or "DIR:DIR" for several; a DIR may be one model's path. NULL: DARKROOM_MODELS, the settings' model_dirs,
     * $XDG_DATA_HOME/darkroom/models. */
    const char *model_folders;
    int32_t
        only_names; /* 1: what is given is a complete name or a digest: no path, no beginning */
    const char *vae_folder, *pack_folder, *settings_path; /* as in dr_engine_options */
    /* dr_models_list: an earlier list, so that files that are as they were then are not read again. NULL: none */
    const struct dr_model_list *before;
};

/* The path of a model that is given by its path, or by name in the model directories: the file's name with or
 * without its extension, the beginning of one name alone, or the first digits (at least 6) of a digest that was
 * computed before, of the complete file or of the UNet. A path comes first. name NULL or "": the settings'
 * model. options: NULL for none. Errors: DR_NOT_FOUND (says where it was searched),
 * DR_BAD_INPUT (the name means several models: they are listed; no model was given; the settings are damaged), DR_NOMEM. */
DR_API enum dr_code dr_find_model(const char *name,
                                  const struct dr_models_options *options,
                                  char path[DR_PATH_BYTES],
                                  struct dr_error *err) DR_MUST_CHECK;

/* Texts are the list's, and never NULL. */
struct dr_listed_model {
    char *name; /* without extension */
    char *path;
    char *file; /* the path below its model directory: "xl/base.safetensors" */
    char family[16];
    char *vae;     /* that jobs use by default: a file, "its own", "none" */
    char *problem; /* "" or why it cannot be read: then the rest is empty */
    char sha256[DR_DIGEST_CHARS]; /* of the complete file, if it was computed before and
                                   * the file is the same; else "" */
    uint64_t bytes;               /* of its files */
    uint64_t packs_bytes;         /* of the packs that were made from it; 0: none */
    uint64_t state[10];           /* private: the file as it was when it was read */
};
struct dr_model_list {
    char folders[DR_TEXT_BYTES]; /* that were searched, as text */
    char **folder_paths;         /* each of them */
    size_t folder_count;
    struct dr_listed_model *models;
    size_t count;
};
/* Lists the models in the model directories. Only the files' headers are read. Errors: DR_BAD_INPUT (the
 * settings are damaged), DR_NOMEM. */
DR_API enum dr_code dr_models_list(const struct dr_models_options *options,
                                   struct dr_model_list *list,
                                   struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_model_list_free(struct dr_model_list *list);

/* A VAE in a VAE directory: a file, or a directory in the diffusers layout. */
struct dr_vae_file {
    char *name; /* of the file or directory: "sharp.safetensors" */
    char *path;
    uint64_t bytes; /* of the file; 0 for a directory */
};
struct dr_vae_files {
    char folder[DR_PATH_BYTES]; /* that was searched; "": there is none */
    struct dr_vae_file *files;
    size_t count;
};
/* Lists the VAEs that a choice can name, without a model. No file is opened. vae_folder: NULL as in
 * dr_engine_options, with settings_path too. A missing directory has none. Errors: DR_BAD_INPUT (the settings are
 * damaged), DR_NOMEM. */
DR_API enum dr_code dr_vae_files_list(const char *vae_folder, const char *settings_path,
                                      struct dr_vae_files *list,
                                      struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_vae_files_free(struct dr_vae_files *list);

/* ---- jobs ------------------------------------------------------------------------------ */

enum dr_rng {
    DR_RNG_CUDA,
    DR_RNG_CPU
};
enum dr_prediction {
    DR_PREDICTION_AUTO,
    DR_PREDICTION_EPS,
    DR_PREDICTION_V
};

enum dr_stage {
    DR_STAGE_LOAD,
    DR_STAGE_TEXT,
    DR_STAGE_ENCODE,
    DR_STAGE_UNET,
    DR_STAGE_DECODE,
    DR_STAGE_WRITE
};
DR_API const char *dr_stage_name(enum dr_stage stage);

struct dr_progress {
    enum dr_stage stage;
    int32_t image, image_count; /* 0-based; of the batch */
    int32_t step, step_count;   /* of the model's evaluations; DR_STAGE_UNET only */
    double share;               /* of the stage, 0..1 */
    double
        total_share; /* of the whole job, 0..1, by the arithmetic of its networks: reading weights
                         * and writing files count as nothing. Never falls */
    double elapsed_ms; /* since the job began */
    /* Until the last picture is decoded, at the pace of this job's networks so far; reading weights and
     * writing files count as nothing. Negative: not known yet. */
    double left_ms;
    int32_t has_seed; /* 0: no noise is drawn, as in decoding a file */
    uint64_t seed;    /* of the image */
    /* 0, or: the job was cancelled or failed, and so many pictures that are sampled are decoded and
     * written before it ends */
    int32_t finishing_count;
};

/* What the picture will be, as the model sees it after a step: the latents without the noise. They are in
 * the UNet's scale, as in the files that dr_engine_decode reads; by the VAE's scale factor they become
 * what the VAE decodes. */
struct dr_preview {
    int32_t image, image_count; /* 0-based; of the batch */
    int32_t step, step_count;   /* of the sampler, done and in all: not evaluations */
    int32_t height, width;      /* of the latents: an eighth of the picture's */
    const float *latents;       /* [4, height, width], borrowed for the call */
};

struct dr_image_info {
    char path[DR_PATH_BYTES]; /* "" if nothing was written */
    uint64_t seed;
    int32_t replaced; /* 1: there was a file of this name before */
};

/* How noise is drawn and how guidance is applied, beside what sampler, steps, seed and cfg say. Begin with
 * dr_sampling_default. What is out of range, or what the sampler has no use for, is DR_BAD_INPUT. */
struct dr_sampling {
    /* The share of noise in a step of an ancestral or SDE sampler or ddim, 0..1; of tcd its gamma. Negative: the sampler's own
     * (ddim 0, tcd 0.3, the others 1). */
    double eta;
    /* euler, heun, dpm2: noise before each step whose sigma is from s_tmin to s_tmax (0: no limit); it raises sigma by
     * s_churn / steps, at most by 41 %. */
    double s_churn, s_tmin, s_tmax;
    double s_noise; /* factor of all noise that a sampler adds */
    /* The noise of the seed, turned towards that of another seed, 0..1. Above 0 all pictures of a batch have the same seed, and
     * the variation seeds count up. */
    double variation_strength;
    uint64_t variation_seed;
    /* The seed's noise for pictures of this size, put into the middle of the new one's; 0, 0: none. */
    int32_t seed_resize_width, seed_resize_height;
    int32_t
        eta_seed_delta; /* added to the seed for the noise of steps; 0: the noise goes on from the first one */
    /* How far the deviation of the guided prediction is put back to that of the prompt's own, 0..1
     * (arXiv 2305.08891, section 3.4). */
    double cfg_rescale;
    /* Guidance is applied from the first share of the steps to the second, 0..1; before and after it the negative prompt is not
     * evaluated, which saves half of the time. */
    double cfg_from, cfg_to;
    double
        s_min_uncond; /* every other evaluation below this sigma goes without the negative prompt; 0: none does */
};
DR_API struct dr_sampling dr_sampling_default(void);

/* The numbers among them, for programs that read or write them: index 0.. until NULL. */
struct dr_sampling_field {
    const char *key;   /* in requests and JSON, as A1111 has it: "s_churn" */
    const char *label; /* in a picture's text, as A1111 has it: "Sigma churn" */
    size_t offset;     /* of a double in struct dr_sampling */
    double least, most;
    double
        usual; /* what changes nothing, as in dr_sampling_default; it may be outside the range */
};
DR_API const struct dr_sampling_field *dr_sampling_field(int32_t index);

/* What a job may write over. The names of all its files are looked at before its first step. */
enum dr_existing {
    DR_EXISTING_PICTURES, /* pictures (PNG, JPEG) and latent files, by their content */
    DR_EXISTING_ANY,      /* any file */
    DR_EXISTING_NONE,
};

/* What prompts may contain: docs/PROMPTS.md. */
enum dr_prompt_syntax {
    DR_PROMPT_A1111, /* (word:1.2), BREAK, AND, [from:to:when], [a|b], <lora:name:1> as in A1111 */
    DR_PROMPT_PLAIN /* text alone */
};
/* What becomes of the encoder's result where words have weights, as A1111 names it. */
enum dr_emphasis {
    DR_EMPHASIS_ORIGINAL, /* multiplied, then its mean restored */
    DR_EMPHASIS_NO_NORM,  /* multiplied */
    DR_EMPHASIS_IGNORE    /* nothing */
};
/* "original", "no-norm", "ignore"; "a1111", "plain": index 0.. until NULL. */
DR_API const char *dr_emphasis_name(int32_t index);
DR_API const char *dr_prompt_syntax_name(int32_t index);

/* How an init picture of other proportions becomes the new picture. */
enum dr_fit {
    DR_FIT_STRETCH,
    DR_FIT_CROP, /* fill it, and leave out what is over */
    DR_FIT_PAD   /* all of it, and repeat its edges beside it */
};

/* What is not given (width, height, steps: 0; cfg: DR_CFG_DEFAULT; sampler, scheduler: NULL) is taken from the
 * settings' entry for the model (by_model), else from the checkpoint's metadata (darkroom.default.size, .steps, .cfg,
 * .sampler, .scheduler), else from the settings for all models, else from its family: 20 steps, cfg 7, euler-a, and
 * 512x512 for SD1.x or 1024x1024 for SDXL. A scheduler applies with the sampler of its source. */
/* A LoRA or one of its relatives, for one job: it changes the networks while they run, and nothing of it stays. */
struct dr_lora {
    const char *path;
    double unet_weight, text_weight; /* 1: as it was trained; -100 to 100 */
};

/* "NAME[:WEIGHT[:TEXT_WEIGHT]]" or "FILE[...]" to a path (of DR_PATH_BYTES) and weights (1 where none is given). A
 * name is that of a file in the directory or below it, with or without its extension. directory: NULL for
 * DARKROOM_LORA_DIR, else lora/ in the user's data directory; several are "DIR:DIR". lora->path becomes path. Any thread. Errors:
 * DR_NOT_FOUND, DR_BAD_INPUT (a name that means several files). */
enum dr_lora_names {
    DR_LORA_ANY, /* a name, or the path of a file */
    DR_LORA_NAME, /* a name in the directory, never a path: for texts that others wrote */
};
DR_API enum dr_code dr_find_lora(const char *text, const char *directory,
                                 enum dr_lora_names names, char *path,
                                 struct dr_lora *lora,
                                 struct dr_error *err) DR_MUST_CHECK;

/* A file in the LoRA directory. */
struct dr_lora_info {
    char path[DR_PATH_BYTES];
    char file
        [DR_TEXT_BYTES]; /* of a list: the path below its directory, "style/ink.safetensors" */
    char name[256];
    char family[16]; /* "sd15", "sdxl"; "unknown" if it does not show */
    char base_model
        [DR_TEXT_BYTES]; /* what the file says of the model that it was trained with; "" */
    char words
        [DR_TEXT_BYTES]; /* trigger words, the most frequent first: "ink, brush"; "" */
    char kinds[64];      /* "LoRA", "LoHa DoRA" */
    int32_t layer_count;
    int32_t rank;                /* the largest of its layers; 0: none has one */
    int32_t unknown_count;       /* tensors whose names are not understood */
    uint64_t bytes;              /* of its tensors: what it takes in memory */
    char problem[DR_TEXT_BYTES]; /* "" or why it cannot be used */
};
struct dr_lora_list {
    char directory[DR_PATH_BYTES];
    struct dr_lora_info *loras; /* in the order of their paths */
    size_t count;
    char left_out[DR_TEXT_BYTES]; /* "" or what of the directory was not searched */
};
DR_API enum dr_code dr_list_loras(const char *directory, struct dr_lora_list *list,
                                  struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_lora_list_free(struct dr_lora_list *list);
/* One file. info->file is its path. Errors: those of opening it: DR_UNSUPPORTED for one that is no LoRA. */
DR_API enum dr_code dr_inspect_lora(const char *path, struct dr_lora_info *info,
                                    struct dr_error *err) DR_MUST_CHECK;

/* An embedding (textual inversion): a file in the embedding directory, whose vectors stand in a prompt for its name. */
struct dr_embedding_info {
    char path[DR_PATH_BYTES];
    char name[256];  /* by which a prompt names it: the file's, without extension */
    char family[16]; /* by its widths: "sd15", "sd2", "sdxl"; "unknown" */
    int32_t vector_count; /* so many tokens of a prompt it takes */
    int32_t widths[2]; /* numbers of a vector, for each text encoder; 0: none for it */
    char base_model[DR_TEXT_BYTES];  /* the checkpoint that it was trained with, as the
                                     * file says; "" */
    char base_hash[DR_DIGEST_CHARS]; /* of that, as the file says; "" */
    int32_t step;                    /* of its training; -1: the file does not say it */
    char hash[16];  /* the first 12 digits of the file's SHA-256, as in "TI hashes" */
    uint64_t bytes; /* of its vectors, in the file */
    char problem
        [DR_TEXT_BYTES]; /* "" or why it cannot be used: then the rest is empty */
};
struct dr_embedding_list {
    char directory[DR_PATH_BYTES];
    struct dr_embedding_info *embeddings; /* in the order of their paths */
    size_t count;
    char left_out[DR_TEXT_BYTES]; /* "" or what of the directory was not searched */
};
/* directory: NULL for DARKROOM_EMBEDDING_DIR, else embeddings/ in the user's data directory. One that is not there has
 * none. The files are read. Any thread. Errors: DR_NOMEM. */
DR_API enum dr_code dr_list_embeddings(const char *directory,
                                       struct dr_embedding_list *list,
                                       struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_embedding_list_free(struct dr_embedding_list *list);
/* One file. Errors: those of opening it: DR_UNSUPPORTED for one that is not an embedding. */
DR_API enum dr_code dr_inspect_embedding(const char *path,
                                         struct dr_embedding_info *info,
                                         struct dr_error *err) DR_MUST_CHECK;

struct dr_generate_options {
    const char *prompt;
    const char
        *negative; /* NULL: none. SD1.x then encodes "", SDXL uses a zero embedding */
    enum dr_prompt_syntax prompt_syntax;
    enum dr_emphasis emphasis;
    /* 1: the shorter of prompt and negative prompt is padded with the empty prompt, as A1111's pad_cond_uncond, and both are
     * evaluated in one batch; 0: each has its own length */
    int32_t pad_prompts;
    const char *output; /* .png, .jpg or .safetensors; NULL: only the image callback */
    const char *const *outputs; /* in place of output: a file for each picture of the
                                 * batch. NULL: output, "x-2.png", "x-3.png", ... */
    enum dr_existing existing;
    int32_t width, height; /* 0: the size of init, else not given; multiples of 8 */
    int64_t
        most_pixels; /* of a picture, as it is written, also where its size was left open; more is DR_BAD_INPUT. 0: no
                      * limit */
    /* Pixels of the picture that are shown and written, from the left and from the top: for a size that is not a
     * multiple of 8. At most 7 less than width and height, which must be given then. 0: all. Latents are not cut. */
    int32_t cut_width, cut_height;
    /* SDXL size conditioning, in pixels; 0: the picture's size, no crop. */
    int32_t original_width, original_height;
    int32_t crop_left, crop_top;
    int32_t target_width, target_height;
    uint64_t seed; /* of the first picture; the default is dr_random_seed() */
    struct dr_sampling sampling;
    int32_t steps;         /* 0: not given */
    double cfg;            /* DR_CFG_DEFAULT: not given */
    const char *sampler;   /* dr_sampler_name's; NULL: not given */
    const char *scheduler; /* NULL: not given */
    enum dr_prediction prediction;
    int32_t clip_skip; /* as A1111 counts: 1 = none */
    enum dr_rng rng;
    const char *vae;    /* NULL: the setting; else for this job only */
    unsigned vae_flags; /* DR_VAE_FORCE */
    const char *init;   /* a picture: image to image; NULL: text to image */
    enum dr_fit init_fit;
    double strength;
    int32_t
        takes_a_step; /* 1: a strength from 0 that is too small for a step is raised to the least that takes one; 0: it
                       * is refused */
    int32_t batch;   /* pictures, with seeds seed, seed + 1, ..., 2^64 - 1, 0, 1, ... */
    int32_t bits;    /* PNG: 8 or 16 */
    int32_t quality; /* JPEG */
    int32_t
        profile; /* 1: the result contains a profile; the picture's bytes are the same */
    void (*progress)(void *cookie,
                     const struct dr_progress *progress); /* may be NULL */
    void *progress_cookie;
    /* After each step whose number this divides, 0: never. The picture's bytes and the memory of the job are
     * the same with previews. It must not call the engine, but may call dr_job_cancel. */
    int32_t preview_every;
    void (*preview)(void *cookie, const struct dr_preview *preview);
    void *preview_cookie;
    /* Called for each finished picture: rgb [height, width, 3] float32 in 0..1,
     * borrowed. */
    void (*image)(void *cookie, int32_t index, uint64_t seed, const float *rgb,
                  int32_t width, int32_t height);
    void *image_cookie;
    /* Called for each picture when its file is there: those of a batch come one after the other, and
     * stay whatever happens to the rest of the job. image is borrowed. May be NULL. */
    void (*written)(void *cookie, int32_t index, const struct dr_image_info *image);
    void *written_cookie;
    /* Called for each sentence of the result's warnings as soon as it is known: what concerns the prompts
     * and the checkpoint's defaults before weights are read. sentence is borrowed. May be NULL. */
    void (*warned)(void *cookie, const char *sentence);
    void *warned_cookie;
    /* Beside those that the prompt names (<lora:NAME:WEIGHT>): at most DR_MAX_LORAS files. One that is given twice counts once, with the sum of its weights. */
    const struct dr_lora *loras;
    int32_t lora_count;
    const char *lora_directory; /* of the names in the prompt, as dr_find_lora's */
    const char *
        embedding_directory; /* of the embeddings that prompts name, as dr_list_embeddings' */
};
DR_API struct dr_generate_options dr_generate_options_default(void);
/* A random 32-bit seed, as in other programs; a new one for each call. */
DR_API uint64_t dr_random_seed(void);
/* 1 if a job writes its latents to an output of this name (.safetensors or .sft, in any case), 0 if it
 * writes pictures. Any thread. */
DR_API int32_t dr_output_is_latent(const char *path);

/* The time of a job's networks by layer. It includes only the networks: not reading weights,
 * planning, the latent probe or writing the picture. */
struct dr_profile_row { /* the layers of one network with the same kind and shape */
    const char *kind;   /* "conv 3x3", "linear", "attention", "group norm": static */
    int32_t n, height, width, channels; /* of the result; tokens are height 1 */
    int32_t in_channels;
    int32_t count; /* layers; each ran dr_profile_network.runs times */
    /* sums over all runs: a multiply-add is 2 FLOP, other arithmetic 0; bytes are those of
     * inputs, weights and result, each counted once per run, by their shapes */
    double flop, ms;
    uint64_t bytes;
};
struct dr_profile_network {
    const char
        *name;       /* "text", "text2", "vae encoder", "unet", "vae decoder": static */
    int32_t runs;    /* of the network: text prompts, evaluations, pictures */
    double flop, ms; /* sums of the rows' */
    uint64_t bytes;
    struct dr_profile_row *rows; /* slowest first */
    size_t row_count;
};
struct dr_profile {
    /* The rate of a GEMM of the compute library, in the engine's precision and with its
     * threads, just before the job began; to compare with a layer's flop / ms. 0 if the budget
     * had no room for the matrices (some MiB). */
    double library_flop_per_ms;
    struct dr_profile_network *networks; /* those that ran, in order */
    int32_t network_count;
};

/* After an error it holds the pictures that were written before (images, image_count), and nothing else. */
struct dr_generate_result {
    struct dr_image_info *images;
    int32_t image_count;
    int32_t width, height;
    struct dr_vae_info vae;         /* that decoded these pictures */
    double text_ms;                 /* encoding of the prompts, 0 if cached */
    double unet_per_step_ms;        /* mean of one (guided) evaluation */
    double vae_ms;                  /* decode of one image, mean */
    uint64_t planned_private_bytes; /* as planned, before anything was reserved */
    uint64_t peak_private_bytes;    /* as measured by the ledger: equal */
    int32_t cut_tokens, cut_tokens_negative; /* 0: prompts of any length are encoded */
    char warnings[DR_TEXT_BYTES];            /* "" or sentences */
    struct dr_profile *profile; /* NULL where it was not asked for, or malloc failed */
    struct dr_receipt receipt;
};
/* A batch: each picture is decoded and written as soon as it is sampled, if the networks fit the budget
 * beside each other; else all are sampled first, so that weights are read once. */
DR_API enum dr_code dr_engine_generate(struct dr_engine *engine,
                                       const struct dr_generate_options *options,
                                       struct dr_generate_result *result,
                                       struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_generate_result_free(struct dr_generate_result *result);

/* Encodes a picture to latents: the mean of the VAE's distribution times its scale factor,
 * written as the tensor "latent" [1,4,H/8,W/8]. width, height 0: the picture's size, reduced
 * to multiples of 8. */
struct dr_codec_options {
    const char *input, *output;
    enum dr_existing existing;
    int32_t width, height; /* encode only */
    const char *vae;       /* NULL: the setting */
    unsigned vae_flags;
    int32_t bits, quality; /* decode only */
    int32_t profile;       /* as in dr_generate_options */
    void (*progress)(void *cookie, const struct dr_progress *progress);
    void *progress_cookie;
};
DR_API struct dr_codec_options dr_codec_options_default(void);

/* After an error as struct dr_generate_result. */
struct dr_codec_result {
    int32_t image_count, width, height;
    struct dr_image_info *images; /* decode: the pictures; encode: the latent file */
    struct dr_vae_info vae;
    double vae_ms;
    uint64_t planned_private_bytes, peak_private_bytes;
    struct dr_profile *profile; /* as in dr_generate_result */
    struct dr_receipt receipt;
};
DR_API enum dr_code dr_engine_encode(struct dr_engine *engine,
                                     const struct dr_codec_options *options,
                                     struct dr_codec_result *result,
                                     struct dr_error *err) DR_MUST_CHECK;
DR_API enum dr_code dr_engine_decode(struct dr_engine *engine,
                                     const struct dr_codec_options *options,
                                     struct dr_codec_result *result,
                                     struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_codec_result_free(struct dr_codec_result *result);

/* ---- jobs as handles ------------------------------------------------------------------- */

/* For a server: a job that can be watched and cancelled from other threads, also before it runs.
 *
 *     the thread that takes requests                 the thread that runs jobs
 *     dr_job_create_generate(engine, &options, &job, &err)
 *     put job into a queue                           take it out
 *                                                    while (dr_job_run(job, &result, &err) == DR_BUSY) wait;
 *     the client asks:  dr_job_progress(job, &now)   ...
 *     the client left:  dr_job_cancel(job)           ... returns DR_CANCELLED
 *     anyone asks:      dr_engine_status, dr_engine_memory, dr_engine_list_vaes
 *                                                    dr_generate_result_free(&result), dr_job_destroy(&job)
 *
 * dr_engine_generate, dr_engine_encode and dr_engine_decode are such a job, made, run and destroyed. One
 * job runs at a time on an engine: in which order is the caller's business. */
struct dr_job; /* opaque */

enum dr_job_state {
    DR_JOB_CREATED,
    DR_JOB_RUNNING,
    DR_JOB_DONE,
    DR_JOB_FAILED,
    DR_JOB_CANCELLED
};
DR_API const char *dr_job_state_name(enum dr_job_state state); /* "created", ... */

/* Make a job. The options and their strings are copied; what their cookies point to has to stay until the
 * job has run. What can be checked without a model is checked now, the rest when it runs: the model may be
 * another by then. Errors: DR_BAD_INPUT; dr_check_output's; DR_NOMEM. */
DR_API enum dr_code dr_job_create_generate(struct dr_engine *engine,
                                           const struct dr_generate_options *options,
                                           struct dr_job **out,
                                           struct dr_error *err) DR_MUST_CHECK;
DR_API enum dr_code dr_job_create_encode(struct dr_engine *engine,
                                         const struct dr_codec_options *options,
                                         struct dr_job **out,
                                         struct dr_error *err) DR_MUST_CHECK;
DR_API enum dr_code dr_job_create_decode(struct dr_engine *engine,
                                         const struct dr_codec_options *options,
                                         struct dr_job **out,
                                         struct dr_error *err) DR_MUST_CHECK;

/* Run it, once, in the calling thread. result: of a job to encode or decode it has what struct
 * dr_codec_result has. Errors: as of dr_engine_generate, dr_engine_encode or dr_engine_decode; DR_BUSY
 * where another call is running (the job can be run later); DR_CANCELLED also if the job was cancelled
 * before it ran; DR_BAD_INPUT if it has run already. */
DR_API enum dr_code dr_job_run(struct dr_job *job, struct dr_generate_result *result,
                               struct dr_error *err) DR_MUST_CHECK;

/* Stop this job, whether it runs yet or not, and no other call. What is sampled by then is still decoded and
 * written; dr_progress tells of it (finishing_count). A request is never lost; one that comes when the last
 * picture is sampled is too late, and the job is done. From any thread, async-signal-safe. */
DR_API void dr_job_cancel(struct dr_job *job);
/* The same, and what is sampled and not written is lost: the job stops at its next step. */
DR_API void dr_job_cancel_now(struct dr_job *job);

struct dr_job_progress {
    enum dr_job_state
        state; /* one that was cancelled before it ran is DR_JOB_CANCELLED */
    struct dr_progress last; /* the last report; zeros before the first */
    double
        share; /* of the whole job: the largest last.total_share; 1 when it is done */
    double elapsed_ms; /* since it began to run, up to now or to its end */
    double
        step_ms; /* one evaluation of the UNet, mean of this job's so far; 0: not known yet */
    uint64_t
        planned_private_bytes; /* the most that the plan allows; 0: not planned yet */
    uint64_t
        private_bytes; /* of the engine's regions, when the last report came or at the end */
    int32_t
        written_count; /* pictures whose file is there: the first ones of the batch */
};
/* How far the job is: a consistent snapshot. Any thread may ask at any time. */
DR_API void dr_job_progress(struct dr_job *job, struct dr_job_progress *progress);

/* Must be called before the engine is closed, and not while the job runs. NULL and *job == NULL are fine; *job becomes NULL. */
DR_API void dr_job_destroy(struct dr_job **job);

struct dr_status {
    int32_t is_running; /* 1: a call that changes something or computes */
    const char *
        call; /* its name, static: "generate", "encode", "decode", "load", "unload", "vae",
                         * "vaes", "budget", "forecast"; "" for none */
    int32_t has_job; /* 1: it runs a job, and this is how far that is */
    struct dr_job_progress job;
    char model[DR_PATH_BYTES]; /* that is loaded; "" for none */
    char family[16];
    uint64_t budget_bytes;
};
/* What the engine is doing now. It answers while a call runs, and is cheap: it reads nothing from the
 * kernel. */
DR_API void dr_engine_status(struct dr_engine *engine, struct dr_status *status);

/* ---- memory ---------------------------------------------------------------------------- */

enum dr_slot_state {
    DR_SLOT_ABSENT,
    DR_SLOT_RELEASED,
    DR_SLOT_RESIDENT
};

struct dr_component_memory {
    enum dr_component_kind kind;
    char slot[32]; /* "text", "text2", "unet", "vae": unique in its list */
    char name[64]; /* of what is in the slot: "unet", "vae (override)" */
    enum dr_slot_state state;
    char path[DR_PATH_BYTES];
    uint64_t private_bytes, mapped_bytes;
};
DR_API const char *dr_slot_state_name(enum dr_slot_state state);

struct dr_region_info {
    uint64_t start;
    uint64_t bytes;
    const char *tag;  /* "weights", "activations", ...: static */
    const char *kind; /* "private" or "mapped": static */
    char component[32];
};

struct dr_memory {
    int32_t pid;
    int32_t component_count;
    struct dr_component_memory *components; /* one for each slot of the model */
    struct dr_region_info *regions;
    size_t region_count;
    struct {
        uint64_t private_bytes, mapped_bytes, peak_private_bytes;
    } ledger;
    /* Each figure of kernel and residual may be DR_UNKNOWN_BYTES. */
    struct {
        uint64_t private_bytes, mapped_resident_bytes, rss_bytes, pss_bytes;
    } kernel;
    /* kernel.private_bytes - ledger.private_bytes, by kind of memory */
    struct {
        uint64_t total_bytes; /* may be 0 if the ledger has more than is resident */
        /* the items; their sum is total_bytes */
        uint64_t image_bytes, heap_bytes, stack_bytes, jit_bytes, shmem_bytes,
            other_bytes;
        /* of the heap: handed out by malloc, resident or not; and resident beyond that */
        uint64_t heap_used_bytes, heap_retained_bytes;
        uint64_t baseline_bytes; /* the part that existed when the engine opened */
    } residual;
    int32_t regions_agree; /* each region compared with its own entries of
                                       * smaps; -1: unknown, there is no smaps */
    char
        disagreement[DR_TEXT_BYTES]; /* the first region that does not agree, as text */
    uint64_t budget_bytes;
    char budget_reason[DR_TEXT_BYTES];
};
DR_API enum dr_code dr_engine_memory(struct dr_engine *engine, struct dr_memory *memory,
                                     struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_memory_free(struct dr_memory *memory);

/* The memory that a job needs, from the same plan that would run it. Nothing is reserved, and
 * only the file's index is read; if weights would be read again for each step, also a part of a file, past the
 * page cache, to measure the disk. */
enum {
    DR_FORECAST_LEVELS = 16
};

/* One mode in which the job can run, with its memory. */
struct dr_forecast_level {
    uint64_t peak_bytes; /* maximum private bytes of weights and buffers */
    /* The smallest budget with which the job runs in this mode, also in another process of the same
     * program. For a program that holds more than 2.5 MiB when its engine opens, it includes up to 512
     * KiB more, which the program may hold at its next start. */
    uint64_t budget_bytes;
    double
        work; /* FLOP of UNet and VAE relative to the mode without bands; all steps are
               * counted, including those that image to image skips */
    char manner[DR_TEXT_BYTES]; /* "all components resident", ... */
};

/* Whether the job, in the mode that the budget allows (if it allows none, in the one that needs least), runs at full
 * speed in this machine's RAM. */
enum dr_ram_fit {
    DR_RAM_FITS,
    DR_RAM_REREADS, /* it runs, but mapped weights are read from disk again for each step */
    DR_RAM_TOO_SMALL
};
DR_API const char *dr_ram_fit_name(
    enum dr_ram_fit fit); /* "fits", "rereads", "does_not_fit" */

struct dr_ram_forecast {
    uint64_t
        private_bytes; /* the most at any time, with what the process holds beside regions */
    uint64_t mapped_bytes; /* of all weights that the job maps from packs */
    uint64_t
        step_bytes; /* of both, what must be in RAM for a step to run at full speed */
    uint64_t machine_bytes; /* RAM of the machine; 0: not known */
    uint64_t
        available_bytes; /* the smaller of MemAvailable and the memory cgroup's limit */
    char reason[DR_TEXT_BYTES]; /* which of the two */
    enum dr_ram_fit fit;
    uint64_t reread_bytes; /* of each step; 0 unless fit is DR_RAM_REREADS */
    double reread_s;       /* that this takes, about */
    double disk_bytes_per_s;
    int32_t disk_is_measured; /* 0: assumed */
    /* "fits", "fits, but ...", "does not fit: ..."; "would fit with a larger budget" where the forecast's
     * fits is 0 because of the budget alone */
    char verdict[DR_TEXT_BYTES];
};

struct dr_forecast {
    int32_t width, height;
    struct dr_component_info *components; /* weights_bytes filled */
    int32_t component_count;
    uint64_t text_arena_bytes, unet_arena_bytes, vae_arena_bytes;
    uint64_t load_scratch_bytes;  /* largest, while a component is read */
    uint64_t resident_peak_bytes; /* all components stay */
    uint64_t phased_peak_bytes;   /* one component at a time, without bands */
    struct dr_forecast_level
        levels[DR_FORECAST_LEVELS]; /* from the most bytes to the least */
    int32_t level_count;
    uint64_t budget_bytes;
    char budget_reason[DR_TEXT_BYTES];
    char verdict[DR_TEXT_BYTES]; /* "fits with all components resident", ... */
    int32_t fits;
    double unet_flop, vae_flop; /* of one evaluation and of one decode */
    struct dr_ram_forecast ram;
};
DR_API enum dr_code dr_engine_forecast(struct dr_engine *engine,
                                       const struct dr_generate_options *options,
                                       struct dr_forecast *forecast,
                                       struct dr_error *err) DR_MUST_CHECK;
/* The same for a model that may not be the loaded one: as after a switch to it, which gives back what the loaded model
 * holds. The loaded model and its memory stay as they are. Errors: also those of opening the file, as dr_engine_load's. */
DR_API enum dr_code dr_engine_forecast_model(struct dr_engine *engine, const char *path,
                                             const struct dr_generate_options *options,
                                             struct dr_forecast *forecast,
                                             struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_forecast_free(struct dr_forecast *forecast);

/* ---- converting ------------------------------------------------------------------------ */

struct dr_convert_options {
    const char *output; /* FILE.gguf, FILE.safetensors or FILE.sft */
    /* AUTO, UNSET: Q8 for .gguf, F16 for .safetensors. Q8 and Q4 are Q8_0 and Q4_0, in .gguf only. */
    enum dr_weights weights;
    int32_t overwrite;        /* an existing file may be replaced */
    dr_load_report *progress; /* in bytes that are read; may be NULL */
    void *progress_cookie;
};

struct dr_conversion {
    char path[DR_PATH_BYTES], output[DR_PATH_BYTES];
    char format[64], type[16];         /* "GGUF", "Q8_0" */
    uint64_t file_bytes, source_bytes; /* of the output; of the model's file or files */
    uint64_t tensor_count, block_tensor_count; /* all; of these in blocks */
    uint64_t parameter_count, block_parameter_count;
};

/* Writes a checkpoint, a UNet or a VAE in another type. Most weights of the UNet and the text encoders are
 * written in blocks with Q8 and Q4, and the rest in float16 (docs/USAGE.md says which). The file is
 * complete or not there. Without an engine; any thread. Errors: those of opening the model; DR_BAD_INPUT (the
 * output exists, is the model itself, or has another extension; the weights are quantised already),
 * DR_NOT_FINITE (a weight that the type does not hold), DR_UNSUPPORTED (a family that is not run), DR_IO,
 * DR_CANCELLED. */
DR_API enum dr_code dr_convert(const char *path,
                               const struct dr_convert_options *options,
                               struct dr_conversion *conversion,
                               struct dr_error *err) DR_MUST_CHECK;

/* ---- packs ----------------------------------------------------------------------------- */

enum dr_pack_state {
    DR_PACK_READY,     /* verified since the machine was started */
    DR_PACK_UNCHECKED, /* will be verified when it is next used */
    DR_PACK_DAMAGED,   /* will be made again when it is needed */
    DR_PACK_LEFTOVER,  /* of a process that ended while making it */
    DR_PACK_BEING_MADE,
    DR_PACK_OUTDATED, /* made by an earlier version, and not used */
};
DR_API const char *dr_pack_state_name(
    enum dr_pack_state state); /* "ready", "being made" */

struct dr_pack_info {
    char path[DR_PATH_BYTES];
    char source[DR_TEXT_BYTES];  /* "vae (bf16) of /models/a.safetensors" */
    char problem[DR_TEXT_BYTES]; /* "" or its defect */
    char name[16];               /* for dr_packs_remove: "3f2a0c1b9d7e" */
    enum dr_pack_state state;
    uint64_t bytes;
    int64_t used_s; /* last use: seconds since 1970 */
    int32_t in_use; /* a process has it open: it stays */
    int32_t goes;   /* DR_PACKS_PLAN: a prune would remove it */
};
struct dr_pack_list {
    char folder[DR_PATH_BYTES];
    struct dr_pack_info *packs; /* most recently used first */
    size_t count;
    uint64_t bytes;                 /* of all */
    uint64_t limit_bytes;           /* on all together */
    char limit_text[DR_TEXT_BYTES]; /* "40.0 GiB, the default" */
};
enum {
    DR_PACKS_VERIFY = 1, /* flags: read each completely; about 1.5 GB/s */
    DR_PACKS_PLAN = 2    /* mark what dr_packs_prune to keep_bytes would remove */
};
struct dr_packs_options {
    unsigned flags;
    uint64_t keep_bytes;      /* DR_PACKS_PLAN */
    dr_load_report *progress; /* while packs are read; may be NULL */
    void *progress_cookie;
};

/* Lists the packs in a directory (NULL as in dr_engine_options). options: NULL for none. Errors:
 * DR_NOT_FOUND if packs are off (with the reason); with DR_PACKS_VERIFY also DR_CORRUPT if one is
 * damaged and DR_IO if one cannot be read (the list is filled in both cases), DR_CANCELLED (the list
 * is empty). */
DR_API enum dr_code dr_packs_list(const char *folder,
                                  const struct dr_packs_options *options,
                                  struct dr_pack_list *list,
                                  struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_pack_list_free(struct dr_pack_list *list);

struct dr_pack_prune {
    uint64_t removed_bytes, kept_bytes,
        in_use_bytes; /* in use: part of what was kept */
    uint64_t removed_count, kept_count, in_use_count;
};
/* Removes leftovers and damaged packs, then the least recently used packs until at most
 * keep_bytes remain. A pack that a process has open stays. */
DR_API enum dr_code dr_packs_prune(const char *folder, uint64_t keep_bytes,
                                   struct dr_pack_prune *result,
                                   struct dr_error *err) DR_MUST_CHECK;
/* Removes one pack by its name, the beginning of it (at least 4 digits) or its path; or all packs that
 * were made from a model, by the model's path, file name, or file name without extension. All or none.
 * Errors: DR_NOT_FOUND, DR_BAD_INPUT (the name means several: they are listed), DR_BUSY (a process has
 * it open), DR_IO. */
DR_API enum dr_code dr_packs_remove(const char *folder, const char *name,
                                    struct dr_pack_prune *result,
                                    struct dr_error *err) DR_MUST_CHECK;

/* ---- looking at files ------------------------------------------------------------------ */

struct dr_inspection {
    struct dr_model_info model;
    char format[64]; /* "safetensors", "sharded safetensors" */
    uint64_t file_bytes;
    char sha256
        [65]; /* of the complete file, with DR_INSPECT_DIGESTS; "" for a directory and for shards. Its first ten
                      * digits are the "Model hash" of pictures. */
    uint64_t tensor_count;
    uint64_t ignored_count, ignored_bytes; /* tensors of no component */
    /* A file of latents, as generate and encode write them: how many, and the size of their pictures. 0 for a
     * model; then the rest is empty. */
    int32_t latent_count, latent_width, latent_height;
    /* "", or what an unsupported file is: "an SD2.x checkpoint" */
    char unsupported[DR_TEXT_BYTES];
    /* What the UNet predicts, "epsilon" or "v" ("" without a UNet), and the source: "default", or
     * a key or tensor and its file. The noise schedule is Stable Diffusion's, with or without zero
     * terminal SNR. */
    char prediction[16], prediction_source[DR_TEXT_BYTES];
    int32_t zero_terminal_snr;
    char schedule_source[DR_TEXT_BYTES];
    /* Settings of the file that are not supported: because of them loading is refused
     * without DR_LOAD_FORCE. Warnings do not cause a refusal. */
    char **refused, **warnings;
    size_t refused_count, warning_count;
    /* What a job with it has where neither its options nor the settings say more; the width is 0 if the
     * file has no UNet. */
    struct dr_defaults defaults;
    struct {
        char *key, *text;
    } * metadata;
    size_t metadata_count;
    char **vae_neighbours; /* existing files beside it that `automatic` considers */
    size_t vae_neighbour_count;
    char automatic[DR_PATH_BYTES]; /* the file that `automatic` resolves to; "" for the
                          * checkpoint's own VAE */
    char automatic_reason[DR_REASON_BYTES];
};
enum {
    DR_INSPECT_DIGESTS = 1
}; /* flags: read all tensors */
struct dr_inspect_options {
    const char *vae_folder; /* NULL as in dr_engine_options, including the user's
                             * settings */
    const char *base; /* the path of a model: as dr_engine_options.base; NULL: none */
    unsigned flags;
    dr_load_report *progress; /* while tensors are read; may be NULL */
    void *progress_cookie;
};
/* options: NULL for none. */
DR_API enum dr_code dr_inspect(const char *path,
                               const struct dr_inspect_options *options,
                               struct dr_inspection *inspection,
                               struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_inspection_free(struct dr_inspection *inspection);

/* The generation parameters stored in a picture (A1111's text): malloc'ed, or NULL. */
DR_API enum dr_code dr_read_parameters(const char *path, char **text,
                                       struct dr_error *err) DR_MUST_CHECK;
/* The same of the bytes of such a file in memory, which are borrowed for the call. */
DR_API enum dr_code dr_read_parameters_memory(const void *data, size_t bytes,
                                              char **text,
                                              struct dr_error *err) DR_MUST_CHECK;

/* A LoRA or an embedding that a picture's text names with its hash: "Lora hashes", "TI hashes". */
struct dr_named_hash {
    char name[256];
    char hash[DR_DIGEST_CHARS]; /* its first digits, 12 as a rule */
};

/* What a picture's text says of how it was made. Numbers that it does not have are those of
 * dr_generate_options_default, texts "". */
struct dr_parameters {
    char *prompt;
    char *negative; /* NULL: none was given */
    int32_t width, height, steps, clip_skip;
    double cfg;
    uint64_t seed;
    struct dr_sampling sampling;
    char sampler[24], scheduler[24]; /* scheduler "": the sampler's own */
    enum dr_prediction prediction;
    enum dr_rng rng;
    enum dr_prompt_syntax prompt_syntax;
    enum dr_emphasis emphasis;
    int32_t pad_prompts;
    int32_t
        image_to_image; /* it was made from another picture, which it does not contain */
    double strength;
    int32_t original_width, original_height, crop_left, crop_top, target_width,
        target_height;
    char model[256], model_hash[DR_DIGEST_CHARS], unet_digest[DR_DIGEST_CHARS];
    char vae[256], vae_hash[DR_DIGEST_CHARS]; /* vae "none": the checkpoint's own */
    char precision[16], version[64];          /* "bf16"; "darkroom 0.1.0" */
    char weights[16]; /* "f16", "q8", "q4": what they were rounded to; "": not said */
    int32_t exact_convolutions; /* as in dr_engine_options */
    /* Of a UNet alone: the name of the model with its other parts, and the digest of its text encoder. */
    char base[256], base_hash[DR_DIGEST_CHARS];
    int32_t bits;                             /* per channel of the file: 8 or 16 */
    struct dr_named_hash *loras, *embeddings; /* that were used */
    size_t lora_count, embedding_count;
    char unknown
        [DR_TEXT_BYTES]; /* "" or names of what another program says and is not done here: "Hires upscale, Sampler Foo" */
};
/* text: dr_read_parameters'. Errors: DR_BAD_INPUT names what is wrong with it, DR_NOMEM. */
DR_API enum dr_code dr_parse_parameters(const char *text,
                                        struct dr_parameters *parameters,
                                        struct dr_error *err) DR_MUST_CHECK;
/* Both for a picture's file. Errors: also those of reading it. */
DR_API enum dr_code dr_read_picture(const char *path, struct dr_parameters *parameters,
                                    struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_parameters_free(struct dr_parameters *parameters);
enum {
    DR_MAX_DIFFERENCES = 48
};
struct dr_difference {
    const char *what; /* "model hash": static */
    char was[128], is[128];
};
/* What of two pictures' parameters differs, into differences; returns how many. */
DR_API size_t
dr_parameters_compare(const struct dr_parameters *was, const struct dr_parameters *is,
                      struct dr_difference differences[DR_MAX_DIFFERENCES]);

/* ---- styles and wildcards ----------------------------------------------------------------- */

/* A style: words that are put around a prompt, and around a negative prompt. Where they have "{prompt}", it is put in that place;
 * else they follow it after ", ". */
struct dr_style {
    char *name, *prompt, *negative; /* "" where it has none */
};
struct dr_style_list {
    char path[DR_PATH_BYTES]; /* of the file; "": there is no place for one */
    struct dr_style *styles;  /* in the order of the file */
    size_t count;
};
/* The styles of a file as A1111's styles.csv. path: NULL for DARKROOM_STYLES, else the user's settings' "styles", else styles.csv in
 * the user's data directory, which may be missing: the list is then empty. Any thread. Errors: DR_NOT_FOUND (a file that was named),
 * DR_BAD_INPUT (what is wrong with it, and where), DR_IO, DR_NOMEM; dr_settings_read's. *list is then empty. */
DR_API enum dr_code dr_list_styles(const char *path, struct dr_style_list *list,
                                   struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_style_list_free(struct dr_style_list *list);

/* What is done with a prompt before a job has it. */
struct dr_expansion {
    const char *prompt;
    const char *negative; /* NULL: none */
    const char *const
        *styles; /* names, applied in this order; another case of letters will do */
    size_t style_count;
    const char *styles_path; /* as dr_list_styles' */
    /* "__name__" is replaced by a line of name.txt, in this directory. NULL: DARKROOM_WILDCARD_DIR, else the user's settings'
     * "wildcard_dir", else wildcards/ in the user's data directory. docs/PROMPTS.md has the rules. */
    const char *wildcard_directory;
    uint64_t
        seed; /* of the picture: it chooses the lines. Each picture of a batch has its own */
    int32_t keeps_wildcards; /* 1: "__name__" stays */
};
struct dr_expanded {
    char *prompt;
    char *negative; /* NULL: none was given, and no style has one */
    int32_t
        wildcard_count; /* how many were replaced; more than 0: another seed gives other prompts */
};
/* The prompts that a picture is made of, and that its text then has. Any thread. Errors: dr_list_styles'; DR_NOT_FOUND (no style, or
 * no file of a wildcard, of this name), DR_BAD_INPUT (a wildcard's file without lines; too many wildcards; a prompt that becomes too
 * long); *out is then empty. */
DR_API enum dr_code dr_expand_prompt(const struct dr_expansion *how,
                                     struct dr_expanded *out,
                                     struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_expanded_free(struct dr_expanded *expanded);

/* ---- looking at prompts ----------------------------------------------------------------- */

/* Where a word of a prompt is: in which chunk of 75 tokens, at which of its positions (the first is 1), with how many
 * tokens there. */
struct dr_prompt_word {
    char *text; /* as the tokenizer reads it: in lower case */
    int32_t chunk, position, tokens;
    double weight;
    int32_t is_embedding; /* its vectors stand there: text is its name */
};
/* What a part of a prompt is until a step. */
struct dr_prompt_text {
    char *text;
    int32_t until_step;
    int32_t chunk_count, token_count;
    struct dr_prompt_word *words;
    size_t word_count;
};
struct dr_prompt_part {
    double weight;
    struct dr_prompt_text *texts; /* one after the other */
    size_t text_count;
};
/* What <kind:name:...> says, which is no part of the text. */
struct dr_prompt_network {
    char *kind, *name;
    double text_weight, unet_weight; /* of a "lora" */
};
struct dr_prompt_info {
    struct dr_prompt_part *parts; /* of a prompt with AND: several */
    size_t part_count;
    struct dr_prompt_network *networks;
    size_t network_count;
};
struct dr_prompt_options {
    enum dr_prompt_syntax syntax;
    int32_t is_negative;          /* 1: AND and networks are text */
    int32_t steps;                /* that a schedule is laid over; 0: 20 */
    const char *tokenizer_folder; /* as in dr_engine_options */
    const char *model; /* a path, beside which a vocabulary is looked for; NULL: none */
    size_t
        most_words; /* of all texts together, more is DR_BAD_INPUT; 0: no limit. A schedule can make of each step a text */
    const char *embedding_directory; /* as dr_list_embeddings'. No width is looked at:
                                      * there is no model */
};
/* What a prompt means: its parts, texts, chunks and weights. Needs a vocabulary, and no model. options: NULL for none. Any thread.
 * Errors: DR_BAD_INPUT (what is wrong with the prompt), DR_NOT_FOUND (no vocabulary), DR_NOMEM; *info is then empty. */
DR_API enum dr_code dr_describe_prompt(const char *prompt,
                                       const struct dr_prompt_options *options,
                                       struct dr_prompt_info *info,
                                       struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_prompt_info_free(struct dr_prompt_info *info);

/* Checks the prompts of a job, as far as that is known without a model: whether they can be read, and whether each LoRA that they
 * name is a file of the LoRA directory. Of options it reads prompt, negative, prompt_syntax and lora_directory. Every job does
 * this check; this function does it before the job is queued. No file is opened. Any thread. Errors: DR_BAD_INPUT (what is
 * wrong with a prompt; a name that means several files), DR_NOT_FOUND (no such LoRA), DR_UNSUPPORTED (<hypernet:...>), DR_NOMEM. */
DR_API enum dr_code dr_check_prompts(const struct dr_generate_options *options,
                                     struct dr_error *err) DR_MUST_CHECK;

enum dr_output_kind {
    DR_OUTPUT_ANY,      /* pictures or latents: what dr_engine_generate writes */
    DR_OUTPUT_PICTURES, /* dr_engine_decode */
    DR_OUTPUT_LATENTS   /* dr_engine_encode */
};
struct dr_output {
    const char *path;         /* as dr_generate_options.output */
    const char *const *paths; /* as dr_generate_options.outputs */
    int32_t batch;            /* pictures */
    enum dr_output_kind kind;
    int32_t bits; /* 8 or 16 per channel */
    enum dr_existing existing;
};
/* Checks whether a job's output can be written, as far as that is known without a model: extension,
 * directory, permission, existing files. Every job does this check; this function does it before the
 * model is loaded. Errors: DR_BAD_INPUT, DR_NOT_FOUND, DR_IO. */
DR_API enum dr_code dr_check_output(const struct dr_output *output,
                                    struct dr_error *err) DR_MUST_CHECK;

/* "512M", "1.5G": powers of 1024. The message of DR_BAD_INPUT names the problem. */
DR_API enum dr_code dr_parse_bytes(const char *text, uint64_t *bytes,
                                   struct dr_error *err) DR_MUST_CHECK;
/* "167.3 MiB" into out, "unknown" for DR_UNKNOWN_BYTES; returns out. */
DR_API char *dr_format_bytes(uint64_t bytes, char out[16]);

/* Names for help, completion and messages: index 0.. until NULL. */
DR_API const char *dr_sampler_name(int32_t index);
/* The schedules that go with a sampler, default first: index 0.. until NULL. "automatic" goes with each, and is not listed. */
DR_API const char *dr_sampler_schedule(const char *sampler, int32_t index);
/* Which of struct dr_sampling's options a sampler has a use for: bits; 0 where there is no such sampler. */
enum {
    DR_SAMPLER_USES_ETA = 1,
    DR_SAMPLER_USES_CHURN = 2
};
DR_API unsigned dr_sampler_uses(const char *sampler);
/* The schedule that A1111 takes for a sampler, for which "automatic" stands; NULL: there is no such sampler. */
DR_API const char *dr_sampler_automatic(const char *sampler);

#ifdef __cplusplus
}
#endif
#endif
