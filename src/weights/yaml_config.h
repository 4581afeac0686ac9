/* yaml_config — NAME.yaml beside NAME.safetensors, as A1111 and its kin read it.
 *
 * Such a file is the configuration that the model was trained with. Its scalars are noted as
 * metadata of CONFIG_YAML (tensor_file.h): the keys of nested mappings joined by dots, the
 * places of a sequence as numbers, "model.params.parameterization". Aliases are not followed, so
 * nothing in the file can grow.
 * Library: libyaml's event parser.
 */
#ifndef WEIGHTS_YAML_CONFIG_H
#define WEIGHTS_YAML_CONFIG_H

#include "weights/tensor_reader.h"

/* "a/b.safetensors" to "a/b.yaml", in the pool; NULL without memory. */
char *yaml_config_path(struct pool *pool, const char *path);

/* Note the YAML file beside a checkpoint's path; nothing where there is none. Errors: DR_CORRUPT
 * (line and what is wrong there), DR_UNSUPPORTED (too large, too deep), DR_IO, DR_NOMEM; each
 * names the file. */
enum dr_code yaml_config_beside(struct tensor_list *list, const char *path,
                                struct dr_error *err) DR_MUST_CHECK;

/* The parser, on text in memory. path names it. */
enum dr_code yaml_config_parse(struct tensor_list *list, const char *path,
                               const void *text, size_t bytes,
                               struct dr_error *err) DR_MUST_CHECK;

#endif
