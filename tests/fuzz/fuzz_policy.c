// SPDX-License-Identifier: Apache-2.0
/*
 * Policy files: what is accepted holds the engine's bounds and can be printed;
 * what is refused names file and line.
 */
#include "tests/fuzz/fuzz.h"

#include "base/text.h"
#include "policies/profile.h"

static void check_profile(const struct profile *profile)
{
	must(text_is_label(profile->name));
	must(profile->validity_default >= 1);
	must(profile->validity_default <= profile->validity_maximum);
	must(profile->backdate >= 0);
	must(profile->key_types != 0);
	/* No policy makes a CA, or a responder, of a node. */
	must((profile->key_usage & (USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN)) == 0);
	must((profile->ext_usage & EKU_OCSP_SIGNING) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWNED(policy) policy = NULL;
	OWNED_BUF(printed);
	struct err err = {0};
	enum err_code code =
	    policy_parse("some.yaml", BYTES(data, size), &policy, &err);

	if (code != ERR_OK) {
		must(code == ERR_CONFIG);
		must_tell(code, &err);
		must(text_has_prefix(err.detail, "some.yaml:"));
		return 0;
	}
	must(strcmp(policy_name(policy), "some") == 0);
	must(policy_profile_count(policy) > 0);
	for (size_t i = 0; i < policy_profile_count(policy); i++)
		check_profile(&policy->profiles[i]);
	policy_print(policy, &printed);
	must(printed.len > 0 && text_is_utf8(buf_bytes(&printed)));
	return 0;
}
