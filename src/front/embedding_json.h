/* embedding_json — embeddings: one that was inspected, and those of a directory.
 *
 *     {"embedding_dir": "...", "embeddings": [{"name": "easynegative", "path": "...", "family": "sd15",
 *      "vector_count": 8, "width": 768, "bytes": 24576, "hash": "c74b4e810b03", "base_model": "...",
 *      "base_hash": "...", "step": 500, "problem": ""}, ...], "left_out": "..."}
 *
 * width2 is that of the second text encoder, and only there where the file has vectors for it. problem is "" for a file that can be used. step is null where the file does not say it. left_out is left out where
 * nothing was left out.
 */
#ifndef FRONT_EMBEDDING_JSON_H
#define FRONT_EMBEDDING_JSON_H

#include <darkroom/darkroom.h>
#include <jansson.h>

json_t *embedding_json(const struct dr_embedding_info *info);
/* The members of one, and "kind": "embedding", to an answer. */
void embedding_json_add(json_t *answer, const struct dr_embedding_info *info);
void embedding_list_json_add(json_t *answer, const struct dr_embedding_list *list);

#endif
