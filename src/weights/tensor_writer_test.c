#include "check.h"
#include "scratch_folder.h"

#include <dirent.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/fault_fixture.h"
#include "weights/tensor_writer.h"

static struct dr_error error;
static uint64_t random_state = 7;

static uint64_t draw(uint64_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % below;
}

static int count_files(void)
{
    int count = 0;
    DIR *const folder = opendir(scratch_folder());
    for (const struct dirent *entry; (entry = readdir(folder));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    return count;
}

static size_t item_bytes(const struct tensor_writer_item *item)
{
    size_t bytes = dtype_bytes(item->dtype);
    for (int i = 0; i < item->rank; ++i)
        bytes *= (size_t)item->dims[i];
    return bytes;
}

/* ---- random tables, there and back ---- */

enum {
    MAX_ITEMS = 20
};

static int draw_items(struct tensor_writer_item *items, char names[][16])
{
    const int count = 1 + (int)draw(MAX_ITEMS);
    for (int i = 0; i < count; ++i) {
        /* Names that JSON must escape are names too. */
        (void)snprintf(names[i], 16, "%s%d", draw(2) ? "t\"\\/" : "\xc3\xa9 ", i);
        items[i] =
            (struct tensor_writer_item){.name = names[i],
                                        .dtype = (enum dtype)draw(DTYPE_BOOL + 1),
                                        .rank = (int32_t)draw(6)};
        for (int k = 0; k < items[i].rank; ++k)
            items[i].dims[k] = (int64_t)draw(5);
    }
    return count;
}

static void read_back(const char *path, const struct tensor_writer_item *items,
                      int count, const unsigned char *data)
{
    static unsigned char read[64 * 1024];
    struct tensor_file file;
    check_int(tensor_file_open(&file, path, &error), ==, DR_OK);
    check_int(file.tensor_count, ==, count);
    check_str(tensor_file_metadata(&file, "key \""), "text\n\\");
    for (int i = 0; i < count; ++i) {
        const struct tensor *const tensor = tensor_file_find(&file, items[i].name);
        check(tensor && tensor->dtype == items[i].dtype &&
              tensor->rank == items[i].rank);
        if (!tensor) continue;
        check_bytes(tensor->dims, items[i].dims, sizeof tensor->dims);
        check_int(tensor_file_read(&file, tensor, 0, read, (size_t)tensor->bytes,
                                   &error),
                  ==, DR_OK);
        check_bytes(read, data, (size_t)tensor->bytes);
        data += tensor->bytes;
    }
    tensor_file_close(&file);
}

static void writes_random_tables(void)
{
    static unsigned char data[MAX_ITEMS * 8 * 1024];
    static const struct tensor_metadata metadata[] = {
        {.key = "key \"", .text = "text\n\\"},
        {.key = "b",      .text = ""        }
    };
    fprintf(stderr, "seed %" PRIu64 "\n", random_state);
    for (size_t i = 0; i < sizeof data; ++i)
        data[i] = (unsigned char)draw(256);
    for (int round = 0; round < 200; ++round) {
        struct tensor_writer_item items[MAX_ITEMS];
        char names[MAX_ITEMS][16];
        const int count = draw_items(items, names);
        size_t total = 0, done = 0;
        for (int i = 0; i < count; ++i)
            total += item_bytes(&items[i]);
        const char *const path = scratch_path("table.safetensors");
        struct tensor_writer *writer = NULL;
        check_int(tensor_writer_open(&writer, path, items, (size_t)count, metadata, 2,
                                     &error),
                  ==, DR_OK);
        while (done < total) {
            size_t bytes = 1 + draw(3000);
            if (bytes > total - done) bytes = total - done;
            check_int(tensor_writer_add(writer, data + done, bytes, &error), ==, DR_OK);
            done += bytes;
        }
        check_int(tensor_writer_commit(&writer, &error), ==, DR_OK);
        check(!writer);
        read_back(path, items, count, data);
    }
    check_int(count_files(), ==, 1);
}

/* ---- refusals ---- */

static void refuses_bad_items(void)
{
    const struct tensor_writer_item huge = {
        .name = "huge", .dtype = DTYPE_F32, .rank = 2, .dims = {INT64_MAX, 4}
    };
    const struct tensor_writer_item negative = {
        .name = "negative", .dtype = DTYPE_F32, .rank = 1, .dims = {-1}};
    const struct tensor_writer_item deep = {.name = "deep",
                                            .rank = TENSOR_MAX_RANK + 1};
    const struct tensor_writer_item twice[2] = {{.name = "twice"}, {.name = "twice"}};
    const struct tensor_writer_item reserved = {.name = "__metadata__"};
    const struct tensor_writer_item broken = {.name = "\xff"};
    const struct tensor_metadata bad_text = {.key = "key", .text = "\xff"};
    const char *const path = scratch_path("refused.safetensors");
    struct tensor_writer *writer = NULL;
    const int before = count_files();
    check_int(tensor_writer_open(&writer, path, &huge, 1, NULL, 0, &error), ==,
              DR_BAD_INPUT);
    check_has(error.message, "huge");
    check_int(tensor_writer_open(&writer, path, &negative, 1, NULL, 0, &error), ==,
              DR_BAD_INPUT);
    check_int(tensor_writer_open(&writer, path, &deep, 1, NULL, 0, &error), ==,
              DR_BAD_INPUT);
    check_int(tensor_writer_open(&writer, path, twice, 2, NULL, 0, &error), ==,
              DR_BAD_INPUT);
    check_has(error.message, "two tensors are named twice");
    check_int(tensor_writer_open(&writer, path, &reserved, 1, NULL, 0, &error), ==,
              DR_BAD_INPUT);
    check_int(tensor_writer_open(&writer, path, &broken, 1, NULL, 0, &error), ==,
              DR_BAD_INPUT);
    check_int(tensor_writer_open(&writer, path, NULL, 0, &bad_text, 1, &error), ==,
              DR_BAD_INPUT);
    check_int(tensor_writer_open(&writer, "/nonexistent/x", NULL, 0, NULL, 0, &error),
              ==, DR_IO);
    check(!writer);
    check_int(count_files(), ==, before);
}

/* ---- failures ---- */

static enum dr_code write_one(const char *path, const char *data)
{
    const struct tensor_writer_item item = {
        .name = "x", .dtype = DTYPE_U8, .rank = 1, .dims = {4}};
    struct tensor_writer *writer = NULL;
    error = (struct dr_error){0};
    enum dr_code code = tensor_writer_open(&writer, path, &item, 1, NULL, 0, &error);
    if (!code) code = tensor_writer_add(writer, data, 4, &error);
    if (!code) code = tensor_writer_commit(&writer, &error);
    tensor_writer_discard(&writer);
    return code;
}

/* Whatever fails, the old file stays, and nothing else does. */
static void leaves_the_old_file(void)
{
    const char *const path = scratch_path("old.safetensors");
    check_int(write_one(path, "old!"), ==, DR_OK);
    const int before = count_files();
    int faults = 0;
    for (int nth = 1;; ++nth) {
        fault_arm(1u << FAULT_WRITE, nth, FAULT_FROM_THEN_ON);
        const enum dr_code code = write_one(path, "new!");
        const bool struck = fault_has_struck();
        fault_disarm();
        struct tensor_file file;
        char data[5] = "";
        check_int(tensor_file_open(&file, path, &error), ==, DR_OK);
        check_int(tensor_file_read(&file, &file.tensors[0], 0, data, 4, &error), ==,
                  DR_OK);
        check_str(data, struck ? "old!" : "new!");
        tensor_file_close(&file);
        check_int(count_files(), ==, before);
        check_int(code, ==, struck ? DR_IO : DR_OK);
        if (!struck) break;
        ++faults;
    }
    check_int(faults, >=, 4);
}

static void discards(void)
{
    const struct tensor_writer_item item = {
        .name = "x", .dtype = DTYPE_U8, .rank = 1, .dims = {4}};
    const int before = count_files();
    struct tensor_writer *writer = NULL;
    check_int(tensor_writer_open(&writer, scratch_path("gone.safetensors"), &item, 1,
                                 NULL, 0, &error),
              ==, DR_OK);
    check_int(count_files(), ==, before + 1);
    tensor_writer_discard(&writer);
    check(!writer);
    tensor_writer_discard(&writer);
    tensor_writer_discard(NULL);
    check_int(count_files(), ==, before);
}

int main(void)
{
    check_run(writes_random_tables);
    check_run(refuses_bad_items);
    check_run_with_faults(leaves_the_old_file);
    check_run(discards);
    return check_done();
}
