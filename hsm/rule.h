// SPDX-License-Identifier: Apache-2.0
/* The rule that every key of Signet keeps: what its attributes may be.  One
 * rule for the worker, which refuses to use a key, and for the server, which
 * reports it. */
#ifndef HSM_RULE_H
#define HSM_RULE_H

#include <stdint.h>

/*
 * What a key with these HSM_ATTR_* does against the rule ("is extractable"), or
 * NULL.  KIND is that of struct hsm_object; only "private" and "secret-key" are
 * held to it.  An attribute in UNKNOWN counts against the key: a token that
 * does not tell whether a key can be read out has not said that it cannot.
 */
const char *rule_broken(
    const char *kind, uint32_t attributes, uint32_t unknown);

#endif
