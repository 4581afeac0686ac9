/* yaml_config — NAME.yaml beside NAME.safetensors, as A1111 and similar programs read it.
 *
 * Such a file is the training configuration of the model. Its scalars are recorded as metadata
 * of CONFIG_YAML (tensor_file.h). Keys of nested mappings are joined with dots, and items of a
 * sequence are numbered: "model.params.parameterization". Aliases are not followed, so a small
 * file cannot expand.
 * Library: libyaml's event parser.
 */
#ifndef WEIGHTS_YAML_CONFIG_H
#define WEIGHTS_YAML_CONFIG_H

#include "weights/tensor_reader.h"

/* "a/b.safetensors" to "a/b.yaml", in the pool; NULL without memory. */
char *yaml_config_path(struct pool *pool, const char *path);

/* Records the YAML file beside a checkpoint's path; does nothing if there is none. Errors:
 * DR_CORRUPT (line and what is wrong there), DR_UNSUPPORTED (too large, too deep), DR_IO,
 * DR_NOMEM; each names the file. */
enum dr_code yaml_config_beside(struct tensor_list *list, const char *path,
                                struct dr_error *err) DR_MUST_CHECK;

/* The parser, on text in memory. path names it. */
enum dr_code yaml_config_parse(struct tensor_list *list, const char *path,
                               const void *text, size_t bytes,
                               struct dr_error *err) DR_MUST_CHECK;

#endif
