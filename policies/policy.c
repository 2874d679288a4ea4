// SPDX-License-Identifier: Apache-2.0
#include "policies/policy.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/text.h"
#include "policies/profile.h"

#define POLICIES_MAX 256	/* files of one folder */

const struct policy_word policy_key_usages[] = {
	{"digital-signature", USAGE_DIGITAL_SIGNATURE, NULL},
	{"key-encipherment", USAGE_KEY_ENCIPHERMENT,
	    "key-encipherment (RSA keys only)"},
	{"key-agreement", USAGE_KEY_AGREEMENT, "key-agreement (EC keys only)"},
};

const struct policy_word policy_ext_usages[] = {
	{"server-auth", EKU_SERVER_AUTH, NULL},
	{"client-auth", EKU_CLIENT_AUTH, NULL},
};

const struct policy_word policy_requires[] = {
	{"dns", REQUIRE_DNS, "a DNS name"},
	{"ip", REQUIRE_IP, "an IP address"},
	{"host", REQUIRE_HOST, "a DNS name or an IP address"},
	{"uri", REQUIRE_URI, "a URI"},
	{"common-name", REQUIRE_COMMON_NAME, "a common name"},
};

uint32_t policy_fit_usage(uint32_t usage, enum key_type type)
{
	bool is_ec = type == KEY_EC_P256 || type == KEY_EC_P384;

	return usage &
	    ~(uint32_t)(is_ec ? USAGE_KEY_ENCIPHERMENT : USAGE_KEY_AGREEMENT);
}

static void rules_free(struct rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		free(rules->items[i].text);
	free(rules->items);
}

void policy_free(struct policy *policy)
{
	if (policy == NULL)
		return;
	for (size_t i = 0; i < policy->profiles_count; i++) {
		struct profile *profile = &policy->profiles[i];

		rules_free(&profile->dns);
		rules_free(&profile->ip);
		rules_free(&profile->uri);
		rules_free(&profile->common_name);
		for (size_t j = 0; j < profile->except_count; j++)
			free(profile->except[j]);
		free(profile->except);
		free(profile->name);
		free(profile->description);
	}
	free(policy->profiles);
	free(policy->name);
	free(policy->description);
	free(policy);
}

const char *policy_name(const struct policy *policy)
{
	return policy->name;
}

const char *policy_description(const struct policy *policy)
{
	return policy->description;
}

size_t policy_profile_count(const struct policy *policy)
{
	return policy->profiles_count;
}

const char *policy_profile_name(const struct policy *policy, size_t index)
{
	return policy->profiles[index].name;
}

const struct profile *policy_find_profile(
    const struct policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->profiles_count; i++) {
		if (strcmp(policy->profiles[i].name, name) == 0)
			return &policy->profiles[i];
	}
	return NULL;
}

bool policy_has_profile(const struct policy *policy, const char *profile)
{
	return policy_find_profile(policy, profile) != NULL;
}

bool policy_wants_named_token(const struct policy *policy, const char *profile)
{
	const struct profile *found = policy_find_profile(policy, profile);

	return found != NULL && found->named_only;
}

bool policy_has_private_names(const struct policy *policy)
{
	for (size_t i = 0; i < policy->profiles_count; i++) {
		if (policy->profiles[i].private_names)
			return true;
	}
	return false;
}

/* Not changed after loading, but for the count of its users. */
struct policy_set {
	atomic_uint users;
	struct policy **policies; /* by name */
	size_t count;
	struct role_set *roles;
	struct approver_rules *approvers;
};

struct policy_set *policy_set_ref(struct policy_set *set)
{
	atomic_fetch_add_explicit(&set->users, 1, memory_order_relaxed);
	return set;
}

void policy_set_free(struct policy_set *set)
{
	if (set == NULL)
		return;
	if (atomic_fetch_sub_explicit(&set->users, 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < set->count; i++)
		policy_free(set->policies[i]);
	free(set->policies);
	role_set_free(set->roles);
	approver_rules_free(set->approvers);
	free(set);
}

const struct role_set *policy_set_roles(const struct policy_set *set)
{
	return set->roles;
}

const struct approver_rules *policy_set_approvers(const struct policy_set *set)
{
	return set->approvers;
}

size_t policy_set_count(const struct policy_set *set)
{
	return set->count;
}

const struct policy *policy_set_at(const struct policy_set *set, size_t index)
{
	return set->policies[index];
}

enum err_code policy_set_get(const struct policy_set *set, const char *name,
    const struct policy **policy_out, struct err *err)
{
	OWNED_BUF(known);

	for (size_t i = 0; i < set->count; i++) {
		if (strcmp(set->policies[i]->name, name) == 0) {
			*policy_out = set->policies[i];
			return ERR_OK;
		}
		buf_printf(&known, "%s%s", i > 0 ? ", " : "",
		    set->policies[i]->name);
	}
	buf_put_u8(&known, '\0');
	return err_refuse(err, ERR_POLICY, "there is no policy \"%s\"; there are: %s",
	    err_quote_str(name), (const char *)known.data);
}

static int is_policy_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.' &&
	    strcmp(entry->d_name, ROLES_FILE) != 0 &&
	    strcmp(entry->d_name, APPROVALS_FILE) != 0 &&
	    text_has_suffix(entry->d_name, ".yaml");
}

/* Names of files, sorted. */
struct listing {
	struct dirent **entries;
	int count;
};

static void listing_cleanup(struct listing *listing)
{
	for (int i = 0; i < listing->count; i++)
		free(listing->entries[i]);
	free(listing->entries);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name); /* whatever the locale */
}

static enum err_code load_files(const char *dir, const struct listing *listing,
    struct policy_set *set, struct err *err)
{
	set->policies = mem_zalloc_array(
	    (size_t)listing->count, sizeof(*set->policies));
	for (int i = 0; i < listing->count; i++) {
		OWNED_STR(path) = fs_join(dir, listing->entries[i]->d_name);
		enum err_code code =
		    policy_load(path, &set->policies[set->count], err);

		if (code != ERR_OK)
			return code;
		set->count++;
	}
	return ERR_OK;
}

enum err_code policy_set_load(
    const char *dir, struct policy_set **set_out, struct err *err)
{
	__attribute__((cleanup(listing_cleanup))) struct listing listing = {0};
	OWNED(policy_set) set = mem_zalloc(sizeof(*set));
	enum err_code code;

	atomic_init(&set->users, 1);
	listing.count = scandir(dir, &listing.entries, is_policy_file, by_name);
	if (listing.count < 0)
		return err_refuse(err, ERR_CONFIG,
		    "%s: the folder of policies cannot be read: %m", dir);
	if (listing.count == 0 || listing.count > POLICIES_MAX)
		return err_refuse(err, ERR_CONFIG,
		    "%s: %d policies (*.yaml), from 1 to %d are wanted", dir,
		    listing.count, POLICIES_MAX);
	OWNED_STR(roles) = fs_join(dir, ROLES_FILE);
	OWNED_STR(approvals) = fs_join(dir, APPROVALS_FILE);
	if ((code = load_files(dir, &listing, set, err)) != ERR_OK ||
	    (code = role_set_load(roles, &set->roles, err)) != ERR_OK ||
	    (code = approver_rules_load(
		 approvals, set->roles, &set->approvers, err)) != ERR_OK)
		return code;
	*set_out = GIVE(set);
	return ERR_OK;
}
