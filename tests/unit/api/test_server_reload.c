// SPDX-License-Identifier: Apache-2.0
/* Goal: a reload changes all that the file says or nothing, and a new
 * certificate is served without a restart. */
#include "harness.h"
#include "fixture.h"
#include "api/maintain.h"
#include "api/server.h"
#include "base/clock.h"
#include "base/fs.h"
#include "ca/ceremony.h"
#include "tests/unit/api/site.h"

static struct err err;

static void a_reload_of_a_bad_file_changes_nothing(void **state)
{
	(void)state;
	OWNED_STR(path) = fs_join(site.dir, "signet.yaml");
	OWNED_BUF(good);
	assert_ok(fs_read(path, 1 << 20, &good, &err));
	OWNED_STR(text) = buf_to_str(&good);
	OWNED_STR(bad) = mem_printf("%snonsense: 1\n", text);
	OWNED_STR(changed) = mem_printf("%s", text);
	char *limits = strstr(changed, "  workers: 4\n");
	assert_non_null(limits);
	OWNED_STR(slower) = mem_printf("%.*s  request_timeout: 7s\n%s",
	    (int)(limits - changed), changed, limits);
	int64_t before = atomic_load(&site.app->request_timeout_ms);
	fixture_write(&site, "signet.yaml", bad);
	assert_refused(app_reload(site.app, &err), ERR_CONFIG, "nonsense");
	assert_int_equal(atomic_load(&site.app->request_timeout_ms), before);
	fixture_write(&site, "signet.yaml", slower);
	assert_ok(app_reload(site.app, &err));
	assert_int_equal(atomic_load(&site.app->request_timeout_ms), 7000);
	fixture_write(&site, "signet.yaml", text);
	assert_ok(app_reload(site.app, &err));
}

static void a_check_wants_the_module_and_the_pin_file_to_be_there(void **state)
{
	struct config changed = *site.config;
	char nowhere[] = "/nonexistent/file";
	(void)state;
	changed.hsm.module = nowhere;
	assert_refused(app_check(&changed, &err), ERR_CONFIG, "hsm.module");
	changed = *site.config;
	changed.hsm.pin_file = nowhere;
	assert_refused(app_check(&changed, &err), ERR_CONFIG, "hsm.pin_file");
	/* With both there it comes to the store, which no process may open
	 * twice: one that is not there shows it. */
	changed = *site.config;
	changed.store.path = nowhere;
	assert_refused(app_check(&changed, &err), ERR_NOT_FOUND, nowhere);
}

static void a_name_is_known_to_be_in_the_served_certificate_or_not(void **state)
{
	(void)state;
	assert_true(site.config->tls.names_count > 0);
	for (unsigned i = 0; i < site.config->tls.names_count; i++)
		assert_true(
		    tls_carries(site.app->tls, site.config->tls.names[i]));
	assert_false(tls_carries(site.app->tls, "other.example.net"));
	assert_false(tls_carries(site.app->tls, "192.0.2.77"));
}

static void a_new_certificate_is_served_without_a_restart(void **state)
{
	struct tls_validity validity = tls_validity(site.app->tls);
	(void)state;
	assert_false(maintain_tls_is_due(&validity, clock_now()));
	assert_true(maintain_tls_is_due(&validity, validity.not_after));
	OWNED_BUF(before);
	OWNED_BUF(after);
	assert_ok(
	    fs_read(site.config->tls.certificate, 1 << 20, &before, &err));
	assert_ok(service_server(site.app->ca, site.config, NULL, &err));
	assert_ok(tls_reload(site.app->tls, &err));
	assert_ok(fs_read(site.config->tls.certificate, 1 << 20, &after, &err));
	assert_false(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
	site_expect(
	    &(struct site_call){.listener = "api", .path = "/api/v1/roots"},
	    200, "BEGIN CERT");
}

/* As a stop between the steps of a replacement leaves it. */
static void a_key_that_waits_beside_its_place_is_taken_with_its_certificate(
    void **state)
{
	const char *key = site.config->tls.key;
	OWNED_STR(next) = mem_printf("%s.next", key);
	OWNED_STR(name) = mem_strdup("tls/server-key.pem");
	OWNED_BUF(good);
	(void)state;
	assert_ok(fs_read(key, 1 << 20, &good, &err));
	OWNED_STR(text) = buf_to_str(&good);
	EVP_PKEY *other = NULL;
	free(csr_make("x", NULL, &other));
	assert_int_equal(rename(key, next), 0);
	fixture_write(&site, name, "no key\n");
	assert_ok(tls_reload(site.app->tls, &err));
	assert_false(fs_exists(next));
	fixture_write(&site, name, "no key\n");
	assert_int_equal(tls_reload(site.app->tls, &err), ERR_CONFIG);
	site_expect(
	    &(struct site_call){.listener = "api", .path = "/api/v1/roots"},
	    200, "BEGIN CERT");
	fixture_write(&site, name, text);
	assert_ok(tls_reload(site.app->tls, &err));
	EVP_PKEY_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_reload_of_a_bad_file_changes_nothing),
	    cmocka_unit_test(
		a_check_wants_the_module_and_the_pin_file_to_be_there),
	    cmocka_unit_test(
		a_name_is_known_to_be_in_the_served_certificate_or_not),
	    cmocka_unit_test(a_new_certificate_is_served_without_a_restart),
	    cmocka_unit_test(
		a_key_that_waits_beside_its_place_is_taken_with_its_certificate),
	};
	return cmocka_run_group_tests(tests, site_begin, site_end);
}
