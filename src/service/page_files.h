/* page_files — the web page: the files of src/service/page/, which the build turns into arrays (tools/page_bytes.py).
 *
 *     GET /              index.html for a browser (Accept has text/html); JSON that says what this is for others
 *     GET /page/NAME     style files and JavaScript modules
 *     GET /favicon.ico   the icon
 *
 * Each has an ETag made of its bytes and is asked for again each time (304 where it is the same), so that a page never
 * mixes files of two versions of the program.
 */
#ifndef SERVICE_PAGE_FILES_H
#define SERVICE_PAGE_FILES_H

#include <stddef.h>

struct page_file {
    const char *name;         /* "main.js" */
    const char *content_type; /* "text/javascript; charset=utf-8" */
    const char *etag;         /* in quotes */
    const unsigned char *bytes;
    size_t byte_count;
};

/* Made by the build. */
extern const struct page_file page_files[];
extern const size_t page_file_count;

#endif
