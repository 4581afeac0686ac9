#include "front/receipt_json.h"

#include "check.h"
#include "front/json_fixture.h"

static void has_every_field(void)
{
    const struct dr_receipt receipt = {
        .released_bytes = 1,
        .acquired_bytes = 2,
        .dropped_cache_bytes = 3,
        .before = {4, 5, 6},
        .after = {7, 8, 9},
        .ms = 12.5,
        .reason = "chosen by path: \"x\""
    };
    check_str(json_text(receipt_json(&receipt)),
              "{'released_bytes':1,'acquired_bytes':2,'dropped_cache_bytes':3,"
              "'before':{'private_bytes':4,'mapped_bytes':5,'kernel_private_bytes':6},"
              "'after':{'private_bytes':7,'mapped_bytes':8,'kernel_private_bytes':9},"
              "'ms':12.5,'reason':'chosen by path: \\'x\\''}");
}

/* The kernel's figures can be unknown; the ledger's never are. */
static void unknown_figures_are_null(void)
{
    const struct dr_receipt receipt = {
        .dropped_cache_bytes = DR_UNKNOWN_BYTES,
        .before = {0, 0, DR_UNKNOWN_BYTES},
        .after = {0, 0, DR_UNKNOWN_BYTES},
        .reason = "a\xFF"
    };
    check_str(
        json_text(receipt_json(&receipt)),
        "{'released_bytes':0,'acquired_bytes':0,'dropped_cache_bytes':null,"
        "'before':{'private_bytes':0,'mapped_bytes':0,'kernel_private_bytes':null},"
        "'after':{'private_bytes':0,'mapped_bytes':0,'kernel_private_bytes':null},"
        "'ms':0.0,'reason':'a\xEF\xBF\xBD'}");
}

int main(void)
{
    check_run(has_every_field);
    check_run(unknown_figures_are_null);
    return check_done();
}
