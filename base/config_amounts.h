// SPDX-License-Identifier: Apache-2.0
/* What signet.yaml says in numbers, durations, rates and ranges of addresses:
 * its bounds, and what stands in for what is absent. */
#ifndef BASE_CONFIG_AMOUNTS_H
#define BASE_CONFIG_AMOUNTS_H

#include "base/config_loading.h"

/* Each completes its part of the configuration.  Errors: ERR_CONFIG. */
MUST_CHECK enum err_code config_amounts_numbers(
    const struct config_loading *loading, struct err *err);
MUST_CHECK enum err_code config_amounts_durations(
    const struct config_loading *loading, struct err *err);
MUST_CHECK enum err_code config_amounts_rates(
    const struct config_loading *loading, struct err *err);
MUST_CHECK enum err_code config_amounts_access(
    const struct config_loading *loading, struct err *err);

#endif
