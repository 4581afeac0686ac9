#include "listing.h"

#include "check.h"

static const char *listed(const char *json, enum listing_detail detail)
{
    static char text[8192];
    json_error_t problem;
    FILE *const stream = tmpfile();
    json_t *const object = json_loads(json, 0, &problem);
    if (!object) check_fail_at("the test's JSON: %s", problem.text);
    check(listing_print(object, detail, stream));
    rewind(stream);
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    (void)fclose(stream);
    json_decref(object);
    return text;
}

static void aligns_members(void)
{
    check_str(
        listed("{\"path\":\"a.png\",\"file_bytes\":1048576,\"pid\":12,\"empty\":\"\","
               "\"regions_agree\":true,\"nothing\":null}",
               LISTING_BRIEF),
        "path           a.png\n"
        "file           1.00 MiB\n"
        "pid            12\n"
        "regions agree  yes\n"
        "nothing        none\n");
}

static void aligns_tables(void)
{
    check_str(
        listed("{\"regions\":[{\"start\":4096,\"bytes\":512,\"tag\":\"w\\u00e4ights\","
               "\"component\":\"unet\"},{\"start\":1048576,\"bytes\":1048576,\"tag\":"
               "\"image\",\"component\":\"\"}]}",
               LISTING_BRIEF),
        "regions\n"
        "     start     bytes  tag      component\n"
        "    0x1000     512 B  w\xC3\xA4ights  unet\n"
        "  0x100000  1.00 MiB  image    \n");
}

static void shows_kinds_of_numbers(void)
{
    const char *const text = listed(
        "{\"unet_flop\":1.607e12,\"ms\":12.34,\"load_ms\":2500.0,\"parameter_count\":859520964,"
        "\"scale_factor\":0.18215,\"timings_ms\":{\"vae\":3.25,\"unet_per_step\":1500.0}}",
        LISTING_BRIEF);
    check_has(text, "unet flop     1.607 T\n");
    check_has(text, "ms            12 ms\n");
    check_has(text, "load          2.50 s\n");
    check_has(text, "parameters    859.5 M\n");
    check_has(text, "scale factor  0.18215\n");
    check_has(text, "timings\n  vae            3.2 ms\n  unet per step  1.50 s\n");
}

static const char switched[] =
    "{\"vae\":{\"choice\":\"x\",\"source\":\"setting\",\"reason\":\"chosen by path: x\","
    "\"active\":\"override\",\"path\":\"x\",\"digest\":\"ab\"},"
    "\"receipt\":{\"released_bytes\":1024,\"acquired_bytes\":2048,"
    "\"before\":{\"private_bytes\":1024,\"kernel_private_bytes\":4096},"
    "\"after\":{\"private_bytes\":2048,\"kernel_private_bytes\":5120},\"ms\":1.5,"
    "\"reason\":\"chosen by path: x\"}}";

static void shortens_receipts(void)
{
    check_str(
        listed(switched, LISTING_BRIEF),
        "vae      x (x, setting)\n         chosen by path: x\nreceipt  released 1.00 "
        "KiB, acquired 2.00 KiB in 1.5 ms\n         private 1.00 KiB before, 2.00 "
        "KiB after; kernel: 4.00 KiB, 5.00 KiB\n         chosen by path: x\n");
    check_has(listed(switched, LISTING_FULL), "  digest  ab\n");
    check_has(listed(switched, LISTING_FULL),
              "  before\n    private         1.00 KiB\n");
}

/* null is a figure that the kernel does not tell; of other things it is none. */
static void shows_what_is_unknown(void)
{
    static const char answer[] =
        "{\"parameters\":null,\"kernel\":{\"private_bytes\":null},\"regions_agree\":null,"
        "\"points\":[{\"bytes\":null,\"rss_bytes\":1024}],"
        "\"receipt\":{\"released_bytes\":0,\"acquired_bytes\":0,"
        "\"before\":{\"private_bytes\":0,\"kernel_private_bytes\":null},"
        "\"after\":{\"private_bytes\":0,\"kernel_private_bytes\":null},\"ms\":1.5}}";
    const char *const text = listed(answer, LISTING_BRIEF);
    check_has(text, "parameters     none\n");
    check_has(text, "kernel\n  private  unknown\n");
    check_has(text, "regions agree  unknown\n");
    check_has(text, "unknown  1.00 KiB\n");
    check_has(text, "0 B after; kernel: unknown, unknown\n");
}

/* Text of files must not drive the terminal. */
static void hides_control_characters(void)
{
    check_str(listed("{\"parameters\":\"a\\u001b[2Jb\\u007f\\nSteps: 2\"}",
                     LISTING_BRIEF),
              "parameters  a?[2Jb?\n            Steps: 2\n");
    check_str(listed("{\"metadata\":{\"a_bytes\":\"x\",\"ss_tag\":\"y\"}}",
                     LISTING_BRIEF),
              "metadata\n  a_bytes  x\n  ss_tag   y\n");
    check_str(listed("{\"metadata\":{\"darkroom.default.scheduler\":\"x\",\"a\":"
                     "\"y\"}}",
                     LISTING_FULL),
              "metadata\n  darkroom.default.scheduler  x\n"
              "  a                           y\n");
}

int main(void)
{
    check_run(aligns_members);
    check_run(aligns_tables);
    check_run(shows_kinds_of_numbers);
    check_run(shortens_receipts);
    check_run(shows_what_is_unknown);
    check_run(hides_control_characters);
    return check_done();
}
