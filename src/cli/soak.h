/* soak — N random operations, valid and invalid, and what must hold after each (soak_check.h).
 *
 *     soak 2000 --seed 7 --models a.safetensors,b.safetensors --vaes sharp,soft.safetensors
 *
 * The engine is the session's own, by the public header alone: models and VAEs are switched, pictures
 * made, encoded and decoded, jobs cancelled, weights unloaded, damaged and missing files tried. The
 * same seed does the same operations. Files are made in a folder of its own below TMPDIR, which is
 * gone afterwards; model and VAE choice are then what they were.
 */
#ifndef CLI_SOAK_H
#define CLI_SOAK_H

#include "commands.h"

command_run run_soak;

#endif
