/* engine — the state behind struct dr_engine. The interface is darkroom/darkroom.h.
 *
 *     engine.c         open, close, budget, receipts
 *     model_switch.c   from one checkpoint to another; unload
 *     vae_switch.c     from one VAE to another, and back
 *     vae_trial.c      what is asked of a VAE before that
 *     vae_list.c       which VAEs are there, and which choice means which
 *     settings.c       what the user wants on every run
 *     pack_list.c      the folder of packs, for people
 *     generate.c       jobs: a checked request (request.h) is planned, run, answered
 *     report.c         looking at memory; forecasts
 *     describe.c       what models and VAEs are, in darkroom.h's words
 *     inspection.c     looking at a file
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <stdatomic.h>

#include "darkroom/darkroom.h"
#include "engine/cache_drop.h"
#include "engine/latent_probe.h"
#include "engine/load_progress.h"
#include "engine/pipeline.h"
#include "engine/tokenizers.h"
#include "mem/kernel_view.h"

/* What is taken off a budget for all that lies beside regions is a sum of two (docs/MEMORY.md).
 *
 * The process itself when the engine opens. What it holds then differs by some pages from start to
 * start (addresses, environment), so this is one number wherever it holds less: a budget leaves
 * the same bytes for regions in every process. The program holds 1.1 MiB. */
#define ENGINE_PROCESS_BYTES ((size_t)3 << 20)
/* A process that holds more is taken as it was measured, and a budget that it names has this much
 * room for what another start of it holds beyond that. */
#define ENGINE_PROCESS_SLACK_BYTES ((size_t)512 << 10)
/* What comes on top: primitives and JIT code of a job's plans, the tokenizers, the files' indices,
 * the heap's slack. A test holds real runs against it. */
#define ENGINE_RESIDUAL_BYTES ((size_t)46 << 20)

/* Taken for the baseline where the kernel tells nothing at all of this process. */
#define ENGINE_BASELINE_BYTES ((size_t)32 << 20)

struct dr_engine {
    enum dtype dtype;
    struct ledger ledger;
    struct pipeline *pipeline; /* NULL: no model */
    bool eager;                /* the model was loaded with its weights */
    struct tokenizers tokenizers;
    char tokenizer_folder[DR_PATH_BYTES]; /* option, or "" */
    char vae_folder[DR_PATH_BYTES];       /* resolved at open; "" none */
    char vae_choice[DR_PATH_BYTES];       /* said for all models; "" never */
    bool vae_forced;                      /* it was said with DR_VAE_FORCE */
    struct dr_settings settings;          /* as they were at open */
    struct pack_store packs;
    struct latent_probe_memory probes;
    size_t budget_bytes;
    char budget_reason[DR_TEXT_BYTES];
    struct memory_limit machine;
    size_t baseline_bytes; /* kernel private bytes when the engine opened, or ... */
    bool baseline_known;   /* ... where the kernel does not tell, what cannot be less */
    atomic_bool cancel;
    atomic_flag busy;
    void (*log)(void *cookie, enum dr_log_level level, const char *line);
    void *log_cookie;
    dr_load_report *load_progress;
    void *load_cookie;
    bool drop_cache;         /* of every call */
    struct cache_drop cache; /* of the running call, begun with its receipt */
    void (*memory)(void *cookie, const struct dr_memory_event *event);
    void *memory_cookie;
};

/* Each public call on an engine stands between these two. Errors: DR_BUSY. */
enum dr_code engine_enter(struct dr_engine *engine, struct dr_error *err) DR_MUST_CHECK;
void engine_leave(struct dr_engine *engine);

void engine_log(const struct dr_engine *engine, enum dr_log_level level,
                const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Begin to tell how far a reading is, as the engine's options have it. */
void engine_begin_progress(struct dr_engine *engine, struct load_progress *progress,
                           uint64_t total_bytes);

/* ---- receipts ---- */

struct receipt_start {
    struct dr_memory_point before;
    uint64_t opened_count;
    double started_ms;
};
struct receipt_start receipt_begin(struct dr_engine *engine);
/* Fills all but the reason, which is taken as it is given; what was dropped of the page cache is
 * added to it. receipt may be NULL. */
void receipt_end(const struct dr_engine *engine, const struct receipt_start *start,
                 const char *reason, struct dr_receipt *receipt);

/* ---- shared by the files above ---- */

/* tokenizers_open, for the loaded model. */
enum dr_code engine_open_tokenizers(struct dr_engine *engine,
                                    struct dr_error *err) DR_MUST_CHECK;

/* pipeline_settle, with the engine's packs and its cancel. What is reserved and not used is let go
 * of by engine_leave, or with the pipeline. */
enum dr_code engine_settle(struct dr_engine *engine, struct pipeline *pipeline,
                           unsigned roles, struct source *other,
                           struct dr_error *err) DR_MUST_CHECK;

/* What this engine takes off its budget for all that lies beside regions. */
size_t engine_beside_bytes(const struct dr_engine *engine);
/* The same in any process like this one, at most: on top of what a job needs it makes the budget that is
 * named for it. */
size_t engine_named_beside_bytes(const struct dr_engine *engine);

/* Would so many bytes more, weights and scratch, fit the budget beside what is held? */
bool engine_fits_beside(const struct dr_engine *engine, size_t bytes);

/* file: the override that is meant, NULL: base. */
void engine_describe_vae(const struct dr_engine *engine, const struct vae_said *said,
                         const struct vae_resolution *resolution, struct vae_file *file,
                         struct dr_vae_info *info);
void engine_describe_setting(const struct dr_engine *engine, struct dr_vae_info *info);

void engine_describe_pipeline(const struct pipeline *pipeline,
                              struct dr_model_info *info);
void engine_describe_model(const struct checkpoint *checkpoint, const char *path,
                           struct dr_model_info *info);

/* The folder of packs that option and environment give; "" where they are turned off. */
void engine_find_pack_folder(const char *option, char *folder, size_t folder_bytes);

/* The VAE folder that option, environment and setting ("" for none) give, in this order; "" where
 * there is none. */
void engine_find_vae_folder(const char *option, const char *setting, char *folder,
                            size_t folder_bytes);

#endif
