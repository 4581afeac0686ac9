#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "help_text.h"
#include "suggestion.h"

enum value_kind {
    TEXT,
    INT32,
    SEED,
    REAL,
    BYTES,
    FLAG,
    COUNT,
    WORD,
    PAIR,
    REALS,   /* two numbers with a comma between them; adjacent doubles */
    LIST,    /* it may be repeated */
    DURATION /* of seconds: "90", "5m", "2h"; "-1" */
};

struct option {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    enum value_kind kind;
    size_t offset;
    unsigned commands;
    /* Shown in the help. WORD: the words, in the order of the enum. PAIR: the two numbers (two
     * adjacent int32_t) as letters with their separator between them: "WxH". */
    const char *value;
    const char *help;
};

#define AT(field) offsetof(struct options, field)
#define JOBS      (FOR_GENERATE | FOR_MEMORY)
#define CODECS    (FOR_ENCODE | FOR_DECODE)
#define ENGINE    (FOR_GENERATE | FOR_ENCODE | FOR_DECODE | FOR_MEMORY | FOR_SHELL)
#define START     (ENGINE | AT_START)

/* One row per option. clang-format would spread each over many lines. */
// clang-format off
static const struct option table[] = {
    {"model", 'm', TEXT, AT(model), JOBS | CODECS | FOR_SHELL | FOR_VAES, "MODEL",
     "the checkpoint: a file, a diffusers directory, or a name, its beginning or a digest in the model directories"},
    {"model", 'm', TEXT, AT(model), FOR_PROMPT, "MODEL", "the model whose tokenizer is meant, if it has one: a path or a name"},
    {"base", 0, TEXT, AT(base), ENGINE | FOR_MODEL | FOR_INSPECT | FOR_SERVE, "MODEL",
     "a complete model whose text encoders and VAE a UNet alone uses: a path or a name (default: the settings')"},
    {"base", 0, TEXT, AT(base), FOR_SETTINGS, "MODEL", "the complete model whose parts a UNet alone uses"},
    {"model", 'm', TEXT, AT(model), FOR_SETTINGS, "MODEL",
     "the settings of this model alone: a path, the end of a path, or a name in the model directories"},
    {"prompt", 'p', TEXT, AT(prompt), FOR_GENERATE, "TEXT",
     "the prompt; @FILE or - reads prompts, one per line, and makes a job of each (@@ is one @)"},
    {"prompt", 'p', TEXT, AT(prompt), FOR_MEMORY, "TEXT",
     "the prompt: its length, and what it names, count (default: the empty one)"},
    {"prompt", 'p', TEXT, AT(prompt), FOR_SUBMIT, "TEXT", "the prompt (required)"},
    {"negative", 'n', TEXT, AT(negative), JOBS | FOR_SUBMIT, "TEXT", "the negative prompt"},
    {"output", 'o', TEXT, AT(output), FOR_GENERATE, "FILE",
     "output file: .png or .jpg for pictures, .safetensors or .sft for latents; also DIR/, a "
     "pattern of {seed} {index} {model} {date}, or - for standard output (default: darkroom-SEED.png)"},
    {"output", 'o', TEXT, AT(output), FOR_ENCODE, "FILE", "file for the latents: .safetensors or .sft (required)"},
    {"output", 'o', TEXT, AT(output), FOR_DECODE, "FILE",
     "file for the picture: .png or .jpg, or - for standard output; several pictures are FILE, FILE-2, ... (required)"},
    {"output", 'o', TEXT, AT(output), FOR_CONVERT, "FILE", "the file to write: .gguf or .safetensors (required)"},
    {"weights", 0, WORD, AT(weights), FOR_CONVERT, "auto|f32|f16|q8|q4",
     "the type of most weights: q8 and q4 are 8 and 4 bits in blocks, in .gguf only (default auto: q8 in .gguf, else f16)"},
    {"overwrite", 0, FLAG, AT(overwrite), FOR_CONVERT, NULL, "replace an existing file"},
    {"overwrite", 0, FLAG, AT(overwrite), FOR_GENERATE | CODECS, NULL,
     "replace any existing file; without it only pictures and latent files are replaced"},
    {"no-clobber", 0, FLAG, AT(no_clobber), FOR_GENERATE | CODECS, NULL, "replace no existing file"},
    {"width", 'W', INT32, AT(width), JOBS, "PIXELS",
     "width: 64 to 8192, a multiple of 8 (default: the --init picture's, else the settings', the checkpoint's, 512, or "
     "1024 for SDXL)"},
    {"width", 'W', INT32, AT(width), FOR_SUBMIT, "PIXELS", "width of the picture (default: the model's)"},
    {"width", 'W', INT32, AT(width), FOR_ENCODE, "PIXELS",
     "resize the picture to this width, a multiple of 8 (default: its own, cropped to a multiple of 8)"},
    {"width", 'W', INT32, AT(width), FOR_SETTINGS, "PIXELS", "the width of pictures, a multiple of 8"},
    {"height", 'H', INT32, AT(height), JOBS, "PIXELS",
     "height: 64 to 8192, a multiple of 8 (default: as for the width)"},
    {"height", 'H', INT32, AT(height), FOR_SUBMIT, "PIXELS", "height of the picture (default: the model's)"},
    {"height", 'H', INT32, AT(height), FOR_ENCODE, "PIXELS",
     "resize the picture to this height, a multiple of 8 (default: its own, cropped to a multiple of 8)"},
    {"height", 'H', INT32, AT(height), FOR_SETTINGS, "PIXELS", "the height of pictures, a multiple of 8"},
    {"original-size", 0, PAIR, AT(original), JOBS, "WxH",
     "SDXL size conditioning: the original size (default: the size of the new picture)"},
    {"crop", 0, PAIR, AT(crop), JOBS, "X,Y",
     "SDXL size conditioning: the crop offsets from the left and from the top (default 0,0)"},
    {"target-size", 0, PAIR, AT(target), JOBS, "WxH",
     "SDXL size conditioning: the target size (default: the size of the new picture)"},
    {"seed", 's', SEED, AT(seed), FOR_GENERATE | FOR_SUBMIT, "N",
     "seed of the first picture's noise (default -1: a random seed)"},
    {"steps", 0, INT32, AT(steps), FOR_PROMPT, "N", "lay a schedule over so many steps (default 20)"},
    {"steps", 0, INT32, AT(steps), JOBS | FOR_SUBMIT, "N",
     "sampling steps, 1 to 1000 (default: the settings', else the checkpoint's, else 20)"},
    {"steps", 0, INT32, AT(steps), FOR_SETTINGS, "N", "the sampling steps, 1 to 1000"},
    {"cfg", 0, REAL, AT(cfg), JOBS | FOR_SUBMIT, "X",
     "guidance scale, 0 to 1000; 1 turns guidance off (default: the settings', else the checkpoint's, else 7)"},
    {"cfg", 0, REAL, AT(cfg), FOR_SETTINGS, "X", "the guidance scale, 0 to 1000; 1 turns guidance off"},
    {"sampler", 0, TEXT, AT(sampler), JOBS | FOR_SUBMIT, "NAME",
     "euler, euler-a, heun, dpmpp-2m, dpmpp-2m-sde, unipc, ddim, lcm, dpmpp-sde, dpmpp-2m-sde-heun, dpmpp-2s-a, "
     "dpmpp-3m-sde, dpm2, dpm2-a, lms, restart, plms, deis, ddpm, tcd (default: the settings', else the checkpoint's, "
     "else euler-a)"},
    {"sampler", 0, TEXT, AT(sampler), FOR_SETTINGS, "NAME",
     "the sampler: euler, euler-a, heun, dpmpp-2m, dpmpp-2m-sde, unipc, ddim, lcm, dpmpp-sde, dpmpp-2m-sde-heun, "
     "dpmpp-2s-a, dpmpp-3m-sde, dpm2, dpm2-a, lms, restart, plms, deis, ddpm, tcd"},
    {"scheduler", 0, TEXT, AT(scheduler), JOBS | FOR_SUBMIT, "NAME",
     "noise schedule: normal, karras, exponential, polyexponential, sgm-uniform, simple, beta, kl-optimal, "
     "align-your-steps, leading, trailing, lcm, automatic (as A1111) (default: the settings', else the checkpoint's, "
     "else the sampler's first)"},
    {"scheduler", 0, TEXT, AT(scheduler), FOR_SETTINGS, "NAME",
     "the noise schedule: normal, karras, exponential, polyexponential, sgm-uniform, simple, beta, kl-optimal, "
     "align-your-steps, leading, trailing, lcm, automatic (as A1111)"},
    {"eta", 0, REAL, AT(sampling.eta), JOBS | FOR_SUBMIT, "X",
     "share of the noise that an ancestral or SDE sampler, ddim or tcd adds in a step, 0 to 1 (default: the sampler's own)"},
    {"s-churn", 0, REAL, AT(sampling.s_churn), JOBS | FOR_SUBMIT, "X",
     "euler, heun, dpm2: noise before each step (default 0: none)"},
    {"s-tmin", 0, REAL, AT(sampling.s_tmin), JOBS | FOR_SUBMIT, "SIGMA", "the least noise level for --s-churn (default 0)"},
    {"s-tmax", 0, REAL, AT(sampling.s_tmax), JOBS | FOR_SUBMIT, "SIGMA", "the highest noise level for --s-churn (default 0: no limit)"},
    {"s-noise", 0, REAL, AT(sampling.s_noise), JOBS | FOR_SUBMIT, "X", "factor of all noise that a sampler adds, 0 to 10 (default 1)"},
    {"ensd", 0, INT32, AT(sampling.eta_seed_delta), JOBS | FOR_SUBMIT, "N",
     "eta noise seed delta: added to the seed for the noise of steps (default 0: it goes on from the first noise)"},
    {"variation-seed", 0, SEED, AT(sampling.variation_seed), JOBS | FOR_SUBMIT, "N",
     "seed of the variation; a batch counts it up (default -1: a random one)"},
    {"variation-strength", 0, REAL, AT(sampling.variation_strength), JOBS | FOR_SUBMIT, "X",
     "how far the noise is turned towards that of the variation seed, 0 to 1 (default 0)"},
    {"seed-resize", 0, PAIR, AT(sampling.seed_resize_width), JOBS | FOR_SUBMIT, "WxH",
     "put the seed's noise for pictures of this size into the middle of the new one's (default: none)"},
    {"cfg-rescale", 0, REAL, AT(sampling.cfg_rescale), JOBS | FOR_SUBMIT, "X",
     "how far the deviation of the guided prediction is put back to the prompt's, 0 to 1 (default 0)"},
    {"cfg-interval", 0, REALS, AT(sampling.cfg_from), JOBS | FOR_SUBMIT, "FROM,TO",
     "guide from FROM to TO of the steps alone, 0 to 1; the other steps take half of the time (default 0,1)"},
    {"s-min-uncond", 0, REAL, AT(sampling.s_min_uncond), JOBS | FOR_SUBMIT, "SIGMA",
     "below this noise level every other evaluation goes without the negative prompt (default 0: none does)"},
    {"prediction", 0, WORD, AT(prediction), JOBS, "auto|eps|v",
     "what the UNet predicts: eps (noise) or v (velocity) (default auto: read from the checkpoint)"},
    {"clip-skip", 0, INT32, AT(clip_skip), JOBS | FOR_SUBMIT, "N",
     "CLIP skip, counted as in A1111: 1 is the usual layer, 2 the one before it (default 1)"},
    {"prompt-syntax", 0, WORD, AT(prompt_syntax), JOBS | FOR_PROMPT, "a1111|plain",
     "what prompts may contain: weights, BREAK, AND, schedules as in A1111, or text alone (default a1111)"},
    {"as-negative", 0, FLAG, AT(is_negative), FOR_PROMPT, NULL, "read it as a negative prompt, where AND and <lora:...> are text"},
    {"emphasis", 0, WORD, AT(emphasis), FOR_GENERATE | FOR_SUBMIT, "original|no-norm|ignore",
     "what weights do: multiply and restore the mean, multiply, or nothing (default original)"},
    {"pad-prompts", 0, FLAG, AT(pad_prompts), JOBS | FOR_SUBMIT, NULL,
     "pad the shorter of prompt and negative prompt with the empty prompt, where one is longer than 75 tokens"},
    {"vae", 0, TEXT, AT(vae), JOBS | CODECS, "CHOICE",
     "the VAE for this job: automatic, none (the checkpoint's own), a name in the VAE directory, or a path (default: the "
     "settings', else automatic)"},
    {"vae", 0, TEXT, AT(vae), FOR_SETTINGS, "CHOICE",
     "the VAE: automatic, none (the checkpoint's own), a name in the VAE directory, or a path"},
    {"unset-vae", 0, FLAG, AT(unset_vae), FOR_SETTINGS, NULL,
     "remove the VAE choice for all models; with --model, the choice for that model"},
    {"vae-dir", 0, TEXT, AT(vae_dir), START | FOR_INSPECT | FOR_VAES | FOR_MODELS, "DIR",
     "the VAE directory (default: DARKROOM_VAE_DIR, then the settings, then ~/.local/share/darkroom/vae)"},
    {"vae-dir", 0, TEXT, AT(vae_dir), FOR_SETTINGS, "DIR", "the VAE directory"},
    {"listen", 0, TEXT, AT(serve.listen), FOR_SERVE, "ADDR:PORT",
     "where to listen: ADDR:PORT, or unix:PATH; port 0 is any free one (default: systemd's socket, else 127.0.0.1:7860)"},
    {"model", 'm', TEXT, AT(model), FOR_SERVE, "MODEL",
     "the model at the start (default: the one of the last run)"},
    {"model", 'm', TEXT, AT(model), FOR_SUBMIT, "MODEL",
     "the model, by a name that the service knows (default: its current one)"},
    {"vae", 0, TEXT, AT(vae), FOR_SUBMIT, "CHOICE",
     "the VAE: automatic, none, or a name that the service knows (default: its current one)"},
    {"preload", 0, FLAG, AT(serve.preload), FOR_SERVE, NULL, "load the model at once, not with the first job"},
    {"vae", 0, TEXT, AT(vae), FOR_SERVE, "CHOICE",
     "the VAE at the start: automatic, none, a name in the VAE directory, or a path (default: that of the last run)"},
    {"models", 0, LIST, AT(serve.models), FOR_SERVE, "DIR",
     "a directory of models; may be repeated (default: ~/.local/share/darkroom/models)"},
    {"vae-dir", 0, LIST, AT(serve.vae_dirs), FOR_SERVE, "DIR",
     "a directory of VAEs; may be repeated (default: ~/.local/share/darkroom/vae)"},
    {"lora", 0, LIST, AT(loras), JOBS, "FILE|NAME[:WEIGHT[:TEXT_WEIGHT]]",
     "a LoRA for this job: a path, or a name in the LoRA directory, and how strongly it changes the UNet and the text "
     "encoders (default 1); may be repeated"},
    {"lora-dir", 0, TEXT, AT(lora_dir), JOBS | FOR_LORAS, "DIR",
     "the LoRA directory (default: DARKROOM_LORA_DIR, then ~/.local/share/darkroom/lora)"},
    {"lora-dir", 0, LIST, AT(serve.lora_dirs), FOR_SERVE, "DIR", "a directory of LoRAs; may be repeated"},
    {"style", 0, LIST, AT(styles), FOR_GENERATE | FOR_PROMPT | FOR_SUBMIT, "NAME",
     "put a style's words around the prompt and the negative prompt; may be repeated"},
    {"styles", 0, TEXT, AT(styles_file), FOR_GENERATE | FOR_PROMPT | FOR_STYLES | FOR_SERVE, "FILE",
     "the table of styles, as A1111's styles.csv (default: DARKROOM_STYLES, then the settings, then "
     "~/.local/share/darkroom/styles.csv)"},
    {"styles", 0, TEXT, AT(styles_file), FOR_SETTINGS, "FILE", "the table of styles, as A1111's styles.csv"},
    {"wildcard-dir", 0, TEXT, AT(wildcard_dir), FOR_SETTINGS, "DIR", "the directory of wildcards"},
    {"wildcard-dir", 0, TEXT, AT(wildcard_dir), FOR_GENERATE | FOR_PROMPT, "DIR",
     "where __NAME__ in a prompt finds NAME.txt, of which it takes a line (default: DARKROOM_WILDCARD_DIR, then the "
     "settings, then ~/.local/share/darkroom/wildcards)"},
    {"wildcard-dir", 0, TEXT, AT(wildcard_dir), FOR_SERVE, "DIR",
     "where __NAME__ in a prompt finds NAME.txt, of which it takes a line (default: none, and __NAME__ is text)"},
    {"seed", 's', SEED, AT(seed), FOR_PROMPT, "N", "seed that chooses the lines of wildcards (default -1: a random one)"},
    {"embedding-dir", 0, TEXT, AT(embedding_dir), JOBS | FOR_PROMPT | FOR_EMBEDDINGS, "DIR",
     "the embedding directory (default: DARKROOM_EMBEDDING_DIR, then ~/.local/share/darkroom/embeddings)"},
    {"embedding-dir", 0, LIST, AT(serve.embedding_dirs), FOR_SERVE, "DIR",
     "a directory of embeddings; may be repeated"},
    {"control-dir", 0, LIST, AT(serve.control_dirs), FOR_SERVE, "DIR",
     "a directory of control networks; may be repeated"},
    {"upscaler-dir", 0, LIST, AT(serve.upscaler_dirs), FOR_SERVE, "DIR",
     "a directory of upscalers; may be repeated"},
    {"data", 0, TEXT, AT(serve.data), FOR_SERVE, "DIR",
     "where jobs, pictures and settings are kept (default: ~/.local/share/darkroom/service)"},
    {"keep-alive", 0, DURATION, AT(serve.keep_alive_s), FOR_SERVE, "TIME",
     "unload the model when no job has come for this long: 90, 5m, 2h; 0: after each job, -1: never (default 5m)"},
    {"exit-idle", 0, DURATION, AT(serve.exit_idle_s), FOR_SERVE, "TIME",
     "end when no job has come for this long (default: never)"},
    {"grace", 0, DURATION, AT(serve.grace_s), FOR_SERVE, "TIME",
     "how long the running job may take to end when the service is stopped (default 30s)"},
    {"auth-file", 0, TEXT, AT(serve.auth_file), FOR_SERVE, "FILE",
     "who may use the service: a line user:password or key:TOKEN for each"},
    {"insecure-no-auth", 0, FLAG, AT(serve.insecure_no_auth), FOR_SERVE, NULL,
     "let everybody use the service who can reach it, from other machines too"},
    {"cors-origin", 0, LIST, AT(serve.cors_origins), FOR_SERVE, "ORIGIN",
     "a site whose pages may use the service, such as https://example.org; may be repeated"},
    {"allowed-host", 0, LIST, AT(serve.allowed_hosts), FOR_SERVE, "NAME",
     "one more name of the service in Host headers: NAME, or NAME:PORT; may be repeated"},
    {"max-body", 0, BYTES, AT(serve.body_bytes), FOR_SERVE, "SIZE", "the longest body of a request (default 64M)"},
    {"body-memory", 0, BYTES, AT(serve.body_memory_bytes), FOR_SERVE, "SIZE",
     "the memory of all requests' bodies together (default 128M)"},
    {"max-pixels", 0, BYTES, AT(serve.pixels), FOR_SERVE, "COUNT", "the most pixels of a picture (default 4M)"},
    {"max-batch", 0, INT32, AT(serve.batch), FOR_SERVE, "N", "the most pictures of a job (default 16)"},
    {"max-steps", 0, INT32, AT(serve.steps), FOR_SERVE, "N", "the most sampling steps (default 200)"},
    {"queue", 0, INT32, AT(serve.queue), FOR_SERVE, "N", "the most jobs that wait (default 64)"},
    {"max-connections", 0, INT32, AT(serve.connections), FOR_SERVE, "N", "the most connections (default 160)"},
    {"openai-format", 0, WORD, AT(serve.url_format), FOR_SERVE, "b64_json|url",
     "OpenAI API: how pictures are answered if a request does not say (default b64_json)"},
    {"metrics", 0, FLAG, AT(serve.metrics), FOR_SERVE, NULL, "answer /metrics"},
    {"access-log", 0, TEXT, AT(serve.access_log), FOR_SERVE, "FILE",
     "write a line to FILE for each request; - is standard error"},
    {"unset-vae-dir", 0, FLAG, AT(unset_vae_dir), FOR_SETTINGS, NULL, "remove the VAE directory from the settings"},
    {"default-model", 0, TEXT, AT(default_model), FOR_SETTINGS, "MODEL",
     "the model where a command is given none: a path, or a name in the model directories"},
    {"models", 0, TEXT, AT(models), ENGINE | FOR_INSPECT | FOR_VAES | FOR_MODEL | FOR_MODELS | FOR_SETTINGS | FOR_CONVERT, "DIR",
     "where models are found by name: DIR, or DIR:DIR for several (default: DARKROOM_MODELS, then the settings, "
     "then ~/.local/share/darkroom/models)"},
    {"output-dir", 0, TEXT, AT(output_dir), FOR_SETTINGS, "DIR", "where pictures go that are given no name"},
    {"packs-limit", 0, BYTES, AT(packs_limit), FOR_SETTINGS, "SIZE",
     "the limit on all packs together, such as 20G"},
    {"unset", 0, TEXT, AT(unset), FOR_SETTINGS, "KEY",
     "remove settings by their names: KEY, or KEY,KEY for several; with --model, those of the model"},
    {"like", 0, TEXT, AT(like), FOR_GENERATE, "IMAGE",
     "take all settings of this picture, of darkroom or of A1111; other options win over them"},
    {"init", 0, TEXT, AT(init), JOBS, "IMAGE", "image to image: start from this picture"},
    {"strength", 0, REAL, AT(strength), JOBS, "X",
     "image to image: how much to change the picture, above 0 and up to 1 (default 0.75)"},
    {"batch", 0, INT32, AT(batch), JOBS | FOR_SUBMIT, "N", "number of pictures, with consecutive seeds (default 1)"},
    {"rng", 0, WORD, AT(rng), FOR_GENERATE | FOR_SHELL, "cuda|cpu",
     "which random generator of PyTorch to reproduce (default cuda)"},
    {"bits", 0, INT32, AT(bits), FOR_GENERATE | FOR_DECODE, "8|16", "bits per channel of a PNG file (default 8)"},
    {"quality", 0, INT32, AT(quality), FOR_GENERATE | FOR_DECODE, "N", "JPEG quality, 1 to 100 (default 95)"},
    {"precision", 0, WORD, AT(precision), START | FOR_SERVE, "auto|bf16|f32",
     "precision of the networks (default: the settings', else auto: bf16 if the processor supports it, else f32)"},
    {"precision", 0, WORD, AT(precision), FOR_SETTINGS, "auto|bf16|f32", "the precision of the networks"},
    {"weights", 0, WORD, AT(weights), START | FOR_SERVE, "auto|f32|f16|q8|q4",
     "type in which weights are stored (default: the settings', else auto: the file's)"},
    {"weights", 0, WORD, AT(weights), FOR_SETTINGS, "auto|f32|f16|q8|q4", "the type in which weights are stored"},
    {"threads", 0, INT32, AT(threads), START | FOR_SERVE, "N", "number of threads; 0 is one per available core (default 0)"},
    {"tokenizer", 0, TEXT, AT(tokenizer), START | FOR_SERVE | FOR_PROMPT, "DIR",
     "directory of vocab.json and merges.txt (default: DARKROOM_TOKENIZER, then tokenizer/ beside the "
     "checkpoint, then ~/.local/share/darkroom/tokenizer)"},
    {"budget", 0, BYTES, AT(budget), ENGINE | FOR_SERVE, "SIZE",
     "limit on private memory, such as 2G (default: the settings', else 90 % of available memory)"},
    {"budget", 0, BYTES, AT(budget), FOR_SETTINGS, "SIZE", "the limit on private memory, such as 2G"},
    {"packs", 0, TEXT, AT(packs), START | FOR_VAES | FOR_PACKS | FOR_MODELS | FOR_SERVE, "DIR|off",
     "directory of the packs, which are cached weights; off: use no packs (default: DARKROOM_PACKS, then "
     "~/.cache/darkroom/packs)"},
    {"keep", 0, BYTES, AT(keep), FOR_PACKS, "SIZE",
     "prune: how many bytes of packs to keep, such as 20G; 0 removes all (default: the limit)"},
    {"yes", 'y', FLAG, AT(yes), FOR_PACKS, NULL, "prune: do not ask before packs are removed"},
    {"to", 0, TEXT, AT(to), FOR_VOCABULARY, "DIR",
     "write the files to this directory (default: ~/.local/share/darkroom/tokenizer, where darkroom looks for them)"},
    {"wheel", 0, TEXT, AT(wheel), FOR_VOCABULARY, "FILE",
     "use this file of the Python package open-clip-torch instead of downloading it"},
    {"memory-log", 0, TEXT, AT(memory_log), START, "FILE",
     "write a line of JSON to FILE whenever a region of memory is opened or closed"},
    {"force", 0, FLAG, AT(force), JOBS | CODECS | FOR_VAES | FOR_SHELL, NULL,
     "do not refuse a checkpoint with settings that darkroom does not implement, or a VAE from another "
     "latent space"},
    {"force", 0, FLAG, AT(force), FOR_MODEL, NULL,
     "do not refuse a checkpoint with settings that darkroom does not implement"},
    {"force", 0, FLAG, AT(force), FOR_VAE, NULL,
     "do not refuse a VAE from another latent space, or with settings that darkroom does not implement"},
    {"digest", 0, FLAG, AT(digests), FOR_INSPECT | FOR_VAES, NULL,
     "read all tensors and show their digests; inspect: also the SHA-256 of the file"},
    {"exact-convolutions", 0, FLAG, AT(exact_convolutions), START | FOR_SERVE, NULL,
     "compute 3x3 convolutions without Winograd's method: slower, and the reference for it"},
    {"drop-cache", 0, FLAG, AT(drop_cache), FOR_SHELL | FOR_UNLOAD, NULL,
     "when a checkpoint or VAE is released, drop its file from the kernel's page cache"},
    {"profile", 0, FLAG, AT(profile), FOR_GENERATE | CODECS, NULL,
     "print to standard error where the time went: for each network a table of its layers by kind and shape"},
    {"json", 0, FLAG, AT(json), FOR_ALL, NULL, "answer each command with one line of JSON on standard output; log in JSON on standard error"},
    {"verbose", 'v', COUNT, AT(verbose), FOR_ALL, NULL, "show complete answers, and log more; -vv logs everything"},
    {"quiet", 'q', FLAG, AT(quiet), FOR_GENERATE | CODECS, NULL,
     "no progress and no warnings; print only the paths of what was made"},
    {"quiet", 'q', FLAG, AT(quiet), FOR_ALL & ~(FOR_GENERATE | CODECS), NULL, "no progress and no warnings"},
    {"help", 'h', FLAG, AT(help), FOR_ALL, NULL, "show this help"},
};
// clang-format on
enum {
    TABLE_COUNT = sizeof table / sizeof *table,
    HELP_BYTES = 400
};

struct options options_default(void)
{
    const struct dr_generate_options job = dr_generate_options_default();
    return (struct options){
        .serve = {.keep_alive_s = INT32_MIN, .exit_idle_s = -1, .grace_s = -1},
        .precision = DR_PRECISION_UNSET,
        .weights = DR_WEIGHTS_UNSET,
        .prompt = job.prompt,
        .negative = job.negative,
        .sampler = job.sampler,
        .steps = job.steps,
        .clip_skip = job.clip_skip,
        .batch = job.batch,
        .bits = job.bits,
        .quality = job.quality,
        .seed = job.seed,
        .cfg = job.cfg,
        .sampling = job.sampling,
        .strength = job.strength,
    };
}

static enum dr_code fail(struct dr_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static enum dr_code fail(struct dr_error *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    err->code = DR_BAD_INPUT;
    (void)vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    return DR_BAD_INPUT;
}

enum number {
    NUMBER,
    NUMBER_OUT_OF_RANGE,
    NUMBER_NONE
};

static enum number parse_integer(const char *text, int64_t low, int64_t high,
                                 int64_t *out)
{
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (end == text || *end) return NUMBER_NONE;
    if (errno || value < low || value > high) return NUMBER_OUT_OF_RANGE;
    *out = value;
    return NUMBER;
}

/* A number too small for a double becomes zero or nearly zero. */
static enum number parse_real(const char *text, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    if (end == text || *end) return NUMBER_NONE;
    return errno && fabs(*out) > 1.0 ? NUMBER_OUT_OF_RANGE : NUMBER;
}

static enum dr_code store_integer(const struct option *option, const char *text,
                                  int64_t low, int64_t high, int64_t *out,
                                  struct dr_error *err)
{
    switch (parse_integer(text, low, high, out)) {
    case NUMBER: return DR_OK;
    case NUMBER_OUT_OF_RANGE:
        return fail(err, "--%s: %.80s is out of range; the %s is %lld", option->name,
                    text, *text == '-' ? "minimum" : "maximum",
                    (long long)(*text == '-' ? low : high));
    case NUMBER_NONE: break;
    }
    return fail(err, "--%s takes a whole number, not \"%.80s\"", option->name, text);
}

/* Any unsigned 64-bit number, as in PyTorch; -1 draws a random seed, as if none were given. */
static enum dr_code store_seed(const struct option *option, const char *text,
                               uint64_t *out, bool *is_given, struct dr_error *err)
{
    const char *const digits = text + (*text == '+' || *text == '-');
    if (!*digits || digits[strspn(digits, "0123456789")])
        return fail(err, "--%s takes a whole number, not \"%.80s\"", option->name,
                    text);
    errno = 0;
    const unsigned long long value = strtoull(digits, NULL, 10);
    if (*text == '-' && (errno || value > 1))
        return fail(
            err,
            "--%s: %.80s is out of range; the minimum is 0, or -1 for a random seed",
            option->name, text);
    if (errno)
        return fail(err, "--%s: %.80s is out of range; the maximum is %llu",
                    option->name, text, (unsigned long long)UINT64_MAX);
    *is_given = *text != '-' || !value;
    *out = *is_given ? value : dr_random_seed();
    return DR_OK;
}

static enum dr_code store_real(const struct option *option, const char *text,
                               double *out, struct dr_error *err)
{
    switch (parse_real(text, out)) {
    case NUMBER: return DR_OK;
    case NUMBER_OUT_OF_RANGE:
        return fail(err, "--%s: %.80s is out of range: give %s", option->name, text,
                    option->offset == AT(strength) ? "more than 0, at most 1"
                    : option->offset == AT(cfg)    ? "0 to 1000"
                                                   : "a smaller number");
    case NUMBER_NONE: break;
    }
    return fail(err, "--%s takes a number, not \"%.80s\"", option->name, text);
}

/* The index of a word in "auto|bf16|f32". */
static bool parse_word(const char *words, const char *text, int *out)
{
    const size_t length = strlen(text);
    for (int idx = 0; *words; ++idx) {
        const char *const bar = strchr(words, '|');
        const size_t word = bar ? (size_t)(bar - words) : strlen(words);
        if (word == length && strncmp(words, text, word) == 0) {
            *out = idx;
            return true;
        }
        words += bar ? word + 1 : word;
    }
    return false;
}

static enum dr_code store_word(const struct option *option, const char *text, int *out,
                               struct dr_error *err)
{
    char words[64], said[SUGGESTION_TEXT_BYTES], *rest = NULL;
    struct suggestion nearest;
    if (parse_word(option->value, text, out)) return DR_OK;
    (void)snprintf(words, sizeof words, "%s", option->value);
    suggestion_begin(&nearest, text);
    for (char *word = strtok_r(words, "|", &rest); word;
         word = strtok_r(NULL, "|", &rest))
        suggestion_offer(&nearest, word);
    return fail(err, "--%s takes %s, not \"%.80s\"%s", option->name, option->value,
                text, suggestion_text(&nearest, SUGGESTION_ENDS, said));
}

/* A name that is nearly one of a sampler or a schedule is said here; any other is the engine's to refuse. */
static enum dr_code check_name(const struct option *option, const char *text,
                               struct dr_error *err)
{
    char said[SUGGESTION_TEXT_BYTES];
    struct suggestion nearest;
    const bool of_samplers = option->offset == AT(sampler);
    if (!of_samplers && option->offset != AT(scheduler)) return DR_OK;
    suggestion_begin(&nearest, text);
    for (int32_t i = 0; dr_sampler_name(i); ++i) {
        const char *const sampler = dr_sampler_name(i);
        if (of_samplers && strcmp(sampler, text) == 0) return DR_OK;
        if (of_samplers) suggestion_offer(&nearest, sampler);
        for (int32_t k = 0; !of_samplers && dr_sampler_schedule(sampler, k); ++k) {
            if (strcmp(dr_sampler_schedule(sampler, k), text) == 0) return DR_OK;
            suggestion_offer(&nearest, dr_sampler_schedule(sampler, k));
        }
    }
    if (!suggestion_word(&nearest)) return DR_OK;
    return fail(err, "unknown %s \"%.80s\"%s--help lists the %ss", option->name, text,
                suggestion_text(&nearest, SUGGESTION_GOES_ON, said), option->name);
}

/* Parses "1024x768" according to "WxH". */
static enum number parse_pair(const char *form, const char *text, int32_t pair[2])
{
    char first[32];
    int64_t a, b;
    const char *const between = strchr(text, form[1]);
    const size_t length = between ? (size_t)(between - text) : 0;
    if (!between || length >= sizeof first) return NUMBER_NONE;
    memcpy(first, text, length);
    first[length] = '\0';
    const enum number one = parse_integer(first, 0, INT32_MAX, &a);
    const enum number two = parse_integer(between + 1, 0, INT32_MAX, &b);
    if (one != NUMBER || two != NUMBER) return one > two ? one : two;
    pair[0] = (int32_t)a;
    pair[1] = (int32_t)b;
    return NUMBER;
}

static enum dr_code store_pair(const struct option *option, const char *text,
                               int32_t pair[2], struct dr_error *err)
{
    switch (parse_pair(option->value, text, pair)) {
    case NUMBER: return DR_OK;
    case NUMBER_OUT_OF_RANGE:
        return fail(err, "--%s takes %s; %.80s is out of range: each must be 0 to %d",
                    option->name, option->value, text, INT32_MAX);
    case NUMBER_NONE: break;
    }
    return fail(err, "--%s takes two whole numbers, %s, not \"%.80s\"", option->name,
                option->value, text);
}

/* "0.2,0.8" */
static enum dr_code store_reals(const struct option *option, const char *text,
                                double pair[2], struct dr_error *err)
{
    char first[32];
    double a, b;
    const size_t length = strcspn(text, ",");
    (void)snprintf(first, sizeof first, "%.*s", (int)length, text);
    if (!text[length] || length >= sizeof first || parse_real(first, &a) != NUMBER ||
        parse_real(text + length + 1, &b) != NUMBER)
        return fail(err, "--%s takes two numbers, %s, not \"%.80s\"", option->name,
                    option->value, text);
    pair[0] = a;
    pair[1] = b;
    return DR_OK;
}

static enum dr_code store_bytes(const struct option *option, const char *text,
                                uint64_t *bytes, struct dr_error *err)
{
    struct dr_error why;
    if (dr_parse_bytes(text, bytes, &why) == DR_OK) return DR_OK;
    return fail(err, "--%s: %s", option->name, why.message);
}

static enum dr_code store_in_list(const struct option *option, const char *text,
                                  struct option_words *words, struct dr_error *err)
{
    int count = 0;
    while (words->list[count])
        ++count;
    if (!*text) return fail(err, "--%s needs a value: %s", option->name, option->value);
    if (count == OPTIONS_MAX_WORDS)
        return fail(err, "--%s can be given %d times", option->name, OPTIONS_MAX_WORDS);
    words->list[count] = text;
    return DR_OK;
}

/* "90", "90s", "5m", "2h", and -1 for never. */
static enum dr_code store_duration(const struct option *option, const char *text,
                                   int32_t *seconds, struct dr_error *err)
{
    char *end;
    errno = 0;
    const long long count = strtoll(text, &end, 10);
    const bool is_number = end != text && !errno;
    const long long unit = *end == 'h' ? 3600 : *end == 'm' ? 60 : 1;
    if (count >= 0 && *end && strchr("smh", *end)) ++end;
    if (!is_number || *end || count < -1 ||
        (count == -1 && option->offset != AT(serve.keep_alive_s)) ||
        count > INT32_MAX / unit)
        return fail(err, "--%s takes a time such as 90s, 5m or 2h, not \"%.80s\"",
                    option->name, text);
    *seconds = count < 0 ? -1 : (int32_t)(count * unit);
    return DR_OK;
}

static enum dr_code store(struct options *options, const struct option *option,
                          const char *text, struct dr_error *err)
{
    void *const field = (char *)options + option->offset;
    int64_t integer = 0;
    switch (option->kind) {
    case FLAG: *(bool *)field = true; return DR_OK;
    case COUNT: ++*(int32_t *)field; return DR_OK;
    case TEXT:
        /* A prompt may be empty, a file or a name may not. */
        if (!*text && strcmp(option->value, "TEXT") != 0)
            return fail(err, "--%s needs a value: %s", option->name, option->value);
        *(const char **)field = text;
        return check_name(option, text, err);
    case REAL: return store_real(option, text, field, err);
    case BYTES: return store_bytes(option, text, field, err);
    case INT32: {
        const enum dr_code code =
            store_integer(option, text, INT32_MIN, INT32_MAX, &integer, err);
        if (code == DR_OK) *(int32_t *)field = (int32_t)integer;
        return code;
    }
    case SEED: {
        bool is_given = false;
        const enum dr_code code = store_seed(option, text, field, &is_given, err);
        if (code == DR_OK && option->offset == AT(seed)) options->seed_given = is_given;
        return code;
    }
    case PAIR: return store_pair(option, text, field, err);
    case REALS: return store_reals(option, text, field, err);
    case WORD: return store_word(option, text, field, err);
    case LIST: return store_in_list(option, text, field, err);
    case DURATION: return store_duration(option, text, field, err);
    }
    return DR_OK;
}

/* What the library takes for "not given" is no value that can be given. */
static enum dr_code check_given(const struct options *options,
                                const struct option *option, const char *text,
                                struct dr_error *err)
{
    const size_t offset = option->offset;
    const char *least = NULL;
    if ((offset == AT(width) && options->width == 0) ||
        (offset == AT(height) && options->height == 0))
        least = "64";
    if (offset == AT(steps) && options->steps == 0) least = "1";
    if (offset == AT(packs_limit) && options->packs_limit == 0) least = "1";
    if ((offset == AT(serve.batch) && options->serve.batch < 1) ||
        (offset == AT(serve.steps) && options->serve.steps < 1) ||
        (offset == AT(serve.queue) && options->serve.queue < 1) ||
        (offset == AT(serve.body_bytes) && options->serve.body_bytes == 0) ||
        (offset == AT(serve.body_memory_bytes) &&
         options->serve.body_memory_bytes == 0) ||
        (offset == AT(serve.pixels) && options->serve.pixels == 0))
        least = "1";
    if (offset == AT(serve.connections) && options->serve.connections < 4) least = "4";
    if (offset == AT(cfg) && options->cfg == DR_CFG_DEFAULT) least = "0";
    if (offset == AT(sampling.eta) && options->sampling.eta < 0) least = "0";
    return least ? fail(err, "--%s: %.80s is out of range; the minimum is %s",
                        option->name, text, least)
                 : DR_OK;
}

/* An option with another text for another command has a row for each: the command's own, else any. */
static const struct option *prefer(const struct option *found, const struct option *row,
                                   unsigned command)
{
    return !found || (row->commands & command & FOR_ALL) ? row : found;
}

static const struct option *find_long(const char *name, size_t length, unsigned command)
{
    const struct option *found = NULL;
    for (int i = 0; i < TABLE_COUNT; ++i)
        if (strlen(table[i].name) == length &&
            strncmp(table[i].name, name, length) == 0)
            found = prefer(found, &table[i], command);
    return found;
}

static const struct option *find_short(char letter, unsigned command)
{
    const struct option *found = NULL;
    for (int i = 0; i < TABLE_COUNT; ++i)
        if (table[i].letter == letter) found = prefer(found, &table[i], command);
    return found;
}

static void note_given(struct options *options, const struct option *option,
                       const char *text)
{
    if (option->offset == AT(budget)) {
        options->budget_given = true;
        options->budget_text = text;
    }
    if (option->offset == AT(keep)) options->keep_given = true;
    if (option->offset == AT(strength)) options->strength_given = true;
    if (option->offset == AT(prompt)) options->prompt_given = true;
}

static bool takes_value(const struct option *option)
{
    return option->kind != FLAG && option->kind != COUNT;
}

/* Finds the option that a word names. *value is the value in the same word ("--seed=7", "-s7"), or NULL. */
static const struct option *find(const char *word, const char **value, unsigned command)
{
    if (word[1] == '-') {
        const char *const name = word + 2, *const equals = strchr(name, '=');
        *value = equals ? equals + 1 : NULL;
        return find_long(name, equals ? (size_t)(equals - name) : strlen(name),
                         command);
    }
    *value = word[2] ? word + 2 : NULL;
    return find_short(word[1], command);
}

/* The command's option that is nearest to an unknown one. */
static enum dr_code refuse_unknown(unsigned command, const char *word,
                                   struct dr_error *err)
{
    char text[SUGGESTION_TEXT_BYTES], name[SUGGESTION_MAX_BYTES + 2];
    struct suggestion nearest;
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    suggestion_begin(&nearest, name);
    for (int i = 0; word[1] == '-' && i < TABLE_COUNT; ++i) {
        char own[SUGGESTION_MAX_BYTES];
        (void)snprintf(own, sizeof own, "--%s", table[i].name);
        if (table[i].commands & command & FOR_ALL) suggestion_offer(&nearest, own);
    }
    return fail(err, "unknown option %.80s%s--help lists the options of this command",
                word, suggestion_text(&nearest, SUGGESTION_GOES_ON, text));
}

static enum dr_code check_place(const struct option *option, unsigned command,
                                const char *word, struct dr_error *err)
{
    if (!option || !(option->commands & command & FOR_ALL))
        return refuse_unknown(command, word, err);
    if ((command & IN_SHELL) && (option->commands & AT_START))
        return fail(
            err,
            "--%s is fixed when the shell starts; quit, then run darkroom shell --%s %s",
            option->name, option->name, option->value);
    return DR_OK;
}

/* Handles one word that begins with a dash. If its value is the next word, *idx advances to it. */
static enum dr_code take_option(struct options *options, unsigned command, int count,
                                const char *const *words, int *idx,
                                struct dr_error *err)
{
    const char *const word = words[*idx], *value;
    const struct option *const option = find(word, &value, command);
    const enum dr_code code = check_place(option, command, word, err);
    if (code != DR_OK) return code;
    if (!takes_value(option) && value && word[1] == '-')
        return fail(err, "--%s takes no value", option->name);
    if (!takes_value(option) && value)
        return fail(
            err, "-%c takes no value; give each option its own dash instead of %.80s",
            option->letter, word);
    if (takes_value(option) && !value) {
        if (*idx + 1 == count)
            return fail(err, "--%s needs a value: %s", option->name, option->value);
        value = words[++*idx];
    }
    note_given(options, option, value);
    const enum dr_code stored = store(options, option, value, err);
    return stored == DR_OK ? check_given(options, option, value, err) : stored;
}

static bool is_negative_number(const char *word)
{
    return word[0] == '-' && ((word[1] >= '0' && word[1] <= '9') || word[1] == '.');
}

enum dr_code options_parse(struct options *options, unsigned command, int count,
                           const char *const *words, struct dr_error *err)
{
    bool ended = false;
    for (int i = 0; i < count; ++i) {
        const char *const word = words[i];
        if (!ended && strcmp(word, "--") == 0) {
            ended = true;
        } else if (ended || word[0] != '-' || !word[1] || is_negative_number(word)) {
            if (options->operand_count == OPTIONS_MAX_OPERANDS)
                return fail(
                    err,
                    "too many arguments, starting at \"%.80s\"; quote text that contains spaces",
                    word);
            options->operands[options->operand_count++] = word;
        } else {
            const enum dr_code code =
                take_option(options, command, count, words, &i, err);
            if (code != DR_OK) return code;
        }
    }
    return DR_OK;
}

bool options_have_json(int count, const char *const *words)
{
    for (int i = 0; i < count; ++i)
        if (strcmp(words[i], "--json") == 0) return true;
    return false;
}

/* Is the option listed for this command? */
static bool is_listed(const struct option *option, unsigned command)
{
    if (!(option->commands & command & FOR_ALL)) return false;
    return !((command & IN_SHELL) && (option->commands & AT_START));
}

/* Of `again`: what the picture says of itself is the default. Longest text: that of the table. */
static const char *help_of(const struct option *option, unsigned command,
                           char text[static HELP_BYTES])
{
    static const size_t said[] = {AT(model),
                                  AT(prompt),
                                  AT(negative),
                                  AT(width),
                                  AT(height),
                                  AT(original),
                                  AT(crop),
                                  AT(target),
                                  AT(seed),
                                  AT(steps),
                                  AT(cfg),
                                  AT(sampler),
                                  AT(vae),
                                  AT(scheduler),
                                  AT(clip_skip),
                                  AT(prediction),
                                  AT(precision),
                                  AT(rng),
                                  AT(bits),
                                  AT(strength),
                                  AT(sampling.eta),
                                  AT(sampling.s_churn),
                                  AT(sampling.s_tmin),
                                  AT(sampling.s_tmax),
                                  AT(sampling.s_noise),
                                  AT(sampling.eta_seed_delta),
                                  AT(sampling.variation_seed),
                                  AT(sampling.variation_strength),
                                  AT(sampling.seed_resize_width),
                                  AT(sampling.cfg_rescale),
                                  AT(sampling.cfg_from),
                                  AT(sampling.s_min_uncond)};
    const char *const end = strstr(option->help, " (default");
    const char *by = option->offset == AT(output) ? "NAME-again.png" : NULL;
    if (!(command & OF_PICTURE)) return option->help;
    for (size_t i = 0; i < sizeof said / sizeof *said; ++i)
        if (option->offset == said[i]) by = "the picture's";
    if (!by) return option->help;
    (void)snprintf(text, HELP_BYTES, "%.*s (default: %s)",
                   (int)(end ? (size_t)(end - option->help) : strlen(option->help)),
                   option->help, by);
    return text;
}

void options_print_help(FILE *stream, unsigned command)
{
    for (int i = 0; i < TABLE_COUNT; ++i) {
        char left[64];
        if (!is_listed(&table[i], command)) continue;
        const int wrote = table[i].letter
                              ? snprintf(left, sizeof left, "-%c, --%s",
                                         table[i].letter, table[i].name)
                              : snprintf(left, sizeof left, "    --%s", table[i].name);
        if (table[i].value && wrote > 0)
            (void)snprintf(left + wrote, sizeof left - (size_t)wrote, " %s",
                           table[i].value);
        char row[72], text[HELP_BYTES];
        (void)snprintf(row, sizeof row, "  %s", left);
        help_text_print_row(stream, row, 33, help_of(&table[i], command, text));
    }
}

void options_print_names(FILE *stream, unsigned command)
{
    for (int i = 0; i < TABLE_COUNT; ++i) {
        if (!is_listed(&table[i], command)) continue;
        fprintf(stream, "--%s\n", table[i].name);
        if (table[i].letter) fprintf(stream, "-%c\n", table[i].letter);
    }
}

static bool is_printed_before(const char *sampler, int32_t idx)
{
    const char *const name = dr_sampler_schedule(sampler, idx);
    for (int32_t k = 0; dr_sampler_name(k) && strcmp(dr_sampler_name(k), sampler) != 0;
         ++k)
        for (int32_t i = 0; dr_sampler_schedule(dr_sampler_name(k), i); ++i)
            if (strcmp(dr_sampler_schedule(dr_sampler_name(k), i), name) == 0)
                return true;
    return false;
}

static void print_schedules(FILE *stream)
{
    fputs("automatic\n", stream);
    for (int32_t k = 0; dr_sampler_name(k); ++k)
        for (int32_t i = 0; dr_sampler_schedule(dr_sampler_name(k), i); ++i)
            if (!is_printed_before(dr_sampler_name(k), i))
                fprintf(stream, "%s\n", dr_sampler_schedule(dr_sampler_name(k), i));
}

/* Of models: files, and the names of those in the model directories. */
static void print_models(FILE *stream)
{
    struct dr_model_list list;
    struct dr_error problem;
    fputs("FILE\n", stream);
    if (dr_models_list(NULL, &list, &problem) == DR_OK)
        for (size_t i = 0; i < list.count; ++i)
            fprintf(stream, "%s\n", list.models[i].name);
    dr_model_list_free(&list);
}

/* Of the user's own file. */
static void print_styles(FILE *stream)
{
    struct dr_style_list list;
    struct dr_error problem;
    if (dr_list_styles(NULL, &list, &problem) == DR_OK)
        for (size_t i = 0; i < list.count; ++i)
            fprintf(stream, "%s\n", list.styles[i].name);
    dr_style_list_free(&list);
}

void options_print_values(FILE *stream, const char *word)
{
    const char *value;
    const struct option *const option =
        word[0] == '-' && word[1] ? find(word, &value, FOR_ALL) : NULL;
    if (!option || !takes_value(option)) return;
    if (option->offset == AT(sampler)) {
        for (int32_t i = 0; dr_sampler_name(i); ++i)
            fprintf(stream, "%s\n", dr_sampler_name(i));
    } else if (option->offset == AT(scheduler)) {
        print_schedules(stream);
    } else if (option->offset == AT(vae)) {
        fputs("automatic\nnone\nFILE\n", stream);
    } else if (option->offset == AT(styles)) {
        print_styles(stream);
    } else if (strcmp(option->value, "MODEL") == 0) {
        print_models(stream);
    } else if (strcmp(option->value, "DIR") == 0) {
        fputs("DIR\n", stream);
    } else if (option->kind == TEXT && (strcmp(option->value, "FILE") == 0 ||
                                        strcmp(option->value, "IMAGE") == 0)) {
        fputs("FILE\n", stream);
    } else if (strchr(option->value, '|')) {
        for (const char *c = option->value; *c; ++c)
            fputc(*c == '|' ? '\n' : *c, stream);
        fputc('\n', stream);
    } else {
        fputs("VALUE\n", stream);
    }
}
