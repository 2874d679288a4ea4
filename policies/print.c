// SPDX-License-Identifier: Apache-2.0
/* policy_print: a policy as people read it. */
#include "base/clock.h"
#include "policies/profile.h"

static void put_label(struct buf *out, const char *label)
{
	buf_printf(out, "    %-20s", label);
}

static void put_key_types(struct buf *out, uint32_t types)
{
	const char *comma = "";

	put_label(out, "key types");
	for (size_t i = 0; i < KEY_TYPE_COUNT; i++) {
		if ((types & KEY_TYPE_BIT(i)) == 0)
			continue;
		buf_printf(
		    out, "%s%s", comma, key_type_name((enum key_type)i));
		comma = ", ";
	}
	buf_put_str(out, "\n");
}

static void put_words(struct buf *out, const struct policy_word *words,
    size_t count, uint32_t bits)
{
	const char *comma = "";

	for (size_t i = 0; i < count; i++) {
		if ((bits & words[i].bit) == 0)
			continue;
		buf_printf(out, "%s%s", comma, words[i].meaning != NULL
			? words[i].meaning : words[i].text);
		comma = ", ";
	}
}

static void put_rules(
    struct buf *out, const char *label, const struct rules *rules)
{
	put_label(out, label);
	for (size_t i = 0; i < rules->count; i++)
		buf_printf(
		    out, "%s%s", i > 0 ? ", " : "", rules->items[i].text);
	buf_put_str(out, rules->count == 0 ? "none\n" : "\n");
}

static void put_validity(struct buf *out, const struct profile *profile)
{
	char normal[CLOCK_TEXT_SIZE], maximum[CLOCK_TEXT_SIZE];
	char backdate[CLOCK_TEXT_SIZE];

	put_label(out, "validity");
	buf_printf(out, "default %s, maximum %s, backdated %s\n",
	    duration_format(profile->validity_default, normal),
	    duration_format(profile->validity_maximum, maximum),
	    duration_format(profile->backdate, backdate));
}

static void put_profile(struct buf *out, const struct profile *profile)
{
	buf_printf(out, "\n  profile %s: %s\n", profile->name,
	    profile->description);
	put_key_types(out, profile->key_types);
	put_validity(out, profile);
	put_label(out, "key usage");
	put_words(out, policy_key_usages, ARRAY_LEN(policy_key_usages),
	    profile->key_usage);
	buf_put_str(out, "\n");
	put_label(out, "extended key usage");
	put_words(out, policy_ext_usages, ARRAY_LEN(policy_ext_usages),
	    profile->ext_usage);
	buf_put_str(out, "\n");
	put_rules(out, "DNS names", &profile->dns);
	put_label(out, "DNS wildcards");
	buf_put_str(out, profile->wildcards ? "allowed\n" : "refused\n");
	put_rules(out, "IP addresses", &profile->ip);
	put_rules(out, "URIs", &profile->uri);
	put_rules(out, "common name", &profile->common_name);
	if (profile->except_count > 0) {
		put_label(out, "but never");
		for (size_t i = 0; i < profile->except_count; i++)
			buf_printf(out, "%s%s", i > 0 ? ", " : "",
			    profile->except[i]);
		buf_put_str(out, "\n");
	}
	if (profile->named_only) {
		put_label(out, "tokens");
		buf_put_str(out, "only those that name this profile\n");
	}
	if (profile->private_names) {
		put_label(out, "names at rest");
		buf_put_str(out, "private\n");
	}
	put_label(out, "required");
	put_words(out, policy_requires, ARRAY_LEN(policy_requires),
	    profile->require);
	buf_put_str(out, profile->require == 0 ? "one name of any kind\n"
					       : "\n");
}

void policy_print(const struct policy *policy, struct buf *out)
{
	buf_printf(out, "policy %s: %s\n", policy->name, policy->description);
	for (size_t i = 0; i < policy->profiles_count; i++)
		put_profile(out, &policy->profiles[i]);
}
