// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/ca/authority.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "ca/tbs.h"

#define MAP_SIZE (UINT64_C(256) << 20)

static void assert_ok(enum err_code code, const struct err *err)
{
	if (code != ERR_OK)
		fail_msg("%s: %s%s (%s:%d)", err_slug(code), err->detail,
		    err->cause, err->file, err->line);
}

/* Fills in KEY_URI and what a signer needs. */
static struct signer *make_signer(struct authority *authority,
    const char *label, enum hsm_key_type type, char **uri_out)
{
	struct signer *signer;
	OWNED_BUF(spki);
	struct err err;

	assert_ok(hsm_generate_pair(authority->hsm, label, type, uri_out,
	    &spki, &err), &err);
	assert_ok(signer_new(authority->hsm, *uri_out, buf_bytes(&spki),
	    &signer, &err), &err);
	return signer;
}

static void certify(struct issuer *issuer, const struct signer *subject,
    struct signer *by, struct bytes by_name)
{
	static const uint8_t serial[] = {1};
	OWNED(names) names = names_new();
	struct tbs_spec spec = {.serial = BYTES_OF(serial),
	    .algorithm = signer_algorithm(by), .issuer_name = by_name,
	    .subject_spki = signer_spki(subject), .organization = "Test",
	    .names = names, .not_before = issuer->not_before,
	    .not_after = issuer->not_after,
	    .key_usage = USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN, .is_ca = true,
	    .path_len = -1};
	OWNED_BUF(tbs);
	struct buf der = BUF_INIT;
	struct err err;

	assert_ok(names_set_cn(names, bytes_str(issuer->id), &err), &err);
	if (subject != by)
		spec.issuer_key_id = BYTES(signer_key_id(by), 20);
	assert_ok(tbs_write(&spec, &tbs, &err), &err);
	assert_ok(signer_sign(by, buf_bytes(&tbs), BYTES(NULL, 0), &der, &err),
	    &err);
	issuer->der = der.data;
	issuer->der_len = der.len;
}

static void make_issuers(struct authority *authority)
{
	static const char *const ids[] = {"root", "issuing-1", "issuing-2"};
	OWNED(batch) batch = batch_new();
	struct signer *root = NULL;
	OWNED_BUF(root_name);
	struct err err;

	tbs_write_name("Test", "root", &root_name);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		OWNED(issuer) issuer = mem_zalloc(sizeof(*issuer));
		struct signer *signer = make_signer(authority, ids[i],
		    i == 0 ? HSM_EC_P384 : HSM_EC_P256, &issuer->key_uri);

		issuer->id = mem_strdup(ids[i]);
		issuer->kind = i == 0 ? ISSUER_ROOT : ISSUER_ISSUING;
		issuer->state = ISSUER_ACTIVE;
		issuer->parent = i == 0 ? NULL : mem_strdup("root");
		issuer->not_before = AUTHORITY_NOW - 86400;
		issuer->not_after = AUTHORITY_NOW + 10 * AUTHORITY_YEAR;
		root = i == 0 ? signer : root;
		certify(issuer, signer, root, buf_bytes(&root_name));
		issuer_put(batch, issuer);
		if (signer != root)
			signer_free(signer);
	}
	signer_free(root);
	assert_ok(store_commit(authority->store, batch, &err), &err);
}

static void open_store(struct authority *authority)
{
	OWNED_STR(path) = fs_join(authority->dir, "store");
	struct err err;

	assert_ok(store_open(&(struct store_options){.path = path,
	    .map_size = MAP_SIZE, .create = true}, &authority->store, &err),
	    &err);
}

void authority_open(struct authority *authority)
{
	struct err err;

	if (authority->store == NULL)
		open_store(authority);
	assert_ok(ca_open(authority->store, authority->hsm,
	    &authority->config, &authority->ca, &err), &err);
}

void authority_close(struct authority *authority)
{
	ca_close(authority->ca);
	authority->ca = NULL;
	store_close(authority->store);
	authority->store = NULL;
}

int authority_setup(void **state)
{
	struct authority *authority = mem_zalloc(sizeof(*authority));
	const char *base = getenv("TMPDIR");

	clock_freeze(AUTHORITY_NOW);
	authority->dir =
	    mem_printf("%s/ca-test.XXXXXX", base != NULL ? base : "/tmp");
	assert_non_null(mkdtemp(authority->dir));
	authority->hsm = fake_hsm_new();
	authority->config.public_url = mem_strdup("http://pki.test");
	authority->config.limits.request_timeout = 30;
	authority->config.repeat_window = 600;
	authority->config.crl.validity = 86400;
	authority->config.crl.refresh = 8 * 3600;
	authority->config.ocsp.validity = 8 * 3600;
	authority->config.ocsp.cache_entries = 1024;
	open_store(authority);
	make_issuers(authority);
	authority_open(authority);
	*state = authority;
	return 0;
}

static int remove_one(
    const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

int authority_teardown(void **state)
{
	struct authority *authority = *state;

	authority_close(authority);
	fake_hsm_free(authority->hsm);
	(void)nftw(authority->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(authority->config.public_url);
	free(authority->dir);
	free(authority);
	clock_thaw();
	return 0;
}

struct serial authority_serial(uint32_t n)
{
	struct serial serial = {.len = 18};

	memset(serial.octets, 0x5a, serial.len);
	serial.octets[0] = 1;
	for (size_t i = 0; i < 4; i++)
		serial.octets[14 + i] = (uint8_t)(n >> (24 - 8 * i) & 0xff);
	return serial;
}

void authority_add_record(struct authority *authority, struct batch *batch,
    const char *issuer, uint32_t n, int64_t not_after)
{
	OWNED(certificate) record = mem_zalloc(sizeof(*record));

	(void)authority;
	record->serial = authority_serial(n);
	record->state = CERTIFICATE_VALID;
	record->issuer = mem_strdup(issuer);
	record->cluster = mem_strdup("orders");
	record->profile = mem_strdup("server");
	record->requester = mem_strdup("test");
	record->created = clock_now();
	record->not_before = clock_now() - 60;
	record->not_after = not_after;
	record->names = names_new();
	/* No signature is looked at where only the record counts. */
	record->der_len = 600;
	record->der = mem_zalloc(record->der_len);
	memcpy(record->der, record->serial.octets, record->serial.len);
	certificate_put(batch, record);
}

void authority_record_until(struct authority *authority, const char *issuer,
    uint32_t n, int64_t not_after)
{
	OWNED(batch) batch = batch_new();
	struct err err;

	authority_add_record(authority, batch, issuer, n, not_after);
	assert_ok(store_commit(authority->store, batch, &err), &err);
}

void authority_record(
    struct authority *authority, const char *issuer, uint32_t n)
{
	authority_record_until(
	    authority, issuer, n, clock_now() + AUTHORITY_YEAR);
}

static void revoke(struct authority *authority, uint32_t n, uint8_t reason,
    bool tell)
{
	struct serial serial = authority_serial(n);
	OWNED(certificate) record = NULL;
	OWNED(batch) batch = batch_new();
	struct err err;

	assert_ok(certificate_get(authority->store, &serial, &record, &err),
	    &err);
	assert_ok(ca_revoke(authority->ca, batch, record, reason, &err), &err);
	assert_ok(store_commit(authority->store, batch, &err), &err);
	if (tell)
		ca_revoked(authority->ca, record->issuer);
}

void authority_revoke(struct authority *authority, uint32_t n, uint8_t reason)
{
	revoke(authority, n, reason, true);
}

void authority_revoke_silently(
    struct authority *authority, uint32_t n, uint8_t reason)
{
	revoke(authority, n, reason, false);
}

X509 *authority_x509(struct authority *authority, const char *id)
{
	OWNED(issuer_set) set = ca_issuers(authority->ca);
	const struct issuer *issuer = issuer_set_find(set, id);
	const uint8_t *next;
	X509 *x509;

	assert_non_null(issuer);
	next = issuer->der;
	x509 = d2i_X509(NULL, &next, (long)issuer->der_len);
	assert_non_null(x509);
	return x509;
}
