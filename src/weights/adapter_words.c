#include "weights/adapter_words.h"

#include <string.h>

#include "base/utf8.h"
#include "weights/tensor_reader.h"

struct word {
    const char *text;
    json_int_t count;
};

/* Keep the most frequent, in order. One that is there already is counted once, where it is more frequent. */
static void keep(struct word *words, size_t *count, struct word word)
{
    size_t at = 0;
    while (at < *count && words[at].count >= word.count) {
        if (strcmp(words[at].text, word.text) == 0) return;
        ++at;
    }
    if (at == ADAPTER_TRIGGER_WORDS) return;
    if (*count < ADAPTER_TRIGGER_WORDS) ++*count;
    memmove(&words[at + 1], &words[at], (*count - at - 1) * sizeof *words);
    words[at] = word;
    for (size_t i = at + 1; i < *count; ++i)
        if (strcmp(words[i].text, word.text) == 0) {
            memmove(&words[i], &words[i + 1], (*count - i - 1) * sizeof *words);
            --*count;
            return;
        }
}

static bool is_shown(const char *text)
{
    if (!text[0] || strlen(text) > 100) return false;
    for (const char *at = text; *at; ++at)
        if ((unsigned char)*at < 32 || *at == 127) return false;
    return true;
}

/* {"directory": {"tag": count, ...}, ...} */
static void read_table(json_t *table, struct word *words, size_t *count)
{
    const char *directory, *tag;
    json_t *tags, *times;
    json_object_foreach(table, directory, tags)
        json_object_foreach(tags, tag,
                            times) if (json_is_integer(times) && is_shown(tag))
            keep(words, count, (struct word){tag, json_integer_value(times)});
}

enum dr_code adapter_words_find(struct adapter_file *adapter, struct dr_error *err)
{
    const char *const phrase =
        tensor_file_metadata(&adapter->file, "modelspec.trigger_phrase");
    const char *const text = tensor_file_metadata(&adapter->file, "ss_tag_frequency");
    struct word words[ADAPTER_TRIGGER_WORDS + 1];
    size_t count = 0;
    json_t *table = NULL;
    if (phrase && is_shown(phrase))
        keep(words, &count, (struct word){phrase, INT64_MAX});
    if (text && header_parse(&table, "tag table", text, strlen(text), NULL) == DR_OK)
        read_table(table, words, &count);
    enum dr_code code = DR_OK;
    for (size_t i = 0; i < count && !code; ++i) {
        adapter->words[i] = pool_string(&adapter->pool, words[i].text);
        if (!adapter->words[i])
            code = error_set(err, DR_NOMEM, "no memory for the words of an adapter");
    }
    adapter->word_count = count;
    json_decref(table);
    return code;
}
