// SPDX-License-Identifier: Apache-2.0
#include "hsm/rule.h"

#include <stdbool.h>
#include <string.h>

#include "hsm/hsm.h"

/* Attributes that must be known, with the value they must have. */
static const struct {
	uint32_t attribute;
	bool wanted;
	const char *broken;
	const char *unknown;
} rules[] = {
    {HSM_ATTR_PRIVATE, true, "is not private (usable without the PIN)",
	"does not tell whether it is private"},
    {HSM_ATTR_SENSITIVE, true, "is not sensitive (its value can be read)",
	"does not tell whether it is sensitive"},
    {HSM_ATTR_EXTRACTABLE, false, "is extractable",
	"does not tell whether it is extractable"},
    {HSM_ATTR_MODIFIABLE, false, "is modifiable (uses can be added)",
	"does not tell whether it is modifiable"},
    {HSM_ATTR_NEVER_EXTRACTABLE, true, "was extractable once, or imported",
	NULL},
    {HSM_ATTR_ALWAYS_SENSITIVE, true, "was not sensitive once, or imported",
	NULL},
};

/* Wrapping with a key that decrypts gives away what was wrapped; signing with
 * one that decrypts or derives makes each an oracle for the other. */
static const char *mixed_use(uint32_t attributes)
{
	const uint32_t wraps = HSM_ATTR_WRAP | HSM_ATTR_UNWRAP;
	const uint32_t crypts = HSM_ATTR_ENCRYPT | HSM_ATTR_DECRYPT;

	if ((attributes & wraps) != 0 && (attributes & crypts) != 0)
		return "both wraps and decrypts";
	if ((attributes & HSM_ATTR_SIGN) != 0 &&
	    (attributes & (wraps | crypts | HSM_ATTR_DERIVE)) != 0)
		return "signs and also wraps, decrypts or derives";
	return NULL;
}

const char *rule_broken(const char *kind, uint32_t attributes, uint32_t unknown)
{
	if (strcmp(kind, "private") != 0 && strcmp(kind, "secret-key") != 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		uint32_t bit = rules[i].attribute;

		if ((unknown & bit) != 0) {
			if (rules[i].unknown != NULL)
				return rules[i].unknown;
		} else if (((attributes & bit) != 0) != rules[i].wanted) {
			return rules[i].broken;
		}
	}
	return mixed_use(attributes);
}
