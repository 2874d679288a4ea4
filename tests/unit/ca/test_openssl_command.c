// SPDX-License-Identifier: Apache-2.0
/* The command that admins have at hand, openssl, accepts what is published, and
 * refuses it when an octet is changed.  Skipped where there is no openssl. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "ca/crl.h"
#include "ca/ocsp.h"
#include "ca/pem.h"
#include "tests/unit/ca/ask.h"

#define OUTPUT_MAX ((size_t)1 << 20)

/* Runs openssl with ARGS inside the authority's folder; what it says, and on
 * which channel, does not matter: OUTPUT gets both. */
static int run(struct authority *authority, const char *const *args,
    struct buf *output)
{
	OWNED_STR(path) = fs_join(authority->dir, "output");
	posix_spawn_file_actions_t actions;
	char *argv[32] = {(char[]){"openssl"}};
	struct err err;
	pid_t pid;
	int rc, status;

	for (size_t i = 0; args[i] != NULL; i++)
		argv[i + 1] = (char *)(uintptr_t)args[i];
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addchdir_np(&actions, authority->dir);
	posix_spawn_file_actions_addopen(
	    &actions, 1, "output", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	rc = posix_spawnp(&pid, "openssl", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (rc == ENOENT)
		skip();
	assert_int_equal(rc, 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	buf_reset(output);
	assert_int_equal(fs_read(path, OUTPUT_MAX, output, &err), ERR_OK);
	buf_put_u8(output, 0);
	return WEXITSTATUS(status);
}

static void assert_says(const struct buf *output, const char *what)
{
	if (strstr((const char *)output->data, what) == NULL)
		fail_msg("openssl: %s", (const char *)output->data);
}

static void write_file(
    struct authority *authority, const char *name, struct bytes content)
{
	OWNED_STR(path) = fs_join(authority->dir, name);
	struct err err;

	assert_int_equal(fs_write(path, 0600, content, &err), ERR_OK);
}

static void write_certificate(
    struct authority *authority, const char *id, const char *name)
{
	OWNED(issuer_set) set = ca_issuers(authority->ca);
	const struct issuer *issuer = issuer_set_find(set, id);
	OWNED_BUF(pem);

	pem_put(&pem, "CERTIFICATE", BYTES(issuer->der, issuer->der_len));
	write_file(authority, name, buf_bytes(&pem));
}

static void openssl_crl_verifies_a_crl_and_refuses_it_changed(void **state)
{
	static const char *const args[] = {"crl", "-inform", "DER", "-in",
	    "crl.der", "-CAfile", "issuer.pem", "-noout", "-text", NULL};
	struct authority *authority = *state;
	OWNED(issuer_set) set = ca_issuers(authority->ca);
	OWNED(batch) batch = batch_new();
	OWNED(crl) crl = NULL;
	OWNED_BUF(output);
	OWNED_BUF(changed);
	struct err err;

	authority_record(authority, "issuing-1", 1);
	authority_revoke(authority, 1, 1);
	assert_int_equal(crl_build(authority->store,
	    issuer_set_find(set, "issuing-1"), 86400, NULL, batch, &crl, &err),
	    ERR_OK);
	write_certificate(authority, "issuing-1", "issuer.pem");
	write_file(authority, "crl.der", BYTES(crl->der, crl->der_len));
	assert_int_equal(run(authority, args, &output), 0);
	assert_says(&output, "verify OK");
	assert_says(&output, "015A5A5A5A5A5A5A5A5A5A5A5A5A00000001");
	assert_says(&output, "Key Compromise");

	buf_put(&changed, crl->der, crl->der_len);
	changed.data[changed.len / 2] ^= 1;
	write_file(authority, "crl.der", buf_bytes(&changed));
	(void)run(authority, args, &output);
	assert_null(strstr((const char *)output.data, "verify OK"));
}

/* The frozen time is not that of the command, hence the two options. */
static void openssl_ocsp_accepts_an_answer_and_refuses_it_changed(
    void **state)
{
	static const char *const args[] = {"ocsp", "-respin", "response.der",
	    "-reqin", "request.der", "-issuer", "issuer.pem", "-serial",
	    "0x015A5A5A5A5A5A5A5A5A5A5A5A5A00000001", "-CAfile", "root.pem",
	    "-verify_other", "issuer.pem", "-attime", "1800000000",
	    "-validity_period", "1000000000", NULL};
	struct authority *authority = *state;
	OWNED(ocsp_response) response = NULL;
	OWNED(ocsp) ocsp = NULL;
	OWNED_BUF(request);
	OWNED_BUF(output);
	struct err err;
	uint32_t n = 1;

	assert_int_equal(ocsp_open(authority->ca, &ocsp, &err), ERR_OK);
	assert_int_equal(ocsp_renew_responders(ocsp, &err), ERR_OK);
	authority_record(authority, "issuing-1", 1);
	authority_revoke(authority, 1, 1);
	ask(authority, &(struct question){.issuer = "issuing-1",
	    .serials = &n, .count = 1}, &request);
	response = ocsp_answer(ocsp, buf_bytes(&request));
	write_certificate(authority, "issuing-1", "issuer.pem");
	write_certificate(authority, "root", "root.pem");
	write_file(authority, "request.der", buf_bytes(&request));
	write_file(authority, "response.der",
	    BYTES(response->der, response->der_len));
	assert_int_equal(run(authority, args, &output), 0);
	assert_says(&output, "Response verify OK");
	assert_says(&output, ": revoked");
	assert_says(&output, "keyCompromise");

	response->der[response->der_len / 4] ^= 1;
	write_file(authority, "response.der",
	    BYTES(response->der, response->der_len));
	response->der[response->der_len / 4] ^= 1;
	(void)run(authority, args, &output);
	assert_null(strstr((const char *)output.data, "Response verify OK"));
}

#define WITH_CA(test)                                                          \
	cmocka_unit_test_setup_teardown(                                       \
	    test, authority_setup, authority_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    WITH_CA(openssl_crl_verifies_a_crl_and_refuses_it_changed),
	    WITH_CA(openssl_ocsp_accepts_an_answer_and_refuses_it_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
