/* path — names of files: parts of them, and whether two are the same.
 *
 * Threads: any. Memory: the caller's and the stack.
 */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* "sd15" of "/models/sd15.safetensors" and of "/models/sd15/": the name without its directory
 * and without the last extension. */
void path_stem(const char *path, char *stem, size_t stem_bytes);

/* "sd15.safetensors": a pointer into path. */
const char *path_name(const char *path);

/* "/models" of "/models/sd15.safetensors", "/" of "/a", "." of a plain name. */
void path_folder(const char *path, char *folder, size_t folder_bytes);

/* Do both name the same entry of the same directory ("m.ckpt", "./m.ckpt", or through a link to
 * the directory)? A link to the file is another entry: the files beside a checkpoint, and its
 * name in pictures, depend on the name that was given. */
bool path_is_same(const char *a, const char *b);

/* Do both refer to the same file, possibly through links? */
bool path_is_same_file(const char *a, const char *b);

#endif
