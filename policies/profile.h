// SPDX-License-Identifier: Apache-2.0
/* What a policy file says, in memory: shared by those who load, apply and print
 * it, and by nobody outside this folder. */
#ifndef POLICIES_PROFILE_H
#define POLICIES_PROFILE_H

#include "policies/policy.h"
#include "policies/rule.h"

/* Names that a request must have. */
enum {
	REQUIRE_DNS = 1 << 0,
	REQUIRE_IP = 1 << 1,
	REQUIRE_HOST = 1 << 2,		/* a DNS name or an IP address */
	REQUIRE_URI = 1 << 3,
	REQUIRE_COMMON_NAME = 1 << 4,
};

struct profile {
	char *name;
	char *description;
	uint32_t key_types;		/* KEY_TYPE_BIT */
	int64_t validity_default;	/* seconds, at most the maximum */
	int64_t validity_maximum;	/* seconds */
	int64_t backdate;		/* seconds */
	uint32_t key_usage;		/* USAGE_* */
	uint32_t ext_usage;		/* EKU_* */
	uint32_t require;		/* REQUIRE_* */
	bool wildcards;			/* may a request hold "*." names? */
	struct rules dns, ip, uri, common_name;
	/* Common names that no rule allows, alone or before "@". */
	char **except;
	size_t except_count;
	bool named_only;		/* a token must name the profile */
	bool private_names;		/* nothing in the clear has them */
};

struct policy {
	char *name;
	char *description;
	struct profile *profiles;
	size_t profiles_count;
};

/* Is it a common name that no rule of PROFILE gives? */
bool profile_excepts(const struct profile *profile, const char *common_name);
/* NULL when there is none. */
const struct profile *policy_find_profile(
    const struct policy *policy, const char *name);

/* A word of the file and the bit it stands for. */
struct policy_word {
	const char *text;
	uint32_t bit;
	const char *meaning;		/* for people; NULL: the word itself */
};
extern const struct policy_word policy_key_usages[3];
extern const struct policy_word policy_ext_usages[2];
extern const struct policy_word policy_requires[5];

/* The usages of USAGE that a key of this type can serve: only RSA keys encipher
 * keys, only elliptic-curve keys agree on them. */
uint32_t policy_fit_usage(uint32_t usage, enum key_type type);

#endif
