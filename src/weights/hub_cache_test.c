/* Top directories, and what only looks like one. */
#include "weights/hub_cache.h"

#include <limits.h>

#include "check.h"
#include "scratch_folder.h"

static struct dr_error error;
static char found[PATH_MAX];

static void run(const char *command)
{
    char whole[1024];
    (void)snprintf(whole, sizeof whole, "cd '%s' && %s", scratch_folder(), command);
    if (system(whole) != 0) abort();
}

static enum dr_code resolve(const char *path)
{
    found[0] = '\0';
    error = (struct dr_error){0};
    return hub_cache_resolve(path, found, sizeof found, &error);
}

static void other_paths_are_themselves(void)
{
    run("mkdir -p plain/snapshots file && touch file/model_index.json");
    check_int(resolve(scratch_path("plain")), ==, DR_OK);
    check_str(found, scratch_path("plain"));
    check(!hub_cache_is_top(scratch_path("plain")));
    check_int(resolve(scratch_path("file/model_index.json")), ==, DR_OK);
    check_str(found, scratch_path("file/model_index.json"));
    check_int(resolve(scratch_path("nowhere")), ==, DR_OK);
    check_str(found, scratch_path("nowhere"));
    run("mkdir -p models--a--b/blobs models--a--b/snapshots/1111");
    check_int(resolve(scratch_path("models--a--b/snapshots/1111")), ==, DR_OK);
    check_str(found, scratch_path("models--a--b/snapshots/1111"));
}

static void the_only_snapshot_is_meant(void)
{
    run("rm -rf models--*; mkdir -p models--a--b/blobs models--a--b/snapshots/1111");
    check(hub_cache_is_top(scratch_path("models--a--b")));
    check_int(resolve(scratch_path("models--a--b")), ==, DR_OK);
    check_str(found, scratch_path("models--a--b/snapshots/1111"));
    check_int(resolve(scratch_path("models--a--b/")), ==, DR_OK);
    check_str(found, scratch_path("models--a--b//snapshots/1111"));
    run("mkdir models--a--b/refs && printf 2222 >models--a--b/refs/main");
    check_int(resolve(scratch_path("models--a--b")), ==, DR_OK);
    check_str(found, scratch_path("models--a--b/snapshots/1111"));
    run("rmdir models--a--b/snapshots/1111 && touch models--a--b/snapshots/file");
    check_int(resolve(scratch_path("models--a--b")), ==, DR_NOT_FOUND);
    check_has(error.message, "models--a--b/snapshots contains no snapshot");
}

static void of_several_refs_main_decides(void)
{
    run("rm -rf models--*; mkdir -p models--a--b/blobs "
        "models--a--b/snapshots/1111 models--a--b/snapshots/2222 models--a--b/refs");
    check_int(resolve(scratch_path("models--a--b")), ==, DR_BAD_INPUT);
    check_has(error.message, "2 snapshots, and refs/main does not name one");
    check_has(error.message, "1111, 2222");
    run("printf '2222\\n' >models--a--b/refs/main");
    check_int(resolve(scratch_path("models--a--b")), ==, DR_OK);
    check_str(found, scratch_path("models--a--b/snapshots/2222"));
    run("printf 3333 >models--a--b/refs/main");
    check_int(resolve(scratch_path("models--a--b")), ==, DR_BAD_INPUT);
    check_has(error.message, "refs/main names another, 3333");
    run("printf ../refs >models--a--b/refs/main"); /* a name only */
    check_int(resolve(scratch_path("models--a--b")), ==, DR_BAD_INPUT);
    run("printf ../../models--a--b/snapshots/1111 >models--a--b/refs/main");
    check_int(resolve(scratch_path("models--a--b")), ==, DR_BAD_INPUT);
    run("cd models--a--b/snapshots && mkdir 3 4 5 6 7 8 9");
    check_int(resolve(scratch_path("models--a--b")), ==, DR_BAD_INPUT);
    check_has(error.message, "9 snapshots");
    check_has(error.message, ", ...");
}

static void refuses_what_has_no_room(void)
{
    char out[8];
    check_int(hub_cache_resolve(scratch_path("models--a--b"), out, sizeof out, &error),
              ==, DR_BAD_INPUT);
    check_int(hub_cache_resolve("12345678", out, sizeof out, &error), ==, DR_BAD_INPUT);
    check_int(hub_cache_resolve("1234567", out, sizeof out, &error), ==, DR_OK);
}

int main(void)
{
    check_run(other_paths_are_themselves);
    check_run(the_only_snapshot_is_meant);
    check_run(of_several_refs_main_decides);
    check_run(refuses_what_has_no_room);
    return check_done();
}
