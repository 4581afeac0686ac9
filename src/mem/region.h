/* region — one mapping, owned by one component, for one purpose.
 *
 *      PROT_NONE page | data ............ (whole pages) | PROT_NONE page
 *
 * The guard pages prevent the kernel from merging neighbours, so that one region is one
 * entry of smaps; and they catch out-of-bounds accesses. A private region is populated when
 * it is opened: either its bytes are resident from the start, or the call fails and changes
 * nothing. Closing is one munmap in the calling thread.
 *
 * The struct is in the caller's memory and must not move while open, because the ledger
 * links to it.
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
        serial; /* 1 for the ledger's first region, and so on: shows which region is
                 * newer */
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

/* Open a private, zero-filled, populated region. Huge pages are requested from 4 MiB on.
 * Errors: DR_OVER_BUDGET (message has need, have, limit), DR_NOMEM. On error *region is
 * closed and the ledger as it was. */
enum dr_code region_open(struct region *region, struct ledger *ledger,
                         const struct region_options *options,
                         struct dr_error *err) DR_MUST_CHECK;

/* Map options->bytes of a file from offset (a multiple of the page size), read-only, shared. The
 * descriptor may be closed afterwards. A page that the file no longer has reads as zeros, and
 * region_lost_page reports it. Errors: DR_IO, DR_NOMEM. Fault place: FAULT_MAP. */
enum dr_code region_map(struct region *region, struct ledger *ledger, int descriptor,
                        size_t offset, const struct region_options *options,
                        struct dr_error *err) DR_MUST_CHECK;

/* The same, writable: written data goes to the file and is not private memory. The file's
 * blocks must have been allocated. */
enum dr_code region_map_writable(struct region *region, struct ledger *ledger,
                                 int descriptor, size_t offset,
                                 const struct region_options *options,
                                 struct dr_error *err) DR_MUST_CHECK;

/* Has a page that was read since the mapping been lost from the file? Then results
 * computed from it are invalid. */
bool region_lost_page(const struct region *region);

/* The private bytes of a region: all or none. */
size_t region_private_bytes(const struct region *region);

/* Make an open region read-only (weights, once written), so that a stray write faults at once
 * instead of changing the picture. */
void region_seal(struct region *region);

/* Unmap, remove from the ledger, zero the struct. A closed or zeroed region is fine. */
void region_close(struct region *region);

/* Hand an open region to another struct (switching slots); source ends closed. */
void region_move(struct region *target, struct region *source);

/* The system's page size in bytes. */
size_t region_page_bytes(void);

#endif
