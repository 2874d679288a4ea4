// SPDX-License-Identifier: Apache-2.0
/* The token and the keys in it that the records name. */
#include <stdio.h>
#include <string.h>

#include "ca/ceremony.h"
#include "ca/notary.h"
#include "cli/doctor.h"

/* One token, and what of the records' keys stands in it. */
struct bench {
	struct doctor *doctor;
	struct hsm *hsm;
	unsigned checked, bad;
};

static void check_mechanisms(
    struct doctor *doctor, const struct hsm_options *options)
{
	OWNED_BUF(missing);
	struct err err = {0};

	if (hsm_missing_mechanisms(options, &missing, &err) != ERR_OK)
		doctor_say(doctor, "mechanisms",
		    err.code == ERR_CONFIG ? HEALTH_FAIL : HEALTH_UNKNOWN, NULL,
		    "%s", doctor_why(&err));
	else if (missing.len > 0)
		doctor_say(doctor, "mechanisms", HEALTH_FAIL,
		    "allow them in the token, or use another (doc/hsm.md)",
		    "the token lacks %.*s", (int)missing.len,
		    (const char *)missing.data);
	else
		doctor_say(doctor, "mechanisms", HEALTH_OK, NULL,
		    "the token offers every mechanism that Signet needs");
}

static void check_key(struct bench *bench, const char *what, const char *uri)
{
	struct err err = {0};

	if (uri == NULL)
		return;
	bench->checked++;
	if (hsm_check_key(bench->hsm, uri, &err) == ERR_OK)
		return;
	bench->bad++;
	doctor_say(bench->doctor, "keys",
	    err.code == ERR_HSM_UNAVAILABLE || err.code == ERR_DEADLINE
		? HEALTH_UNKNOWN
		: HEALTH_FAIL,
	    "signet key report; signet hsm selftest", "key of %s, %s: %s", what,
	    uri, doctor_why(&err));
}

static void check_meta_key(
    struct bench *bench, const char *what, const char *name)
{
	OWNED_STR(uri) = NULL;
	struct err err = {0};

	if (meta_get_text(bench->doctor->store, name, &uri, &err) == ERR_OK) {
		check_key(bench, what, uri);
		return;
	}
	bench->bad++;
	doctor_say(bench->doctor, "keys", HEALTH_FAIL, NULL,
	    "the records name no %s: %s", what, doctor_why(&err));
}

/* The server makes it at its first start where there is none. */
static void check_audit_key(struct bench *bench)
{
	OWNED_STR(uri) = NULL;
	struct err err = {0};

	if (meta_get_text(bench->doctor->store, META_AUDIT_KEY_URI, &uri,
		&err) != ERR_NOT_FOUND)
		check_meta_key(bench, "the audit log", META_AUDIT_KEY_URI);
}

/* In a development instance it stands beside the others. */
static bool is_in_same_token(
    const struct doctor *doctor, const struct issuer *issuer)
{
	return issuer->kind == ISSUER_ROOT &&
	       strcmp(doctor->config->hsm.root_token,
		   doctor->config->hsm.token) == 0;
}

/* Those that the records name in the clear, and where the store opens, all: it
 * does not where the KMS root is not safe. */
static void check_keys(struct bench *bench)
{
	const struct issuer_set *issuers = bench->doctor->issuers;

	check_meta_key(bench, "the KMS root", META_WRAP_KEY_URI);
	check_meta_key(bench, "the KMS MAC", META_MAC_KEY_URI);
	check_audit_key(bench);
	if (issuers == NULL)
		return;
	for (size_t i = 0; i < issuer_set_count(issuers); i++) {
		const struct issuer *issuer = issuer_set_at(issuers, i);
		OWNED_STR(responder) =
		    mem_printf("the OCSP responder of %s", issuer->id);

		if (is_in_same_token(bench->doctor, issuer))
			check_key(bench, issuer->id, issuer->key_uri);
		if (issuer->kind == ISSUER_ROOT ||
		    issuer->state == ISSUER_RETIRED)
			continue;
		check_key(bench, issuer->id, issuer->key_uri);
		check_key(bench, responder, issuer->responder_uri);
	}
	if (bench->bad == 0)
		doctor_say(bench->doctor, "keys", HEALTH_OK, NULL,
		    "all %u keys of Signet are in the token, with safe "
		    "attributes",
		    bench->checked);
}

static const struct issuer *find_root(const struct doctor *doctor)
{
	for (size_t i = 0; i < issuer_set_count(doctor->issuers); i++) {
		const struct issuer *issuer = issuer_set_at(doctor->issuers, i);

		if (issuer->kind == ISSUER_ROOT)
			return issuer;
	}
	return NULL;
}

/* It may be locked away, and is the better for it. */
static void check_root(struct doctor *doctor, const struct hsm_options *options)
{
	const char *uri = doctor->config->hsm.root_token;
	struct hsm_options root_options = *options;
	const struct issuer *root = find_root(doctor);
	OWNED(hsm) hsm = NULL;
	struct err err = {0};

	root_options.token = uri;
	if (root == NULL)
		return;
	if (hsm_open(&root_options, true, &hsm, &err) != ERR_OK)
		doctor_say(doctor, "root-token", HEALTH_OK, NULL,
		    "the root's token is not reached: as it should be after "
		    "the ceremony");
	else if (hsm_check_key(hsm, root->key_uri, &err) != ERR_OK)
		doctor_say(doctor, "root-token", HEALTH_FAIL, NULL,
		    "the root's key: %s", doctor_why(&err));
	else
		doctor_say(doctor, "root-token", HEALTH_OK, NULL,
		    "the root's key is in its token, with safe attributes%s",
		    strcmp(uri, options->token) == 0
			? " (the same token as the issuing keys')"
			: "; take the token away when it is not needed");
}

void doctor_check_token(struct doctor *doctor)
{
	struct hsm_options options = hsm_options_from(doctor->config);
	struct bench bench = {.doctor = doctor, .hsm = doctor->hsm};

	options.workers = 1;
	check_mechanisms(doctor, &options);
	if (doctor->hsm == NULL) {
		doctor_say(doctor, "token",
		    doctor->hsm_err.code == ERR_CONFIG ? HEALTH_FAIL : HEALTH_UNKNOWN,
		    "look at hsm.module, hsm.token and hsm.pin_file; a wrong "
		    "PIN counts, so do not try it again and again",
		    "the token cannot be used: %s",
		    doctor_why(&doctor->hsm_err));
		return;
	}
	doctor_say(doctor, "token", HEALTH_OK, NULL,
	    "the token is reached and takes the PIN");
	if (doctor->store != NULL)
		check_keys(&bench);
	if (doctor->issuers != NULL)
		check_root(doctor, &options);
}
