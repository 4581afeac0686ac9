/* service_commands — `ps`, `stop` and `submit`: what a running service holds, gives back and makes (service_client.h).
 */
#ifndef CLI_SERVICE_COMMANDS_H
#define CLI_SERVICE_COMMANDS_H

#include "commands.h"

command_run run_ps, run_stop, run_submit;

#endif
