/* darkroom/darkroom.h — the engine: checkpoints in, pictures out, and a memory that is proven.
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
 * Ownership: strings given to a call are borrowed for the call. Results own their memory where
 * they have a _free function, else they are plain values.
 * Threads: an engine does one thing at a time. A call that changes something or computes is DR_BUSY while
 * another one runs. Calls that only look answer at any time, from any thread, also in the middle of a job:
 * dr_engine_status, dr_engine_memory, dr_engine_model, dr_engine_vae, and dr_engine_list_vaes without
 * DR_LIST_DIGESTS. A server runs its jobs through handles (struct dr_job).
 * Their answer is of one moment; they wait, and what runs waits for them, for as long as it takes to open or close
 * a region of memory, or to look. dr_engine_cancel may be called from any thread and from a signal handler.
 * Each engine may run on its own thread. A callback runs in the thread of the call that it was given to, or,
 * where it was given to the engine, of the call that it is about; log may be called by two threads at
 * once where one of them looks. The engine may be locked meanwhile: a callback must not wait for another
 * thread that calls the engine.
 * The engine's own threads are OpenMP's (libgomp), which while they wait look 300,000 times before they
 * sleep: beside other busy programs, or where the threads of several engines share the cores, a job takes
 * many times as long. An embedder should have GOMP_SPINCOUNT=1000 in the environment (as the darkroom
 * program sets it for itself). libgomp reads it once, when it is loaded: set it where the process is
 * started, or before the library is loaded with dlopen; setenv in main comes too late.
 * Errors: see error.h. A call that fails leaves what was active usable. A switch (of model or VAE)
 * that fails leaves memory as it was; where it had to make room for the new, and the old cannot be read
 * again, that is read when it is needed next. A job that fails may have loaded components that it needs,
 * or released others to fit the budget.
 */
#ifndef DARKROOM_DARKROOM_H
#define DARKROOM_DARKROOM_H

#include <stddef.h>
#include <stdint.h>

#include "darkroom/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DR_PATH_BYTES   4096
#define DR_TEXT_BYTES   512
#define DR_DIGEST_CHARS 65 /* SHA-256 in hexadecimal, and the end */

/* A figure that the kernel does not tell here: sandboxes and hardened containers hide some or all
 * of /proc. Only figures of the kernel can be it, never those of the ledger. */
#define DR_UNKNOWN_BYTES UINT64_MAX

/* "0.1.0" */
DR_API const char *dr_version(void);
/* Libraries, processor features and threads in one line. After dr_engine_open. The text is the calling
 * thread's, until it calls again. */
DR_API const char *dr_description(void);

/* Milliseconds of a clock that only goes forward: what the times in this header are told by. */
DR_API double dr_clock_ms(void);

/* ---- engine ---------------------------------------------------------------------------- */

struct dr_engine; /* opaque */

enum dr_precision {
    DR_PRECISION_AUTO,
    DR_PRECISION_BF16,
    DR_PRECISION_F32
};

enum dr_log_level {
    DR_LOG_ERROR,
    DR_LOG_WARNING,
    DR_LOG_INFO,
    DR_LOG_DEBUG
};

/* How far a reading of weights is, in bytes of the files, over all components of the call.
 * done_bytes never falls, and is total_bytes at the last report of a call that succeeds; total_bytes
 * changes only where a VAE that turns out unreadable gives way to the checkpoint's own. */
struct dr_load_progress {
    const char *component; /* "unet": static */
    uint64_t done_bytes, total_bytes;
    double elapsed_ms; /* since the reading began */
};
/* On the thread of the call. Anything but 0 stops it, as dr_engine_cancel does: it returns
 * DR_CANCELLED, and what was active stays. */
typedef int dr_load_report(void *cookie, const struct dr_load_progress *progress);

/* A region of memory was opened or closed. */
struct dr_memory_event {
    int32_t opened;         /* 1: the kernel has given it; 0: the kernel has it back */
    double ms;              /* by dr_clock_ms */
    char component[32];     /* whose it is: "unet", "vae", "job" */
    const char *tag, *kind; /* as in struct dr_region_info */
    uint64_t start, bytes;  /* address and size */
    uint64_t ledger_private_bytes, ledger_mapped_bytes; /* of all regions, after it */
};

struct dr_engine_options {
    enum dr_precision
        precision;         /* AUTO: bf16 where the processor multiplies it, else f32.
                            * BF16 is emulated, slowly, where it has AVX512 alone */
    int32_t thread_count;  /* 0: one for each core this process may use. They are the
                            * process's: the engine opened last sets them for all, but not
                            * while a job of another runs (DR_BUSY; 0 takes them as they are) */
    uint64_t budget_bytes; /* most private bytes; 0: from cgroup and free memory */
    const char
        *tokenizer_folder;  /* NULL: DARKROOM_TOKENIZER, beside the model, XDG data */
    const char *vae_folder; /* NULL: DARKROOM_VAE_DIR, the settings, XDG data */
    /* Where weights are kept in the layout that runs, to be mapped instead of read (packs): NULL:
     * DARKROOM_PACKS ("off": none), else $XDG_CACHE_HOME/darkroom/packs; "": none, all weights are
     * private memory. A folder that cannot be used is none, and is said. They take as much room on
     * the disk as weights do in memory. While one is mapped, a handler for SIGBUS stands in for pages
     * that the file has lost; what is not about a pack it hands on to the handler before it. */
    const char *pack_folder;
    const char
        *settings_path; /* NULL: the user's file (dr_settings); "": none is read */
    void (*log)(void *cookie, enum dr_log_level level,
                const char *line); /* may be NULL */
    void *log_cookie;
    dr_load_report
        *load_progress; /* of dr_engine_load, dr_engine_choose_vae; or NULL */
    void *load_cookie;
    /* 1: what the kernel keeps in its page cache of files that are no longer in use is dropped
     * when they are let go of; the receipt says how much. */
    int32_t drop_cache;
    /* Each region as it comes and goes, in the thread of the call that is running; it must not
     * call the engine. May be NULL. */
    void (*memory)(void *cookie, const struct dr_memory_event *event);
    void *memory_cookie;
};
DR_API struct dr_engine_options dr_engine_options_default(void);

/* The settings are read here, once. Errors: DR_BAD_INPUT where their file is damaged,
 * DR_UNSUPPORTED, DR_OVER_BUDGET, ... */
DR_API enum dr_code dr_engine_open(struct dr_engine **out,
                                   const struct dr_engine_options *options,
                                   struct dr_error *err) DR_MUST_CHECK;
/* Releases everything. NULL and *engine == NULL are fine; *engine becomes NULL. */
DR_API void dr_engine_close(struct dr_engine **engine);

/* Stop the running call at its next step, and a list of VAEs that is being made; they return
 * DR_CANCELLED. Async-signal-safe. */
DR_API void dr_engine_cancel(struct dr_engine *engine);

/* The most private bytes that the process may hold: regions, and for all that lies beside them 49
 * MiB, or 46 MiB more than the process held when the engine opened where that is more.
 * 0: back to the default. Errors: DR_OVER_BUDGET where more is held now and cannot be let go. */
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
    uint64_t released_bytes; /* regions closed that had been there before */
    uint64_t acquired_bytes; /* regions opened that are still there */
    /* of the kernel's page cache; 0 where that was not asked for, DR_UNKNOWN_BYTES where the kernel
     * does not tell. reason says what stayed */
    uint64_t dropped_cache_bytes;
    struct dr_memory_point before, after;
    double ms;
    char reason[DR_TEXT_BYTES]; /* what happened and why, in words; warnings included */
};

/* ---- models ---------------------------------------------------------------------------- */

enum dr_component_kind {
    DR_COMPONENT_TEXT, /* a text encoder; a model may have two */
    DR_COMPONENT_UNET,
    DR_COMPONENT_VAE,
};
/* "text", "unet", "vae" */
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
};

struct dr_model_info {
    char path[DR_PATH_BYTES];
    char family[16]; /* "sd15", "sdxl", "vae", ... */
    int32_t component_count;
    struct dr_component_info *components;
    char lacks[DR_TEXT_BYTES]; /* "" or "no text encoder: give ..." */
};
DR_API void dr_model_info_free(struct dr_model_info *model);

enum dr_load_mode {
    DR_LOAD_EAGER = 0, /* read all components now, if they fit the budget */
    DR_LOAD_LAZY = 1,  /* read the index now; components when a job needs them */
    DR_LOAD_FORCE =
        2, /* added to either: load what would be refused because it says something
                        * that changes the picture and is not obeyed; that is a warning then */
};

struct dr_load_result {
    struct dr_model_info model;
    struct dr_receipt receipt;
};
DR_API void dr_load_result_free(struct dr_load_result *result);

/* Switch to a checkpoint. The VAE setting is applied to it: what does not fit falls back to the
 * checkpoint's own, and the receipt says so. Loading the model that is loaded already is a
 * no-op, unless its file or a config of it changed. On error the model that was there is there still (where both
 * did not fit the budget: its components are read again when needed). Everything that a checkpoint
 * says beside its weights and that changes the picture (markers, metadata, configs beside it) is
 * obeyed or refused: DR_UNSUPPORTED names file, key and value. mode: of enum dr_load_mode. result
 * may be NULL; it is empty after an error. */
DR_API enum dr_code dr_engine_load(struct dr_engine *engine, const char *path,
                                   unsigned mode, struct dr_load_result *result,
                                   struct dr_error *err) DR_MUST_CHECK;

/* DR_NOT_FOUND where no model is loaded; *model is empty then. */
DR_API enum dr_code dr_engine_model(struct dr_engine *engine,
                                    struct dr_model_info *model,
                                    struct dr_error *err) DR_MUST_CHECK;

enum dr_unload_what {
    DR_UNLOAD_VAE,
    DR_UNLOAD_MODEL,
    DR_UNLOAD_DROP_CACHE =
        2 /* added to either: as dr_engine_options.drop_cache, once */
};
/* Release weights (DR_UNLOAD_MODEL: of all components). Idempotent. The choice of model and VAE
 * stays: the next job reads again what it needs. */
DR_API enum dr_code dr_engine_unload(struct dr_engine *engine, unsigned what,
                                     struct dr_receipt *receipt,
                                     struct dr_error *err) DR_MUST_CHECK;

/* ---- VAE ------------------------------------------------------------------------------- */

struct dr_vae_info {
    char choice
        [DR_PATH_BYTES]; /* what was said: "automatic", "none", a name or a path */
    /* who said it: "job"; "model", the settings' entry for this model; "setting", what was
     * chosen for all models, by a call or in the settings; "default", nobody */
    char source[32];
    char reason[DR_TEXT_BYTES];   /* why it means what it means, in words */
    int32_t override_active;      /* 0: the checkpoint's own VAE is the active one */
    char path[DR_PATH_BYTES];     /* the file that the active one is from */
    char name[256];               /* its short name, for picture metadata */
    char digest[DR_DIGEST_CHARS]; /* "" where nothing was read yet */
    int32_t
        verified; /* the bytes in memory were digested when they were read, or are a pack's
                                 * that was made so and is unchanged since it was checked; for a
                                 * restored original the digest equals the one saved before */
    int32_t resident;
    float scale_factor;
    char probe
        [DR_TEXT_BYTES]; /* what the latent probe says of an override, in words, with
                                 * its figures; "" for the checkpoint's own */
};

enum {
    DR_VAE_FORCE = 1
}; /* flags: skip the latent probe, and take a file that says what is not obeyed */

/* Choose the VAE: "automatic", "none", a name in the VAE folder, or a path. With a model loaded
 * this is a request: an explicit file that is missing, unreadable, incomplete or foreign fails,
 * and what was active stays. It is also the setting for models that are loaded later, before that
 * of the settings' file; where the file has an entry for such a model, that one counts, and the
 * reason says so.
 * Foreign (DR_FOREIGN) is a VAE of another latent space: it cannot return a picture that the
 * checkpoint's own VAE encoded, though that one can. DR_VAE_FORCE allows it, and stays with the
 * setting. Where the budget has no room for the look, the next job takes it.
 * info and receipt may be NULL. */
DR_API enum dr_code dr_engine_choose_vae(struct dr_engine *engine, const char *choice,
                                         unsigned flags, struct dr_vae_info *info,
                                         struct dr_receipt *receipt,
                                         struct dr_error *err) DR_MUST_CHECK;
/* The active VAE; before a model is loaded the setting alone: choice, source and reason. */
DR_API enum dr_code dr_engine_vae(struct dr_engine *engine, struct dr_vae_info *info,
                                  struct dr_error *err) DR_MUST_CHECK;

struct dr_progress; /* below, with the jobs */

/* A VAE that is there for the loaded model, usable or not. */
struct dr_listed_vae {
    char *
        choice; /* what to say for it: "none", a name, or a path where no name will do */
    char *path; /* of the file; the checkpoint's own: of the checkpoint */
    char found
        [32]; /* where: "checkpoint", "beside the checkpoint", "VAE folder", "path" */
    char format[64];
    /* what the file says: "sd15", "sdxl"; "sd15 or sdxl" where it does not, since both have
     * the same names; "" where it could not be read */
    char family[16];
    char stored_types[64];        /* "F16", "F16 F32" */
    uint64_t stored_bytes;        /* of the VAE's tensors in the file */
    char digest[DR_DIGEST_CHARS]; /* "" where it is not known: see DR_LIST_DIGESTS */
    int32_t same_as;         /* index of an earlier one that is the same VAE; -1: none.
                                   * By the file, and where digests are known by those */
    enum dr_code code;       /* DR_OK: it can be chosen */
    char fit[DR_TEXT_BYTES]; /* "whole", or what is wrong, in words;
     * with what the latent probe found, where it was run before: a list runs none */
    int32_t active;          /* the one that runs */
};

/* What a choice would mean for the loaded model. */
struct dr_listed_choice {
    char *choice;
    char source[32]; /* "setting", "model", "default" for what is chosen now; else "" */
    enum dr_code code; /* DR_OK, or why a request for it would fail */
    char *path;        /* of the file; "" for the checkpoint's own, and on failure */
    char reason[DR_TEXT_BYTES]; /* in words */
};

struct dr_vae_list {
    char model[DR_PATH_BYTES];
    char vae_folder[DR_PATH_BYTES]; /* "": none */
    struct dr_listed_vae *vaes;     /* the checkpoint's own first */
    size_t vae_count;
    struct dr_listed_choice
        *choices; /* what is chosen now, none, automatic, each name */
    size_t choice_count;
    size_t left_out_count;        /* files beyond the first thousand */
    char left_out[DR_TEXT_BYTES]; /* "" or which part of the VAE folder was not looked
                                   * at, in words */
};
enum {
    DR_LIST_DIGESTS = 1
}; /* flags: read each VAE for its digest */

/* List the VAEs that are there for the loaded model. A file that is broken is listed with what
 * is wrong, and ends nothing. No weights are loaded; progress (may be NULL) is told of the files
 * that are read for digests. Errors: DR_NOT_FOUND (no model is loaded), DR_NOMEM, DR_CANCELLED; with
 * DR_LIST_DIGESTS DR_BUSY, DR_OVER_BUDGET (no room for the buffer of 1 MiB that files are read through). */
DR_API enum dr_code dr_engine_list_vaes(
    struct dr_engine *engine, unsigned flags,
    void (*progress)(void *cookie, const struct dr_progress *progress), void *cookie,
    struct dr_vae_list *list, struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_vae_list_free(struct dr_vae_list *list);

/* ---- settings -------------------------------------------------------------------------- */

/* What a user wants of VAEs on every run: a file of JSON,
 * $XDG_CONFIG_HOME/darkroom/settings.json, else ~/.config/darkroom/settings.json, that engines
 * read when they open.
 *
 *     {"vae": "sharp", "vae_by_model": {"sd15": "none"}, "vae_dir": "/data/vae"}
 *
 * Which choice counts, the first that was made: the job's own, vae_by_model, "vae", automatic.
 * Which VAE folder: the option, DARKROOM_VAE_DIR, "vae_dir", $XDG_DATA_HOME/darkroom/vae. */
struct dr_model_setting {
    char *model; /* a path or its end, with or without extension: "sd15", "xl/base" */
    char *vae;   /* a choice */
};
struct dr_settings {
    char path[DR_PATH_BYTES];       /* of the file; "": there is no place for one */
    int32_t exists;                 /* the file does */
    char vae[DR_PATH_BYTES];        /* a choice; "": not said */
    char vae_folder[DR_PATH_BYTES]; /* "vae_dir"; "": not said */
    struct dr_model_setting *models;
    size_t model_count;
    char warnings[DR_TEXT_BYTES]; /* "" or sentences: keys that mean nothing */
};
/* path: NULL for the user's file. A file that is not there is no error: nothing is said then.
 * Errors: DR_BAD_INPUT for one that is damaged or cannot be read (names file, line or key, and
 * what to do), DR_NOMEM. */
DR_API enum dr_code dr_settings_read(const char *path, struct dr_settings *settings,
                                     struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_settings_free(struct dr_settings *settings);

struct dr_settings_change {
    const char *model;      /* vae is for this model; NULL: for all */
    const char *vae;        /* NULL: stays; "": remove */
    const char *vae_folder; /* NULL: stays; "": remove */
};
/* Change the file, made where there is none: whole or not at all, with what is unknown in it
 * kept. A file or folder that is named by a relative path is written with its whole path. after
 * may be NULL; its warnings say where a choice means nothing yet. Engines that are open are not
 * told. Errors: dr_settings_read's, DR_BAD_INPUT, DR_NOT_FOUND (nothing to remove), DR_IO. */
DR_API enum dr_code dr_settings_change(const char *path,
                                       const struct dr_settings_change *change,
                                       struct dr_settings *after,
                                       struct dr_error *err) DR_MUST_CHECK;

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

struct dr_generate_options {
    const char *prompt;
    const char
        *negative; /* NULL: none. SD1.x encodes that as "", SDXL takes zeros for it */
    const char *output; /* .png, .jpg or .safetensors; NULL: only the image callback */
    int32_t width, height; /* 0: 512 (SDXL 1024), or the size of init; multiples of 8 */
    /* What SDXL is told of the picture's origin, in pixels; 0: the picture's size, no crop. */
    int32_t original_width, original_height;
    int32_t crop_left, crop_top;
    int32_t target_width, target_height;
    uint64_t seed; /* of the first picture; the default is one dr_random_seed */
    int32_t steps;
    double cfg;
    const char *sampler;   /* CLI.md's names */
    const char *scheduler; /* NULL: the sampler's default */
    enum dr_prediction prediction;
    int32_t clip_skip; /* as A1111 counts: 1 = none */
    enum dr_rng rng;
    const char *vae;    /* NULL: the setting; else for this job only */
    unsigned vae_flags; /* DR_VAE_FORCE */
    const char *init;   /* a picture: image to image; NULL: text to image */
    double strength;
    int32_t batch;   /* pictures, with seeds seed, seed + 1, ..., 2^64 - 1, 0, 1, ... */
    int32_t bits;    /* PNG: 8 or 16 */
    int32_t quality; /* JPEG */
    int32_t
        profile; /* 1: the result says where the time went; the bytes are the same */
    void (*progress)(void *cookie,
                     const struct dr_progress *progress); /* may be NULL */
    void *progress_cookie;
    /* After each step whose number this divides, 0: never. The picture's bytes and the memory of the job are
     * the same with previews. It must not call the engine, but may call dr_job_cancel. */
    int32_t preview_every;
    void (*preview)(void *cookie, const struct dr_preview *preview);
    void *preview_cookie;
    /* Each picture as it is ready: rgb [height, width, 3] float32 in 0..1, borrowed. */
    void (*image)(void *cookie, int32_t index, uint64_t seed, const float *rgb,
                  int32_t width, int32_t height);
    void *image_cookie;
};
DR_API struct dr_generate_options dr_generate_options_default(void);
/* A seed of 32 bits, as other programs draw them: another one each time. */
DR_API uint64_t dr_random_seed(void);

struct dr_image_info {
    char path[DR_PATH_BYTES]; /* "" where nothing was written */
    uint64_t seed;
};

/* Where the time of a job's networks went. Only the networks are in it: no reading of weights, no
 * planning, no latent probe, no PNG. */
struct dr_profile_row { /* the layers of one network that are of one kind and shape */
    const char *kind;   /* "conv 3x3", "linear", "attention", "group norm": static */
    int32_t n, height, width, channels; /* of the result; tokens are height 1 */
    int32_t in_channels;
    int32_t count; /* layers; each ran dr_profile_network.runs times */
    /* of all runs together: a multiply-add is 2 FLOP, other arithmetic none; bytes are those of
     * inputs, weights and result, each counted once a run, by their shapes */
    double flop, ms;
    uint64_t bytes;
};
struct dr_profile_network {
    const char
        *name;       /* "text", "text2", "vae encoder", "unet", "vae decoder": static */
    int32_t runs;    /* of the network: text prompts, evaluations, pictures */
    double flop, ms; /* sums of the rows' */
    uint64_t bytes;
    struct dr_profile_row *rows; /* the one that took longest first */
    size_t row_count;
};
struct dr_profile {
    /* How fast the compute library multiplied two matrices, in the engine's precision and with
     * its threads, just before the job began: what a layer's flop / ms is to be held against. 0
     * where there was no room in the budget for the matrices (some MiB). */
    double library_flop_per_ms;
    struct dr_profile_network *networks; /* those that ran, in their order */
    int32_t network_count;
};

struct dr_generate_result {
    struct dr_image_info *images;
    int32_t image_count;
    int32_t width, height;
    struct dr_vae_info vae;  /* that developed these pictures */
    double text_ms;          /* encoding of the prompts, 0 where cached */
    double unet_per_step_ms; /* mean of one (guided) evaluation */
    double vae_ms;           /* decode of one image, mean */
    uint64_t
        planned_private_bytes;   /* what the plan said, before anything was reserved */
    uint64_t peak_private_bytes; /* what the ledger reached: equal */
    int32_t cut_tokens, cut_tokens_negative; /* of prompts longer than 75 tokens */
    char warnings[DR_TEXT_BYTES];            /* "" or sentences */
    struct dr_profile *profile; /* NULL where it was not asked for, or malloc failed */
    struct dr_receipt receipt;
};
DR_API enum dr_code dr_engine_generate(struct dr_engine *engine,
                                       const struct dr_generate_options *options,
                                       struct dr_generate_result *result,
                                       struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_generate_result_free(struct dr_generate_result *result);

/* A picture to latents: the mean of the VAE's distribution times its scale factor, written as
 * the tensor "latent" [1,4,H/8,W/8]. width, height 0: the picture's, cut to multiples of 8 by
 * resizing. */
struct dr_codec_options {
    const char *input, *output;
    int32_t width, height; /* encode only */
    const char *vae;       /* NULL: the setting */
    unsigned vae_flags;
    int32_t bits, quality; /* decode only */
    int32_t profile;       /* as in dr_generate_options */
    void (*progress)(void *cookie, const struct dr_progress *progress);
    void *progress_cookie;
};
DR_API struct dr_codec_options dr_codec_options_default(void);

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
 * where another call is running (the job can be run later); DR_CANCELLED also where it was cancelled
 * before; DR_BAD_INPUT where it ran before. */
DR_API enum dr_code dr_job_run(struct dr_job *job, struct dr_generate_result *result,
                               struct dr_error *err) DR_MUST_CHECK;

/* Stop this job, whether it runs yet or not, and no other call. A request is never lost; one that comes
 * when the last picture is written is too late, and the job is done. From any thread, async-signal-safe. */
DR_API void dr_job_cancel(struct dr_job *job);

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
};
/* How far it is: a copy of one moment, from any thread, at any time. */
DR_API void dr_job_progress(struct dr_job *job, struct dr_job_progress *progress);

/* Before its engine is closed, and not while it runs. NULL and *job == NULL are fine; *job becomes NULL. */
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
/* What the engine is at. Answers while a call runs, and costs nothing: the kernel is not asked. */
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
    /* kernel.private_bytes - ledger.private_bytes, by where the pages lie */
    struct {
        uint64_t
            total_bytes; /* may be 0 where the ledger holds more than is resident */
        /* the items, which add up to it */
        uint64_t image_bytes, heap_bytes, stack_bytes, jit_bytes, shmem_bytes,
            other_bytes;
        /* of the heap: handed out by malloc, resident or not; resident beyond that */
        uint64_t heap_used_bytes, heap_retained_bytes;
        uint64_t
            baseline_bytes; /* of the whole, what was there when the engine opened */
    } residual;
    int32_t regions_agree;            /* each region against its own lines of smaps;
                                       * -1: there is no smaps, nobody knows */
    char disagreement[DR_TEXT_BYTES]; /* the first that does not, in words */
    uint64_t budget_bytes;
    char budget_reason[DR_TEXT_BYTES];
};
DR_API enum dr_code dr_engine_memory(struct dr_engine *engine, struct dr_memory *memory,
                                     struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_memory_free(struct dr_memory *memory);

/* What would this job need? Decided from the same plan that would run it; nothing is reserved
 * or read but the file's index. */
enum {
    DR_FORECAST_LEVELS = 16
};

/* One way to do the job, with what it takes. */
struct dr_forecast_level {
    uint64_t peak_bytes; /* private, weights and buffers, at most */
    /* The smallest budget under which it goes this way, in another process of the program too. Another
     * program that holds more than 2.5 MiB when its engine opens is named up to 512 KiB more, and
     * may hold so much more at its next start. */
    uint64_t budget_bytes;
    double
        work; /* arithmetic of UNet and VAE, by that with nothing in bands; all steps are
                  * counted, also those that image-to-image leaves out */
    char manner[DR_TEXT_BYTES]; /* "all components resident", ... */
};

struct dr_forecast {
    int32_t width, height;
    struct dr_component_info *components; /* weights_bytes filled */
    int32_t component_count;
    uint64_t text_arena_bytes, unet_arena_bytes, vae_arena_bytes;
    uint64_t load_scratch_bytes;  /* largest, while a component is read */
    uint64_t resident_peak_bytes; /* all components stay */
    uint64_t phased_peak_bytes;   /* one component at a time, nothing in bands */
    struct dr_forecast_level
        levels[DR_FORECAST_LEVELS]; /* from the most bytes to the least */
    int32_t level_count;
    uint64_t budget_bytes;
    char budget_reason[DR_TEXT_BYTES];
    char verdict[DR_TEXT_BYTES]; /* "fits with all components resident", ... */
    int32_t fits;
    double unet_flop, vae_flop; /* of one evaluation, of one decode */
};
DR_API enum dr_code dr_engine_forecast(struct dr_engine *engine,
                                       const struct dr_generate_options *options,
                                       struct dr_forecast *forecast,
                                       struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_forecast_free(struct dr_forecast *forecast);

/* ---- packs ----------------------------------------------------------------------------- */

enum dr_pack_state {
    DR_PACK_READY,     /* read whole since the machine was started, and right */
    DR_PACK_UNCHECKED, /* is read whole when it is used next */
    DR_PACK_DAMAGED,   /* is made again when it is wanted */
    DR_PACK_LEFTOVER,  /* of a process that ended while it made it */
    DR_PACK_BEING_MADE,
};
DR_API const char *dr_pack_state_name(
    enum dr_pack_state state); /* "ready", "being made" */

struct dr_pack_info {
    char path[DR_PATH_BYTES];
    char source[DR_TEXT_BYTES];  /* "vae of /models/a.safetensors" */
    char problem[DR_TEXT_BYTES]; /* "" or what is wrong with it */
    enum dr_pack_state state;
    uint64_t bytes;
    int64_t used_s; /* when it was used last: seconds since 1970 */
};
struct dr_pack_list {
    char folder[DR_PATH_BYTES];
    struct dr_pack_info *packs; /* the one used last first */
    size_t count;
    uint64_t bytes; /* of all */
};
enum {
    DR_PACKS_VERIFY = 1 /* flags: read each whole; about 1.5 GB a second */
};
struct dr_packs_options {
    unsigned flags;
    dr_load_report *progress; /* while packs are read; may be NULL */
    void *progress_cookie;
};

/* The packs in a folder (NULL as in dr_engine_options). options: NULL for none. Errors: DR_NOT_FOUND
 * where packs are off (why); with DR_PACKS_VERIFY DR_CORRUPT where one is damaged, DR_IO where one
 * cannot be read (the list is filled all the same), DR_CANCELLED (it is empty). */
DR_API enum dr_code dr_packs_list(const char *folder,
                                  const struct dr_packs_options *options,
                                  struct dr_pack_list *list,
                                  struct dr_error *err) DR_MUST_CHECK;
DR_API void dr_pack_list_free(struct dr_pack_list *list);

struct dr_pack_prune {
    uint64_t removed_bytes, kept_bytes;
    uint64_t removed_count, kept_count;
};
/* Remove leftovers and damaged packs, and of the rest those used longest ago until at most
 * keep_bytes remain. A process that has one mapped keeps it until it lets go. */
DR_API enum dr_code dr_packs_prune(const char *folder, uint64_t keep_bytes,
                                   struct dr_pack_prune *result,
                                   struct dr_error *err) DR_MUST_CHECK;

/* ---- looking at files ------------------------------------------------------------------ */

struct dr_inspection {
    struct dr_model_info model;
    char format[64]; /* "safetensors", "sharded safetensors" */
    uint64_t file_bytes;
    uint64_t tensor_count;
    uint64_t ignored_count, ignored_bytes; /* tensors of no component */
    /* "" or what the file is that this version does not run: "an SD2.x checkpoint" */
    char unsupported[DR_TEXT_BYTES];
    /* What the UNet predicts, "epsilon" or "v" ("" without a UNet), and who says so: "default", or
     * a key or tensor and its file. The noise schedule is Stable Diffusion's, rescaled to a zero
     * terminal SNR or not. */
    char prediction[16], prediction_source[DR_TEXT_BYTES];
    int32_t zero_terminal_snr;
    char schedule_source[DR_TEXT_BYTES];
    /* What it says beside its weights and nothing obeys: loading is refused for it without
     * DR_LOAD_FORCE. Warnings are no reason to refuse. */
    char **refused, **warnings;
    size_t refused_count, warning_count;
    struct {
        char *key, *text;
    } * metadata;
    size_t metadata_count;
    char **
        vae_neighbours; /* files that `automatic` would look at beside it, that exist */
    size_t vae_neighbour_count;
    char automatic
        [DR_PATH_BYTES]; /* what `automatic` resolves to; "" for the file's own */
    char automatic_reason[DR_TEXT_BYTES];
};
enum {
    DR_INSPECT_DIGESTS = 1
}; /* flags: read all tensors */
struct dr_inspect_options {
    const char *vae_folder; /* NULL as in dr_engine_options, by the user's settings */
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

enum dr_output_kind {
    DR_OUTPUT_ANY,      /* pictures or latents: what dr_engine_generate writes */
    DR_OUTPUT_PICTURES, /* dr_engine_decode */
    DR_OUTPUT_LATENTS   /* dr_engine_encode */
};
/* Can a job's output be written, as far as that is known without a model: extension, directory,
 * permission, what has its names? Every job looks by itself; this is for before the model is loaded.
 * bits: 8 or 16 a channel. Errors: DR_BAD_INPUT, DR_NOT_FOUND, DR_IO. */
DR_API enum dr_code dr_check_output(const char *path, enum dr_output_kind kind,
                                    int32_t batch, int32_t bits,
                                    struct dr_error *err) DR_MUST_CHECK;

/* "512M", "1.5G": powers of 1024. DR_BAD_INPUT says what is wrong. */
DR_API enum dr_code dr_parse_bytes(const char *text, uint64_t *bytes,
                                   struct dr_error *err) DR_MUST_CHECK;
/* "167.3 MiB" into out, "unknown" for DR_UNKNOWN_BYTES; returns out. */
DR_API char *dr_format_bytes(uint64_t bytes, char out[16]);

/* Names for help, completion and messages: index 0.. until NULL. */
DR_API const char *dr_sampler_name(int32_t index);
/* The schedules that go with a sampler, default first: index 0.. until NULL. */
DR_API const char *dr_sampler_schedule(const char *sampler, int32_t index);

#ifdef __cplusplus
}
#endif
#endif
