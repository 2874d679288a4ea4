// SPDX-License-Identifier: Apache-2.0
/* Goal: after the ceremony there is a whole authority on record, or none and a
 * list of what to remove from the token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ca/crl.h"
#include "ca/digest.h"
#include "ca/notary.h"
#include "ca/responder.h"
#include "store/audit.h"
#include "tests/unit/ca/fixture.h"

#include <openssl/x509v3.h>

static struct err err;

static X509 *read_der(const uint8_t *der, size_t len)
{
	X509 *cert = d2i_X509(NULL, &der, (long)len);

	assert_non_null(cert);
	return cert;
}

static X509 *read_issuer(const struct issuer *issuer)
{
	return read_der(issuer->der, issuer->der_len);
}

static const struct issuer *find(struct issuer_set *set, const char *id)
{
	const struct issuer *issuer = issuer_set_find(set, id);

	assert_non_null(issuer);
	return issuer;
}

/* ---- the ceremony ---- */

static void the_ceremony_records_three_cas_under_one_root(void **state)
{
	static const char *const under[] = {"issuing-1", "services"};
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(issuer_set) set = ca_issuers(fixture->ca);
	X509 *root = read_issuer(find(set, "root"));

	(void)state;
	assert_int_equal(issuer_set_count(set), 3);
	assert_int_equal(X509_check_issued(root, root), X509_V_OK);
	assert_int_equal(X509_verify(root, X509_get0_pubkey(root)), 1);
	assert_int_equal(X509_get_pathlen(root), -1);
	assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(root)), 384);
	assert_null(find(set, "root")->signer);
	for (size_t i = 0; i < ARRAY_LEN(under); i++) {
		const struct issuer *issuer = find(set, under[i]);
		X509 *cert = read_issuer(issuer);

		assert_string_equal(issuer->parent, "root");
		assert_int_equal(X509_check_issued(root, cert), X509_V_OK);
		assert_int_equal(X509_verify(cert, X509_get0_pubkey(root)), 1);
		assert_int_equal(X509_check_ca(cert), 1);
		assert_int_equal(X509_get_pathlen(cert), 0);
		assert_non_null(issuer->signer);
		assert_true(responder_is_usable(issuer, clock_now()));
		X509_free(cert);
	}
	assert_string_equal(issuer_set_default(set)->id, "issuing-1");
	X509_free(root);
}

static void the_ceremony_tells_root_and_key_uris(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(issuer_set) set = ca_issuers(fixture->ca);
	const struct issuer *root = find(set, "root");
	uint8_t fingerprint[32];
	OWNED_STR(wrap) = NULL;
	OWNED_STR(mac) = NULL;
	BIO *bio = BIO_new_mem_buf(fixture->result->root_pem, -1);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	(void)state;
	assert_non_null(cert);
	digest_sha256(BYTES(root->der, root->der_len), fingerprint);
	assert_memory_equal(
	    fixture->result->root_fingerprint, fingerprint, 32);
	assert_memory_equal(root->fingerprint, fingerprint, 32);
	assert_string_equal(fixture->result->root_key_uri, root->key_uri);
	assert_non_null(strstr(root->key_uri, "object=" LABEL_ROOT ";"));
	assert_int_equal(meta_get_text(fixture->store, META_WRAP_KEY_URI,
	    &wrap, &err), ERR_OK);
	assert_int_equal(meta_get_text(fixture->store, META_MAC_KEY_URI, &mac,
	    &err), ERR_OK);
	assert_string_equal(wrap, fixture->result->wrap_key_uri);
	assert_string_equal(mac, fixture->result->mac_key_uri);
	assert_non_null(strstr(wrap, LABEL_WRAP));
	assert_non_null(strstr(mac, LABEL_MAC));
	X509_free(cert);
	BIO_free(bio);
}

static void the_ceremony_records_certificates_and_first_crls(void **state)
{
	static const char *const ids[] = {"root", "issuing-1", "services"};
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(issuer_set) set = ca_issuers(fixture->ca);

	(void)state;
	/* Three CAs and two responders, each with its audit entry. */
	assert_int_equal(fixture_count(fixture, TABLE_CERTIFICATES), 5);
	assert_int_equal(fixture_count(fixture, TABLE_INTENTS), 0);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		const struct issuer *issuer = find(set, ids[i]);
		OWNED(certificate) record = NULL;
		OWNED(crl) crl = NULL;
		const char *why;
		struct serial serial;

		/* On record, and yet no identity. */
		assert_int_equal(certificate_authenticate(fixture->store,
		    BYTES(issuer->der, issuer->der_len), clock_now(), &record,
		    &why, &err), ERR_UNAUTHENTICATED);
		assert_string_equal(why, "of no role");
		/* SEQUENCE, SEQUENCE, [0], INTEGER. */
		assert_true(serial_read(BYTES(issuer->der + 15, 18), &serial));
		assert_int_equal(certificate_get(fixture->store, &serial,
		    &record, &err), ERR_OK);
		assert_int_equal(record->roles, 0);
		assert_string_equal(record->issuer, "root");
		assert_int_equal(crl_find(fixture->store, ids[i], &crl, &err),
		    ERR_OK);
		assert_non_null(crl);
		assert_int_equal(crl->number, 1);
		assert_true(crl->next_update > clock_now() + 3600);
	}
}

static void the_roots_crl_verifies_with_the_root(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(issuer_set) set = ca_issuers(fixture->ca);
	OWNED(crl) crl = NULL;
	X509 *root = read_issuer(find(set, "root"));
	const uint8_t *at;
	X509_CRL *read;

	(void)state;
	assert_int_equal(
	    crl_find(fixture->store, "root", &crl, &err), ERR_OK);
	at = crl->der;
	read = d2i_X509_CRL(NULL, &at, (long)crl->der_len);
	assert_non_null(read);
	assert_int_equal(X509_CRL_verify(read, X509_get0_pubkey(root)), 1);
	X509_CRL_free(read);
	X509_free(root);
}

static enum err_code run(struct fixture *fixture,
    const struct ceremony_plan *plan)
{
	OWNED(ceremony_result) result = NULL;
	enum err_code code = ceremony_run(fixture->store, fixture->hsm,
	    fixture->hsm, &fixture->config, plan, &result, &err);

	assert_int_equal(code == ERR_OK, result != NULL);
	return code;
}

static void a_second_ceremony_is_refused_and_makes_no_key(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	struct ceremony_plan plan = ceremony_default_plan();
	OWNED(hsm_object_list) before = NULL;
	OWNED(hsm_object_list) after = NULL;

	(void)state;
	assert_int_equal(hsm_list(fixture->hsm, &before, &err), ERR_OK);
	assert_int_equal(run(fixture, &plan), ERR_EXISTS);
	assert_int_equal(hsm_list(fixture->hsm, &after, &err), ERR_OK);
	assert_int_equal(before->count, after->count);
}

static void a_label_in_use_in_the_token_is_refused(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	struct ceremony_plan plan = ceremony_default_plan();
	OWNED_STR(uri) = NULL;
	OWNED_BUF(spki);

	(void)state;
	assert_int_equal(hsm_generate_pair(fixture->hsm, LABEL_SERVICES,
	    HSM_EC_P256, &uri, &spki, &err), ERR_OK);
	assert_int_equal(run(fixture, &plan), ERR_EXISTS);
	assert_int_equal(fixture_count(fixture, TABLE_ISSUERS), 0);
}

static void keep_last(const char *step, void *arg)
{
	struct buf *last = arg;

	buf_reset(last);
	buf_put_str(last, step);
}

/* Whatever fails, nothing is recorded, and what was made is named. */
static void a_ceremony_that_fails_leaves_no_half_an_authority(void **state)
{
	(void)state;
	for (unsigned nth = 1; nth <= 8 + 6; nth++) {
		OWNED(fixture) fixture = fixture_new();
		struct ceremony_plan plan = ceremony_default_plan();
		OWNED_BUF(last);
		OWNED_STR(text) = NULL;

		plan.progress = keep_last;
		plan.progress_arg = &last;
		if (nth <= 8)
			fake_hsm_fail_generate(
			    fixture->hsm, nth, ERR_HSM_REFUSED);
		else
			fake_hsm_fail_sign(
			    fixture->hsm, nth - 8, ERR_HSM_UNAVAILABLE);
		assert_int_equal(run(fixture, &plan),
		    nth <= 8 ? ERR_HSM_REFUSED : ERR_HSM_UNAVAILABLE);
		assert_int_equal(fixture_count(fixture, TABLE_ISSUERS), 0);
		assert_int_equal(
		    fixture_count(fixture, TABLE_CERTIFICATES), 0);
		assert_int_equal(fixture_count(fixture, TABLE_CRLS), 0);
		text = buf_to_str(&last);
		if (nth == 1)
			assert_non_null(strstr(text, LABEL_ROOT));
		else
			assert_non_null(strstr(text, "remove"));
		if (nth > 2)
			assert_non_null(strstr(text,
			    LABEL_ROOT ", " LABEL_ISSUING));
		if (nth > 8)
			assert_non_null(strstr(text, LABEL_MAC));
	}
}

static void the_ceremony_makes_a_notary_that_signs_checkpoints(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(notary) notary = NULL;
	struct audit_head head = {.sequence = 7, .hash = {1}};
	struct checkpoint checkpoint;
	uint8_t fingerprint[32];
	OWNED_BUF(note);
	OWNED_BUF(spki);

	(void)state;
	assert_int_equal(
	    notary_open(fixture->store, fixture->hsm, &notary, &err), ERR_OK);
	assert_int_equal(
	    notary_find_key(fixture->store, &spki, &err), ERR_OK);
	digest_sha256(buf_bytes(&spki), fingerprint);
	assert_memory_equal(
	    fixture->result->audit_fingerprint, fingerprint, 32);
	assert_int_equal(notary_sign(notary, &head, &note, &err), ERR_OK);
	assert_int_equal(checkpoint_check(buf_bytes(&note), buf_bytes(&spki),
	    &checkpoint, &err), ERR_OK);
	assert_string_equal(checkpoint.origin, notary_origin(notary));
	assert_int_equal(checkpoint.size, 7);
	assert_memory_equal(checkpoint.root, head.hash, 32);
	/* The key is in the token, but this store has none of it. */
	assert_int_equal(
	    notary_make(fixture->store, fixture->hsm, &err), ERR_EXISTS);
	assert_non_null(strstr(err.detail, "pkcs11-tool"));
}

static void a_store_without_notary_gets_one(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	OWNED(notary) notary = NULL;

	(void)state;
	assert_int_equal(notary_open(fixture->store, fixture->hsm, &notary,
	    &err), ERR_NOT_FOUND);
	err_clear(&err);
	assert_int_equal(
	    notary_make(fixture->store, fixture->hsm, &err), ERR_OK);
	assert_int_equal(
	    notary_open(fixture->store, fixture->hsm, &notary, &err), ERR_OK);
}

static void a_lying_token_gets_no_authority(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	struct ceremony_plan plan = ceremony_default_plan();

	(void)state;
	fake_hsm_set_lie(fixture->hsm, FAKE_FLIPPED);
	assert_int_equal(run(fixture, &plan), ERR_CORRUPT);
	assert_int_equal(fixture_count(fixture, TABLE_ISSUERS), 0);
}

/* The seventh signature is a responder's: the server makes up for it. */
static void a_responder_that_fails_does_not_undo_the_ceremony(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	struct ceremony_plan plan = ceremony_default_plan();
	OWNED(issuer_set) set = NULL;

	(void)state;
	fake_hsm_fail_sign(fixture->hsm, 7, ERR_HSM_UNAVAILABLE);
	assert_int_equal(run(fixture, &plan), ERR_OK);
	fixture_reopen(fixture);
	set = ca_issuers(fixture->ca);
	assert_true(responder_is_due(find(set, "issuing-1"), clock_now()));
}

static void a_plan_out_of_range_is_refused(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	struct ceremony_plan plan = ceremony_default_plan();

	(void)state;
	plan.issuing_validity = plan.root_validity + 1;
	assert_int_equal(run(fixture, &plan), ERR_BAD_FIELD);
	plan.issuing_validity = 0;
	assert_int_equal(run(fixture, &plan), ERR_BAD_FIELD);
	plan = ceremony_default_plan();
	plan.root_validity = INT64_C(51) * 365 * 86400;
	assert_int_equal(run(fixture, &plan), ERR_BAD_FIELD);
	plan = ceremony_default_plan();
	plan.organization = "line\nbreak";
	assert_int_equal(run(fixture, &plan), ERR_BAD_FIELD);
	assert_int_equal(fixture_count(fixture, TABLE_ISSUERS), 0);
}

static void every_key_type_serves_as_root_and_issuing_key(void **state)
{
	static const enum hsm_key_type types[] = {
	    HSM_EC_P256, HSM_EC_P384, HSM_RSA_2048, HSM_RSA_3072};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		OWNED(fixture) fixture = fixture_new();
		struct ceremony_plan plan = ceremony_default_plan();
		OWNED(certificate) issued = NULL;

		plan.root_key = types[i];
		plan.issuing_key = types[i];
		assert_int_equal(run(fixture, &plan), ERR_OK);
		fixture_reopen(fixture);
		issued = fixture_issue(fixture, "a.example.net");
	}
}

/* ---- issuers ---- */

static void the_chain_goes_up_to_the_root_and_shows_it_when_asked(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(issuer_set) set = ca_issuers(fixture->ca);
	OWNED_BUF(without);
	OWNED_BUF(with);
	OWNED_BUF(expected);
	const struct issuer *issuing = find(set, "issuing-1");

	(void)state;
	issuer_chain_pem(set, issuing, false, &without);
	issuer_chain_pem(set, issuing, true, &with);
	pem_put(&expected, "CERTIFICATE",
	    BYTES(issuing->der, issuing->der_len));
	assert_true(bytes_equal(buf_bytes(&without), buf_bytes(&expected)));
	buf_put_str(&expected, fixture->result->root_pem);
	assert_true(bytes_equal(buf_bytes(&with), buf_bytes(&expected)));
	buf_reset(&without);
	issuer_chain_pem(set, find(set, "root"), false, &without);
	assert_int_equal(without.len, 0);
}

static void a_set_of_issuers_lives_as_long_as_it_is_referred_to(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(issuer_set) old = ca_issuers(fixture->ca);
	OWNED(issuer_set) now = NULL;

	(void)state;
	assert_int_equal(ca_reload(fixture->ca, &err), ERR_OK);
	now = ca_issuers(fixture->ca);
	assert_ptr_not_equal(old, now);
	assert_string_equal(find(old, "root")->id, find(now, "root")->id);
	assert_null(issuer_set_find(now, "nowhere"));
}

static void an_issuer_is_replaced_only_as_it_was_read(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(issuer_set) set = ca_issuers(fixture->ca);
	struct issuer changed = *find(set, "issuing-1");
	OWNED(batch) change = batch_new();
	OWNED(batch) stale = batch_new();
	OWNED(issuer_set) now = NULL;

	(void)state;
	changed.state = ISSUER_CRL_ONLY;
	issuer_put(change, &changed);
	assert_int_equal(store_commit(fixture->store, change, &err), ERR_OK);
	issuer_put(stale, &changed);
	assert_int_equal(
	    store_commit(fixture->store, stale, &err), ERR_CONFLICT);
	assert_int_equal(ca_reload(fixture->ca, &err), ERR_OK);
	now = ca_issuers(fixture->ca);
	assert_int_equal(find(now, "issuing-1")->state, ISSUER_CRL_ONLY);
	assert_null(issuer_set_default(now));
}

/* Every prefix of an issuer's record, and one octet more. */
static void a_damaged_issuer_keeps_the_set_from_loading(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	struct bytes key = BYTES("services", 9);
	struct issuer_set *set = NULL;
	OWNED_BUF(value);
	bool found;

	(void)state;
	assert_int_equal(store_find(fixture->store, TABLE_ISSUERS, key, &value,
	    NULL, &found, &err), ERR_OK);
	assert_true(found);
	buf_put_u8(&value, 0);
	for (size_t i = 0; i <= 40; i++) {
		OWNED(batch) batch = batch_new();
		/* The empty value and the few first, then larger steps. */
		size_t len = i < 20 ? i : value.len * (i - 19) / 21;

		if (len == value.len - 1)
			continue;
		batch_put(batch, TABLE_ISSUERS, key, BYTES(value.data, len));
		assert_int_equal(
		    store_commit(fixture->store, batch, &err), ERR_OK);
		assert_int_equal(issuer_set_load(fixture->store, fixture->hsm,
		    &set, &err), ERR_CORRUPT);
		assert_null(set);
	}
}

static void issuers_load_without_a_token_and_then_do_not_sign(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(issuer_set) set = NULL;

	(void)state;
	assert_int_equal(
	    issuer_set_load(fixture->store, NULL, &set, &err), ERR_OK);
	assert_int_equal(issuer_set_count(set), 3);
	assert_null(find(set, "issuing-1")->signer);
}

/* ---- opening ---- */

static void a_token_that_is_away_does_not_keep_the_ca_from_opening(
    void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(certificate) issued = NULL;

	(void)state;
	fake_hsm_set_away(fixture->hsm, true);
	fixture_reopen(fixture);
	fake_hsm_set_away(fixture->hsm, false);
	issued = fixture_issue(fixture, "a.example.net");
}

static void a_token_without_the_keys_keeps_the_ca_from_opening(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	struct hsm *other = fake_hsm_new();
	struct ca *ca = NULL;

	(void)state;
	assert_int_equal(ca_open(fixture->store, other, &fixture->config, &ca,
	    &err), ERR_HSM_REFUSED);
	assert_null(ca);
	fake_hsm_free(other);
}

static void a_node_is_drawn_once(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	uint8_t node;

	(void)state;
	fixture_reopen(fixture);
	node = ca_node(fixture->ca);
	assert_in_range(node, 1, 0x7f);
	for (int i = 0; i < 5; i++) {
		fixture_reopen(fixture);
		assert_int_equal(ca_node(fixture->ca), node);
	}
}

static void text_that_was_not_recorded_is_not_found(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	OWNED(batch) batch = batch_new();
	OWNED_STR(text) = NULL;

	(void)state;
	assert_int_equal(meta_get_text(fixture->store, "some", &text, &err),
	    ERR_NOT_FOUND);
	batch_put(batch, TABLE_META, BYTES_STR("bad"), BYTES("\x01\x00", 2));
	meta_put_text(batch, "some", "value");
	assert_int_equal(store_commit(fixture->store, batch, &err), ERR_OK);
	assert_int_equal(
	    meta_get_text(fixture->store, "bad", &text, &err), ERR_CORRUPT);
	assert_int_equal(
	    meta_get_text(fixture->store, "some", &text, &err), ERR_OK);
	assert_string_equal(text, "value");
}

/* ---- services ---- */

static enum err_code issue_service(struct fixture *fixture,
    const char *profile, uint32_t roles, int64_t ttl, struct secret **pem,
    struct certificate **certificate)
{
	OWNED(names) names = names_new();

	assert_int_equal(
	    names_set_cn(names, BYTES_STR("signet.example.net"), &err),
	    ERR_OK);
	assert_int_equal(names_add(names, NAME_DNS,
	    BYTES_STR("signet.example.net"), &err), ERR_OK);
	return service_issue(fixture->ca, &(struct service_order){
	    .profile = profile, .names = names, .roles = roles, .ttl = ttl,
	    .requester = "cli"}, pem, certificate, &err);
}

/* OpenSSL reads the key, and it is the certificate's. */
static void check_key(struct secret *pem, X509 *cert)
{
	BIO *bio = BIO_new_mem_buf(secret_data(pem), (int)secret_len(pem));
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	assert_non_null(key);
	assert_int_equal(X509_check_private_key(cert, key), 1);
	EVP_PKEY_free(key);
	BIO_free(bio);
}

static void a_service_gets_key_and_certificate_for_its_purpose(void **state)
{
	static const struct {
		const char *profile;
		uint32_t roles;
		uint32_t purpose;
	} services[] = {
	    {PROFILE_API_SERVER, 0, XKU_SSL_SERVER},
	    {PROFILE_IDENTITY, ROLE_ADMIN, XKU_SSL_CLIENT},
	};
	OWNED(fixture) fixture = fixture_with_ca();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		OWNED(secret) pem = NULL;
		OWNED(certificate) certificate = NULL;
		X509 *cert;

		assert_int_equal(issue_service(fixture, services[i].profile,
		    services[i].roles, 3600, &pem, &certificate), ERR_OK);
		assert_string_equal(certificate->issuer, "services");
		assert_int_equal(certificate->roles, services[i].roles);
		assert_null(certificate->cluster);
		cert = read_der(certificate->der, certificate->der_len);
		assert_int_equal(X509_get_extended_key_usage(cert),
		    services[i].purpose);
		check_key(pem, cert);
		X509_free(cert);
	}
}

static void a_service_does_not_outlive_its_ca(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	OWNED(issuer_set) set = ca_issuers(fixture->ca);
	OWNED(secret) pem = NULL;
	OWNED(certificate) certificate = NULL;

	(void)state;
	assert_int_equal(issue_service(fixture, PROFILE_IDENTITY, ROLE_ADMIN,
	    INT64_C(10) * 365 * 86400, &pem, &certificate), ERR_OK);
	assert_int_equal(
	    certificate->not_after, find(set, "services")->not_after);
}

static void a_service_of_unknown_profile_or_no_time_is_refused(void **state)
{
	OWNED(fixture) fixture = fixture_with_ca();
	struct secret *pem = NULL;
	struct certificate *certificate = NULL;

	(void)state;
	assert_int_equal(issue_service(fixture, "peer", 0, 3600, &pem,
	    &certificate), ERR_BAD_FIELD);
	assert_int_equal(issue_service(fixture, PROFILE_IDENTITY, 0, 0, &pem,
	    &certificate), ERR_BAD_FIELD);
	fake_hsm_set_away(fixture->hsm, true);
	assert_int_equal(issue_service(fixture, PROFILE_IDENTITY, 0, 60, &pem,
	    &certificate), ERR_HSM_UNAVAILABLE);
	assert_null(pem);
	assert_null(certificate);
}

static void a_service_without_a_services_ca_is_refused(void **state)
{
	OWNED(fixture) fixture = fixture_new();
	struct secret *pem = NULL;
	struct certificate *certificate = NULL;

	(void)state;
	fixture_reopen(fixture);
	assert_int_equal(issue_service(fixture, PROFILE_IDENTITY, 0, 60, &pem,
	    &certificate), ERR_NOT_FOUND);
}

#define TEST cmocka_unit_test
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_ceremony_records_three_cas_under_one_root),
	    TEST(the_ceremony_tells_root_and_key_uris),
	    TEST(the_ceremony_records_certificates_and_first_crls),
	    TEST(the_roots_crl_verifies_with_the_root),
	    TEST(a_second_ceremony_is_refused_and_makes_no_key),
	    TEST(a_label_in_use_in_the_token_is_refused),
	    TEST(a_ceremony_that_fails_leaves_no_half_an_authority),
	    TEST(the_ceremony_makes_a_notary_that_signs_checkpoints),
	    TEST(a_store_without_notary_gets_one),
	    TEST(a_lying_token_gets_no_authority),
	    TEST(a_responder_that_fails_does_not_undo_the_ceremony),
	    TEST(a_plan_out_of_range_is_refused),
	    TEST(every_key_type_serves_as_root_and_issuing_key),
	    TEST(the_chain_goes_up_to_the_root_and_shows_it_when_asked),
	    TEST(a_set_of_issuers_lives_as_long_as_it_is_referred_to),
	    TEST(an_issuer_is_replaced_only_as_it_was_read),
	    TEST(a_damaged_issuer_keeps_the_set_from_loading),
	    TEST(issuers_load_without_a_token_and_then_do_not_sign),
	    TEST(a_token_that_is_away_does_not_keep_the_ca_from_opening),
	    TEST(a_token_without_the_keys_keeps_the_ca_from_opening),
	    TEST(a_node_is_drawn_once),
	    TEST(text_that_was_not_recorded_is_not_found),
	    TEST(a_service_gets_key_and_certificate_for_its_purpose),
	    TEST(a_service_does_not_outlive_its_ca),
	    TEST(a_service_of_unknown_profile_or_no_time_is_refused),
	    TEST(a_service_without_a_services_ca_is_refused),
	};

	size_t idle;

	if (secret_heap_open(1 << 20, &err) != ERR_OK)
		return 1;
	idle = fixture_heap_idle();
	if (cmocka_run_group_tests(tests, NULL, NULL) != 0)
		return 1;
	return secret_heap_used() == idle ? 0 : 1;
}
