/* settings_command — `settings`: the file of settings, shown and changed. */
#ifndef CLI_SETTINGS_COMMAND_H
#define CLI_SETTINGS_COMMAND_H

#include "commands.h"

command_run run_settings;

#endif
