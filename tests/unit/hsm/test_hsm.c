// SPDX-License-Identifier: Apache-2.0
/* Goal of this test: pool and worker together do on a real token what hsm/hsm.h
 * promises, judged by OpenSSL, and lose nothing when workers are killed. */
#include "config.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "base/fs.h"
#include "real.h"

static struct real real;
static char *signer, *root;
static struct buf spki, blob;
static struct hsm_kek kek;

static int begin(void **state UNUSED)
{
	struct err err = {0};

	real_begin(&real);
	real_open(&real, 2);
	if (hsm_generate_pair(
		real.hsm, "ca", HSM_EC_P256, &signer, &spki, &err) != ERR_OK ||
	    hsm_generate_secret(
		real.hsm, "root-kek", HSM_USE_WRAP, &root, &err) != ERR_OK ||
	    hsm_kek_new(real.hsm, root, &blob, &err) != ERR_OK) {
		fprintf(stderr, "%s%s\n", err.detail, err.cause);
		return 1;
	}
	kek = (struct hsm_kek){root, buf_bytes(&blob)};
	return 0;
}

static int end(void **state UNUSED)
{
	real_end(&real);
	free(signer);
	free(root);
	buf_free(&spki);
	buf_free(&blob);
	return secret_heap_used() == 0 ? 0 : 1;
}

static ECDSA_SIG *to_ecdsa(const uint8_t *raw, size_t half)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();

	assert_int_equal(ECDSA_SIG_set0(sig,
			     BN_bin2bn(raw, (int)half, NULL),
			     BN_bin2bn(raw + half, (int)half, NULL)),
	    1);
	return sig;
}

static bool verifies(const uint8_t digest[static 32], const struct buf *raw)
{
	const unsigned char *at = spki.data;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki.len);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	ECDSA_SIG *sig = to_ecdsa(raw->data, raw->len / 2);
	unsigned char *der = NULL;
	int len = i2d_ECDSA_SIG(sig, &der);
	bool good = EVP_PKEY_verify_init(ctx) == 1 &&
	    EVP_PKEY_verify(ctx, der, (size_t)len, digest, 32) == 1;

	OPENSSL_free(der);
	ECDSA_SIG_free(sig);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return good;
}

static void openssl_verifies_what_the_token_signs(void **state UNUSED)
{
	uint8_t digest[32];
	OWNED_BUF(signature);
	struct err err = {0};

	memset(digest, 0x5a, sizeof(digest));
	assert_int_equal(hsm_sign(real.hsm, signer, HSM_ECDSA,
			     BYTES_OF(digest), &signature, &err),
	    ERR_OK);
	assert_int_equal(signature.len, 64);
	assert_true(verifies(digest, &signature));
	digest[0] ^= 1;
	assert_false(verifies(digest, &signature));
}

static void a_data_key_opens_under_its_context_only(void **state UNUSED)
{
	OWNED(secret) key = NULL;
	OWNED(secret) again = NULL;
	OWNED_BUF(sealed);
	struct err err = {0};

	assert_int_equal(hsm_data_key(real.hsm, &kek, BYTES_STR("cluster"), 32,
			     &key, &sealed, &err),
	    ERR_OK);
	assert_int_equal(hsm_open_sealed(real.hsm, &kek, BYTES_STR("cluster"),
			     buf_bytes(&sealed), &again, &err),
	    ERR_OK);
	assert_true(secret_equal(again, secret_bytes(key)));
	secret_free(GIVE(again));
	assert_int_equal(hsm_open_sealed(real.hsm, &kek, BYTES_STR("other"),
			     buf_bytes(&sealed), &again, &err),
	    ERR_UNWRAP);
	sealed.data[sealed.len - 1] ^= 1;
	assert_int_equal(hsm_open_sealed(real.hsm, &kek, BYTES_STR("cluster"),
			     buf_bytes(&sealed), &again, &err),
	    ERR_UNWRAP);
}

static void the_token_lists_what_was_made_and_all_of_it_safe(
    void **state UNUSED)
{
	OWNED(hsm_object_list) list = NULL;
	unsigned signers = 0, roots = 0;
	struct err err = {0};

	assert_int_equal(hsm_list(real.hsm, &list, &err), ERR_OK);
	for (size_t i = 0; i < list->count; i++) {
		const struct hsm_object *object = &list->objects[i];

		assert_null(hsm_object_unsafe(object));
		signers += strcmp(object->uri, signer) == 0;
		roots += strcmp(object->uri, root) == 0;
	}
	assert_int_equal(signers, 1);
	assert_int_equal(roots, 1);
	assert_int_equal(hsm_check_key(real.hsm, signer, &err), ERR_OK);
}

static void a_label_in_use_and_a_key_that_is_absent_are_refused(
    void **state UNUSED)
{
	OWNED_BUF(out);
	char *uri = NULL;
	struct err err = {0};

	assert_int_equal(hsm_generate_pair(
			     real.hsm, "ca", HSM_EC_P256, &uri, &out, &err),
	    ERR_EXISTS);
	assert_int_equal(
	    hsm_sign(real.hsm,
		"pkcs11:token=test;object=none;id=%01;type=private", HSM_ECDSA,
		BYTES("0123456789abcdef0123456789abcdef", 32), &out, &err),
	    ERR_HSM_REFUSED);
}

/* Opens another pool whose options were changed; returns its error's detail. */
static void assert_no_start(const struct hsm_options *options)
{
	struct hsm *hsm = NULL;
	struct err err = {0};

	assert_int_equal(hsm_open(options, true, &hsm, &err), ERR_CONFIG);
	assert_true(strlen(err.detail) > 10);
	assert_null(hsm);
}

static void what_the_admin_got_wrong_is_said(void **state UNUSED)
{
	OWNED_STR(wrong_pin) = fs_join(real.dir, "wrong-pin");
	struct hsm_options options = real.options;

	options.module = "/nonexistent/module.so";
	assert_no_start(&options);
	options = real.options;
	options.token = "pkcs11:token=other";
	assert_no_start(&options);
	options = real.options;
	options.pin_file = "/nonexistent/pin";
	assert_no_start(&options);
	real_write(&real, "wrong-pin", "99999999\n");
	options.pin_file = wrong_pin;
	assert_no_start(&options);
}

enum { THREADS = 16 };

struct load {
	pthread_mutex_t lock;
	bool stop;
	unsigned started;
	unsigned done[THREADS];
	unsigned failed;
};

static bool stopped(struct load *load, unsigned self, bool failed)
{
	bool stop;

	pthread_mutex_lock(&load->lock);
	load->done[self]++;
	load->failed += failed;
	stop = load->stop;
	pthread_mutex_unlock(&load->lock);
	return stop;
}

/* Waits until every thread has done MORE rounds than in BEFORE. */
static void await_rounds(
    struct load *load, const unsigned before[static THREADS], unsigned more)
{
	for (int i = 0; i < THREADS;) {
		pthread_mutex_lock(&load->lock);
		while (i < THREADS && load->done[i] >= before[i] + more)
			i++;
		pthread_mutex_unlock(&load->lock);
		usleep(1000);
	}
}

static bool work_once(struct buf *out)
{
	OWNED(secret) key = NULL;
	uint8_t digest[32];
	struct err err = {0};

	memset(digest, 7, sizeof(digest));
	buf_reset(out);
	if (hsm_sign(real.hsm, signer, HSM_ECDSA, BYTES_OF(digest), out,
		&err) != ERR_OK ||
	    !verifies(digest, out)) {
		fprintf(stderr, "sign: %s %s\n", err.detail, err.cause);
		return false;
	}
	buf_reset(out);
	if (hsm_data_key(real.hsm, &kek, BYTES_STR("a"), 32, &key, out,
		&err) != ERR_OK) {
		fprintf(stderr, "key: %s %s\n", err.detail, err.cause);
		return false;
	}
	return true;
}

static void *work(void *arg)
{
	struct load *load = arg;
	unsigned self;
	OWNED_BUF(out);

	pthread_mutex_lock(&load->lock);
	self = load->started++;
	pthread_mutex_unlock(&load->lock);
	while (!stopped(load, self, !work_once(&out)))
		;
	return NULL;
}

static uint64_t restarts(void)
{
	struct hsm_stats stats;

	hsm_stats(real.hsm, &stats);
	return stats.workers == 2 ? stats.restarts : 0;
}

static void await_restarts(uint64_t count)
{
	while (restarts() < count)
		usleep(1000);
}

/* A call may meet one disturbance, not two: the next comes when all that were in
 * flight during the last are done. */
static void run_load(struct load *load, void (*disturb)(uint64_t))
{
	pthread_t threads[THREADS];
	unsigned before[THREADS] = {0};

	pthread_mutex_init(&load->lock, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, load);
	for (int i = 0; i < 5; i++) {
		await_rounds(load, before, 2);
		disturb(restarts());
		pthread_mutex_lock(&load->lock);
		memcpy(before, load->done, sizeof(before));
		pthread_mutex_unlock(&load->lock);
	}
	pthread_mutex_lock(&load->lock);
	load->stop = true;
	pthread_mutex_unlock(&load->lock);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void kill_workers(uint64_t before, size_t most)
{
	pid_t pids[8];
	size_t count = real_children(pids, ARRAY_LEN(pids));

	for (size_t i = 0; i < count && i < most; i++)
		kill(pids[i], SIGKILL);
	await_restarts(before + (count < most ? count : most));
}

static void kill_one(uint64_t before)
{
	kill_workers(before, 1);
}

static void kill_all(uint64_t before)
{
	kill_workers(before, 8);
}

static void killing_a_worker_under_load_fails_no_call(void **state UNUSED)
{
	struct load load = {.failed = 0};

	run_load(&load, kill_one);
	assert_int_equal(load.failed, 0);
}

static void killing_all_workers_at_once_fails_no_call(void **state UNUSED)
{
	struct load load = {.failed = 0};

	run_load(&load, kill_all);
	assert_int_equal(load.failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(openssl_verifies_what_the_token_signs),
	    cmocka_unit_test(a_data_key_opens_under_its_context_only),
	    cmocka_unit_test(the_token_lists_what_was_made_and_all_of_it_safe),
	    cmocka_unit_test(
		a_label_in_use_and_a_key_that_is_absent_are_refused),
	    cmocka_unit_test(what_the_admin_got_wrong_is_said),
	    cmocka_unit_test(killing_a_worker_under_load_fails_no_call),
	    cmocka_unit_test(killing_all_workers_at_once_fails_no_call),
	};
	struct err err = {0};

	if (secret_heap_open(1 << 20, &err) != ERR_OK)
		return 1;
	return cmocka_run_group_tests(tests, begin, end);
}
