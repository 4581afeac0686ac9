/* extra_networks — what prompts can name beside words, as clients list it: the LoRAs and embeddings in the service's
 * directories, and styles and wildcards, which are words.
 *
 *     name     "ink"                      what <lora:ink:0.8>, or the word of a prompt, says: the file without its extension
 *     file     "style/ink.safetensors"    below its directory
 *
 * A list is made when somebody asks for it, by reading each file's header. It is kept for a while, which is the longer the
 * longer that took, and given to all that ask meanwhile; extra_networks_refresh drops it. Jobs look at the directories by themselves.
 * Threads: any.
 */
#ifndef SERVICE_EXTRA_NETWORKS_H
#define SERVICE_EXTRA_NETWORKS_H

#include <darkroom/darkroom.h>
#include <jansson.h>

struct extra_networks; /* opaque */

enum extra_kind {
    EXTRA_LORAS,
    EXTRA_EMBEDDINGS,
    EXTRA_KIND_COUNT
};

enum {
    EXTRA_NETWORKS_KEEP_MS = 1000,
    EXTRA_NETWORKS_SHARE = 20, /* times as long as the listing took */
    EXTRA_NETWORKS_LONGEST_MS = 60 * 1000
};

struct extra_networks_options {
    /* Directories of each kind, NULL-terminated; NULL: the default. */
    const char *const *folders[EXTRA_KIND_COUNT];
    const char *styles_file; /* borrowed; NULL: the default */
    /* Of "__name__" in prompts; borrowed; NULL: none, and "__name__" is text. */
    const char *wildcard_folder;
    double (*clock_ms)(void); /* dr_clock_ms */
};
/* Nothing is read yet. Errors: DR_BAD_INPUT (a directory with ":" in its name), DR_NOMEM. */
enum dr_code extra_networks_create(struct extra_networks **out,
                                   const struct extra_networks_options *options,
                                   struct dr_error *err) DR_MUST_CHECK;
void extra_networks_destroy(struct extra_networks *networks); /* NULL is fine */

/* As dr_generate_options.lora_directory takes it: borrowed; NULL: the default. */
const char *extra_networks_directory(const struct extra_networks *networks,
                                     enum extra_kind kind);

/* A list, a new value, as front/lora_json.h and embedding_json.h have it: {"lora_dir", "loras": [...], "left_out"},
 * {"embedding_dir", "embeddings": [...], "left_out"}. Errors: dr_list_loras's, dr_list_embeddings's. */
enum dr_code extra_networks_list(struct extra_networks *networks, enum extra_kind kind,
                                 json_t **list, struct dr_error *err) DR_MUST_CHECK;
/* The styles, which are dr_style_list_free's; read each time. Errors: dr_list_styles's, without its directory. */
enum dr_code extra_networks_styles(struct extra_networks *networks,
                                   struct dr_style_list *list,
                                   struct dr_error *err) DR_MUST_CHECK;
/* As dr_expansion.styles_path takes it. */
const char *extra_networks_styles_file(const struct extra_networks *networks);
/* The next who asks gets what is there then. */
void extra_networks_refresh(struct extra_networks *networks);

/* The name of the LoRA whose file, below its directory, this is: into name. Errors: DR_NOT_FOUND, dr_list_loras's. */
enum dr_code extra_networks_find_lora(struct extra_networks *networks, const char *file,
                                      char name[256],
                                      struct dr_error *err) DR_MUST_CHECK;

/* dr_check_prompts, with messages for clients: no path of this machine is in them. */
enum dr_code extra_networks_check(struct extra_networks *networks, const char *prompt,
                                  const char *negative,
                                  struct dr_error *err) DR_MUST_CHECK;
/* The prompts of the picture with this seed, which differ from the request's where they have wildcards: dr_expanded_free's.
 * Errors: dr_expand_prompt's, without its directory. */
enum dr_code extra_networks_expand(const struct extra_networks *networks,
                                   const char *prompt, const char *negative,
                                   uint64_t seed, struct dr_expanded *out,
                                   struct dr_error *err) DR_MUST_CHECK;
/* In a text of the engine, in place: files in the directories are named from there on (model_folders_hide). */
void extra_networks_hide(struct extra_networks *networks, char *text);

#endif
