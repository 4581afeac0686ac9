/* engine — the state behind struct dr_engine. The interface is darkroom/darkroom.h.
 *
 * Threads: calls that change something or compute stand between engine_enter and engine_leave, so that
 * there is one of them at a time. Calls that only look stand between engine_lock and engine_unlock, beside
 * it. So what a look reads changes only with the lock held, by the call that has entered; it is read
 * by whoever has entered or holds the lock. The lock is the ledger's (ledger.h): a region is opened or
 * closed with it held. It is held for short changes alone, never while weights are read or a network
 * runs; a look may hold up a call as long as it takes.
 *
 *     engine.c         open, close, budget, receipts
 *     load.c           a model: load, describe, release
 *     choose_vae.c     its VAE: choose, describe
 *     model_list.c     models by name, and which are there
 *     vae_list.c       which VAEs are there, and which choice means which
 *     pack_list.c      the folder of packs, for people
 *     picture_text.c   what pictures say of how they were made
 *     job_handle.c     jobs as handles: made, cancelled, watched
 *     generate.c       jobs: a checked request (request.h) is planned, run, answered
 *     report.c         looking at memory; forecasts
 *     describe.c       what models and VAEs are, in darkroom.h's words
 *     inspection.c     looking at a file
 *     convert.c        writing a checkpoint in another type
 *     adapters.c       LoRAs: of a job, by name, and which are there; prompts that are checked before a model is there
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "darkroom/darkroom.h"
#include "mem/kernel_view.h"
#include "pipeline/adapter_set.h"
#include "switch/current_model.h"

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
    struct resources resources;
    struct current_model model;
    size_t budget_bytes;
    char budget_reason[DR_TEXT_BYTES];
    struct memory_limit machine;
    size_t baseline_bytes;  /* kernel private bytes when the engine opened, or ... */
    size_t set_aside_bytes; /* of the budget, for the program around the engine */
    bool baseline_known; /* ... where the kernel does not tell, what cannot be less */
    atomic_flag busy;
    struct cancel cancel;      /* of whatever call is running */
    struct cancel list_cancel; /* of a list of VAEs that is made beside it */
    pthread_mutex_t lock;      /* recursive; the ledger's */
    const char *call;          /* that has entered; NULL: none */
    struct dr_job *job;        /* that runs; NULL: none */
    bool drop_cache;           /* of every call */
    bool exact_convolutions;   /* of every plan */
    void (*memory)(void *cookie, const struct dr_memory_event *event);
    void *memory_cookie;
};

/* Each public call that changes something or computes stands between these two. call: its name for
 * dr_status, static. Errors: DR_BUSY. */
enum dr_code engine_enter(struct dr_engine *engine, const char *call,
                          struct dr_error *err) DR_MUST_CHECK;
void engine_leave(struct dr_engine *engine);

/* The base that models are loaded with, by the option or else the settings. Errors: dr_find_model's, of the
 * option. */
enum dr_code engine_begin_base(struct dr_engine *engine, const char *option,
                               struct dr_error *err) DR_MUST_CHECK;

/* Each public call that only looks, and each change of what such a call reads. May be nested. */
void engine_lock(struct dr_engine *engine);
void engine_unlock(struct dr_engine *engine);

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

/* What this engine takes off its budget for all that lies beside regions. */
size_t engine_beside_bytes(const struct dr_engine *engine);
/* The same in any process like this one, at most: on top of what a job needs it makes the budget that is
 * named for it. */
size_t engine_named_beside_bytes(const struct dr_engine *engine);

/* What a job of this engine works with (job/job.h). A model is loaded. */
struct job_context;
struct job_context engine_job_context(struct dr_engine *engine);

/* file: the override that is meant, NULL: base. */
void engine_describe_vae(const struct dr_engine *engine, const struct vae_said *said,
                         const struct vae_resolution *resolution, struct vae_file *file,
                         struct dr_vae_info *info);
void engine_describe_setting(const struct dr_engine *engine, struct dr_vae_info *info);

/* Room for the components of any file, so that filling it cannot fail. Errors: DR_NOMEM. */
enum dr_code engine_model_info_create(struct dr_model_info *info,
                                      struct dr_error *err) DR_MUST_CHECK;
/* Fill an info that has room. */
void engine_describe_pipeline(const struct pipeline *pipeline,
                              struct dr_model_info *info);
void engine_describe_model(const struct checkpoint *checkpoint, const char *path,
                           struct dr_model_info *info);
/* Add the parts that the checkpoint does not have and its base has. A closed base has none. */
void engine_describe_base(const struct checkpoint *checkpoint,
                          const struct checkpoint *base, struct dr_model_info *info);
void engine_describe_component(const struct component_index *index,
                               struct dr_component_info *info);

/* The folder of packs that option and environment give; "" where they are turned off. */
void engine_find_pack_folder(const char *option, char *folder, size_t folder_bytes);

struct job_request;
/* The LoRAs of a job, for this pipeline: those of the options, and those that the prompt names.
 * adapter_set_open's errors; a name's. On success, adapter_set_close. */
enum dr_code engine_open_adapters(struct pipeline *pipeline, struct ledger *ledger,
                                  const struct dr_generate_options *options,
                                  const struct job_request *want,
                                  struct adapter_set *adapters,
                                  struct dr_error *err) DR_MUST_CHECK;

#endif
