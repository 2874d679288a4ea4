// SPDX-License-Identifier: Apache-2.0
/* A backup's file, plain or encrypted, and the options that open it. */
#ifndef CLI_UNBOX_H
#define CLI_UNBOX_H

#include "base/json.h"
#include "ca/strongbox.h"
#include "cli/options.h"

/* --decrypt-with and --passphrase-file, for a command's table. */
#define UNBOX_OPTIONS                                                          \
	{"decrypt-with", "KEY",                                                \
	    "private key (PEM) of one to whom the backup is encrypted", false, \
	    false},                                                            \
	{                                                                      \
		"passphrase-file", "FILE",                                     \
		    "what the key is protected by", false, false               \
	}

/*
 * Opens the backup PATH with what the options name: *BOX_OUT is unlocked, or NULL
 * where the file is plain.
 * Errors: ERR_NOT_FOUND; ERR_USAGE when a key is named for a plain one, or none for
 * an encrypted one, which says whose; those of strongbox_unlock.
 */
MUST_CHECK enum err_code unbox_open(const struct options *options,
    const char *path, struct strongbox **box_out, struct err *err);

/* Recipients as JSON: objects, or a line each for people. */
json_t *unbox_recipients(const struct recipients *recipients, bool as_json);

#endif
