/* region — one mapping, owned by one component, for one purpose.
 *
 *      PROT_NONE page | data ............ (whole pages) | PROT_NONE page
 *
 * The guards keep neighbours from being merged by the kernel, so that one region is one line
 * of smaps; and they catch a stray index. A private region is populated when it is opened:
 * its bytes are resident from the first moment, or the call fails with the state as before.
 * Closing is one unmap, at once, in the calling thread.
 *
 * The struct lies in the caller's memory and must not move while open: the ledger links it.
 *
 * Threads: as of the ledger, whose lock is held for the whole of each operation.
 */
#ifndef MEM_REGION_H
#define MEM_REGION_H

#include "mem/ledger.h"

struct region {
    unsigned char *data; /* NULL while closed */
    size_t bytes;        /* whole pages; what the ledger and the kernel count */
    enum region_tag tag;
    enum region_kind kind;
    const char *component; /* borrowed, for the table: "unet", "vae", "job" */
    uint64_t
        serial; /* 1 for the ledger's first region, and so on: what is newer than what */
    struct ledger *ledger; /* that counts it; NULL while closed */
    /* private below */
    int watch; /* of a mapped region: lost_page.h */
    struct region *previous;
    struct region *next;
};

struct region_options {
    size_t bytes; /* rounded up to whole pages; 0 is an error */
    enum region_tag tag;
    const char *component; /* a string that outlives the region */
};

/* Open a private, zero-filled, populated region. Huge pages are asked for from 4 MiB on.
 * Errors: DR_OVER_BUDGET (message has need, have, limit), DR_NOMEM. On error *region is
 * closed and the ledger as it was. */
enum dr_code region_open(struct region *region, struct ledger *ledger,
                         const struct region_options *options,
                         struct dr_error *err) DR_MUST_CHECK;

/* Map options->bytes of a file from offset (a multiple of the page size), read-only, shared.
 * The descriptor may be closed afterwards. A page that the file no longer has reads as zeros, and
 * region_lost_page tells. Errors: DR_IO, DR_NOMEM. Fault place: FAULT_MAP. */
enum dr_code region_map(struct region *region, struct ledger *ledger, int descriptor,
                        size_t offset, const struct region_options *options,
                        struct dr_error *err) DR_MUST_CHECK;

/* The same, to be written: what is written is the file's, and no private memory. The file's
 * blocks must have been allocated. */
enum dr_code region_map_writable(struct region *region, struct ledger *ledger,
                                 int descriptor, size_t offset,
                                 const struct region_options *options,
                                 struct dr_error *err) DR_MUST_CHECK;

/* Has the file of a mapped region lost a page that was read since it was mapped? What was
 * computed from it is worth nothing then. */
bool region_lost_page(const struct region *region);

/* The private bytes of a region: all or none. */
size_t region_private_bytes(const struct region *region);

/* Make an open region read-only (weights, once written), so that a stray write is a fault at once
 * and not another picture. */
void region_seal(struct region *region);

/* Unmap, strike off, zero the struct. A closed or zeroed region is fine. */
void region_close(struct region *region);

/* Hand an open region to another struct (switching slots); source ends closed. */
void region_move(struct region *target, struct region *source);

/* The system's page size in bytes. */
size_t region_page_bytes(void);

#endif
