// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/ca/fixture.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ca/digest.h"
#include "tests/scratch.h"

#define must(call)                                                             \
	do {                                                                   \
		struct err *err_ = &err;                                       \
		if ((call) != ERR_OK) {                                        \
			fprintf(stderr, "fixture: %s: %s%s\n", #call,          \
			    err_->detail, err_->cause);                        \
			abort();                                               \
		}                                                              \
	} while (0)

struct fixture *fixture_new(void)
{
	struct fixture *fixture = mem_zalloc(sizeof(*fixture));
	struct err err;

	strcpy(fixture->dir, "/tmp/signet-ca-XXXXXX");
	if (mkdtemp(fixture->dir) == NULL)
		abort();
	/* Unless the test's main has done so. */
	if (CRYPTO_secure_malloc_initialized() != 1)
		must(secret_heap_open(1 << 20, &err));
	must(store_open(&(struct store_options){.path = fixture->dir,
	    .map_size = 64 << 20, .create = true}, &fixture->store, &err));
	fixture->hsm = fake_hsm_new();
	fixture->config.public_url = mem_strdup(FIXTURE_URL);
	fixture->config.repeat_window = 600;
	fixture->config.limits.request_timeout = 30;
	fixture->config.crl.validity = 86400;
	fixture->config.crl.refresh = 8 * 3600;
	fixture->config.ocsp.validity = 8 * 3600;
	fixture->config.ocsp.cache_entries = 1024;
	return fixture;
}

void fixture_ceremony(struct fixture *fixture)
{
	struct ceremony_plan plan = ceremony_default_plan();
	struct err err;

	plan.organization = "Example";
	must(ceremony_run(fixture->store, fixture->hsm, fixture->hsm,
	    &fixture->config, &plan, &fixture->result, &err));
	fixture_reopen(fixture);
}

struct fixture *fixture_with_ca(void)
{
	struct fixture *fixture = fixture_new();

	fixture_ceremony(fixture);
	return fixture;
}

void fixture_reopen(struct fixture *fixture)
{
	struct err err;

	ca_close(fixture->ca);
	fixture->ca = NULL;
	must(ca_open(fixture->store, fixture->hsm, &fixture->config,
	    &fixture->ca, &err));
}

void fixture_free(struct fixture *fixture)
{
	if (fixture == NULL)
		return;
	ca_close(fixture->ca);
	store_close(fixture->store);
	fake_hsm_free(fixture->hsm);
	ceremony_result_free(fixture->result);
	free(fixture->config.public_url);
	scratch_remove(fixture->dir);
	free(fixture);
}

static struct request *new_request(const char *name)
{
	struct request *request = mem_zalloc(sizeof(*request));
	uint8_t *der = NULL;
	struct err err;
	int len;

	request->names = names_new();
	must(names_set_cn(request->names, bytes_str(name), &err));
	must(names_add(request->names, NAME_DNS, bytes_str(name), &err));
	request->key_type = KEY_EC_P256;
	request->key = EVP_EC_gen("P-256");
	len = i2d_PUBKEY(request->key, &der);
	if (len <= 0)
		abort();
	request->spki_len = (size_t)len;
	request->spki = mem_zalloc(request->spki_len);
	memcpy(request->spki, der, request->spki_len);
	OPENSSL_free(der);
	digest_sha256(
	    BYTES(request->spki, request->spki_len), request->spki_hash);
	return request;
}

struct fixture_order *fixture_order_new(const char *name)
{
	struct fixture_order *order = mem_zalloc(sizeof(*order));
	struct decision *decision = mem_zalloc(sizeof(*decision));
	int64_t now = clock_now();

	order->cluster.name = mem_strdup(FIXTURE_CLUSTER);
	order->request = new_request(name);
	order->decision = decision;
	decision->names = names_copy(order->request->names);
	decision->not_before = now - 60;
	decision->not_after = now + 86400 - 1;
	decision->key_usage = USAGE_DIGITAL_SIGNATURE;
	decision->ext_usage = EKU_SERVER_AUTH | EKU_CLIENT_AUTH;
	decision->rule = mem_strdup("policy test, profile peer");
	order->order = (struct issue_order){.cluster = &order->cluster,
	    .issuer = "issuing-1", .profile = "peer", .policy = "test",
	    .request = order->request, .decision = order->decision,
	    .requester = "token:00", .source = "127.0.0.1",
	    .request_id = "r1", .roles = ROLE_NODE};
	return order;
}

void fixture_order_free(struct fixture_order *order)
{
	if (order == NULL)
		return;
	free(order->cluster.name);
	request_free(order->request);
	decision_free(order->decision);
	free(order);
}

struct certificate *fixture_issue(struct fixture *fixture, const char *name)
{
	OWNED(fixture_order) order = fixture_order_new(name);
	OWNED(batch) intent = batch_new();
	struct certificate *certificate = NULL;
	struct err err;

	must(ca_issue(
	    fixture->ca, &order->order, intent, &certificate, &err));
	return certificate;
}

size_t fixture_heap_idle(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	uint8_t octet;

	if (key == NULL || RAND_bytes(&octet, 1) != 1 ||
	    RAND_priv_bytes(&octet, 1) != 1)
		abort();
	EVP_PKEY_free(key);
	return secret_heap_used();
}

uint64_t fixture_count(struct fixture *fixture, enum table table)
{
	uint64_t count;
	struct err err;

	must(store_count(fixture->store, table, &count, &err));
	return count;
}
