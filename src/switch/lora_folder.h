/* lora_folder — the LoRAs in a directory and below, and which of them a name means.
 *
 *     ink                 the file ink.safetensors, in any subdirectory
 *     ink.safetensors     the file of that name
 *
 * The directory may be several: "DIR:DIR". Names are compared without regard to case where no name is equal. Two files that a name means are an error.
 *
 * Threads: any.
 */
#ifndef SWITCH_LORA_FOLDER_H
#define SWITCH_LORA_FOLDER_H

#include "switch/folder_listing.h"

/* The directory: option, else DARKROOM_LORA_DIR, else lora/ in the user's data directory; "" where none gives
 * one. option may be NULL. */
void lora_folder_find(const char *option, char folder[static DR_PATH_BYTES]);

/* Errors: DR_NOMEM. On error *folder is empty. */
enum dr_code lora_folder_read(struct folder_listing *folder, const char *path,
                              struct dr_error *err) DR_MUST_CHECK;

/* Errors: DR_NOT_FOUND, DR_BAD_INPUT (two files). */
enum dr_code lora_folder_match(const struct folder_listing *folder,
                               const char *directory, const char *name,
                               char path[static DR_PATH_BYTES],
                               struct dr_error *err) DR_MUST_CHECK;

/* "NAME[:WEIGHT[:TEXT_WEIGHT]]": the bytes of the name, and the weights: 1 where there are none, the text's like
 * the other where it has none. A part that is no number belongs to the name. */
size_t lora_text_split(const char *text, double *unet, double *text_weight);

#endif
