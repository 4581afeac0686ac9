/* zip_fuzz — any bytes as a zip file, as far as its directory is read.
 *
 * What opens must be sound: entries in order, each found by its name or one that hides it, all of
 * a stored one's content within the file. What does not open leaves an error and nothing else.
 */
#include <assert.h>
#include <string.h>

#include "input_file.h"
#include "weights/zip_archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_entry(const struct zip_archive *archive,
                        const struct zip_entry *entry, size_t bytes)
{
    const size_t folder = archive->folder_bytes;
    uint64_t offset = 0;
    struct dr_error err = {.message = ""};
    const enum dr_code code = zip_archive_place(archive, entry, &offset, &err);
    assert((code == DR_OK) == (err.message[0] == '\0'));
    assert(code != DR_OK || (offset <= bytes && entry->bytes <= bytes - offset));
    if (entry->name_bytes < folder || memcmp(entry->name, archive->folder, folder) != 0)
        return;
    assert(zip_archive_find(archive, entry->name + folder,
                            entry->name_bytes - folder) == entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct tensor_shard shard;
    struct zip_archive archive;
    struct dr_error err = {.message = ""};
    if (tensor_shard_open(&shard, input_file(data, bytes), &err) != DR_OK) abort();
    const enum dr_code code = zip_archive_open(&archive, &shard, "data.pkl", &err);
    assert((code == DR_OK) == (err.message[0] == '\0'));
    assert(code == DR_OK || (!archive.entries && !archive.directory));
    for (size_t i = 0; i < archive.entry_count; ++i) {
        const struct zip_entry *const entry = &archive.entries[i];
        assert(entry->name >= (const char *)archive.directory);
        assert(entry->name_bytes <= archive.directory_bytes);
        check_entry(&archive, entry, bytes);
    }
    zip_archive_close(&archive);
    tensor_shard_close(&shard);
    return 0;
}
