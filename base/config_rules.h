// SPDX-License-Identifier: Apache-2.0
/* What the values of signet.yaml must satisfy beyond their shape, and what
 * stands in for absent ones. */
#ifndef BASE_CONFIG_RULES_H
#define BASE_CONFIG_RULES_H

#include <cyaml/cyaml.h>
#include "base/buf.h"
#include "base/config.h"

/* A sequence of texts. */
struct config_list {
	char **items;
	unsigned items_count;
};

/* Durations, rates, ranges and the log level are words in the file. */
struct config_words {
	char *hsm_timeout;
	char *request_timeout;
	char *drain_timeout;
	char *crl_validity;
	char *crl_refresh;
	char *ocsp_validity;
	char *repeat_window;
	char *scrub_period;
	char *log_level;
	char *handshake_timeout;
	struct {
		char *source, *failures, *identity, *cluster, *names;
		char *public, *ocsp_signed;
	} rate;
	struct {
		struct config_list api, public, ops;
		struct config_list admin, operator, key_officer;
		struct config_list auditor, node, kms;
	} access;
};

/*
 * Completes CONFIG, read from TEXT by SCHEMA: its path and dir are set, absent
 * texts are NULL.  Errors: ERR_CONFIG with file, line where there is one, and
 * key.
 */
MUST_CHECK enum err_code config_rules_apply(struct config *config,
    const struct config_words *words, struct bytes text,
    const cyaml_schema_value_t *schema, struct err *err);

#endif
