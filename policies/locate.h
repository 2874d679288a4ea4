// SPDX-License-Identifier: Apache-2.0
/* Where in a YAML text something stands, so that what is wrong with its meaning
 * can be reported by line as its syntax is. */
#ifndef POLICIES_LOCATE_H
#define POLICIES_LOCATE_H

#include "base/buf.h"

/*
 * The line, from 1, of what PATH names ("profiles[2].names.dns[0]"), or of the
 * nearest thing around it that exists; 0 when TEXT is not YAML.
 */
size_t locate_line(struct bytes text, const char *path);

/* The line of the first key that its mapping already has; 0 when there is none.
 * libcyaml lets the last one win, which people take for the first. */
size_t locate_repeated_key(struct bytes text);

#endif
