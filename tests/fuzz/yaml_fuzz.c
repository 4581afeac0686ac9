/* yaml_fuzz — any bytes as the YAML configuration beside a checkpoint.
 *
 * What is noted is bounded, under keys that are whole, and each is looked up in meaning.h's table, as
 * opening a checkpoint does. What is refused leaves a sentence that names the file.
 */
#include <assert.h>
#include <string.h>

#include "weights/meaning.h"
#include "weights/yaml_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct pool pool = {0};
    struct tensor_list list = {.pool = &pool};
    struct dr_error err = {.message = ""};
    const enum dr_code code = yaml_config_parse(&list, "m.yaml", data, bytes, &err);
    assert((code == DR_OK) == (err.message[0] == '\0'));
    assert(code == DR_OK || strstr(err.message, "m.yaml"));
    assert(list.metadata_count <= 4096 && list.tensors == NULL);
    for (size_t i = 0; i < list.metadata_count; ++i) {
        const struct tensor_metadata *const said = &list.metadata[i];
        bool is_known;
        assert(said->config == CONFIG_YAML && strcmp(said->config_path, "m.yaml") == 0);
        assert(strlen(said->key) < 512 && strlen(said->text) <= METADATA_MAX_TEXT);
        const struct meaning_rule *const rule =
            meaning_find(MEANING_YAML, said->key, said->text, &is_known);
        assert(!rule || is_known);
        for (size_t k = 0; k < i && i < 64; ++k)
            assert(strcmp(list.metadata[k].key, said->key) != 0);
    }
    pool_finish(&pool);
    return 0;
}
