// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base/harness.h"

#include <unistd.h>
#include "base/config.h"

#define LEAST                                                                  \
	"public_url: http://pki.example.net\n"                                 \
	"hsm:\n"                                                               \
	"  module: /usr/lib/module.so\n"                                       \
	"  token: pkcs11:token=a\n"                                            \
	"  pin_file: pin\n"

static void assert_under(const char *path, const char *dir, const char *name)
{
	OWNED_STR(want) = fs_join(dir, name);

	assert_string_equal(path, want);
}

static void config_loads_the_example_that_is_shipped(void **state)
{
	OWNED(config) config = NULL;
	struct err err;

	(void)state;
	assert_ok(config_load(BASE_TEST_DIR "/signet.yaml", &config, &err));
	assert_string_equal(config->public_url, "http://pki.example.net");
	assert_string_equal(config->listen.api, "127.0.0.1:8443");
	assert_int_equal(config->tls.names_count, 3);
	assert_string_equal(config->tls.names[2], "2001:db8::10");
	assert_string_equal(config->hsm.root_token, "pkcs11:token=signet-root");
	assert_int_equal(config->hsm.environment_count, 1);
	assert_string_equal(config->hsm.sandbox, "strict");
	assert_string_equal(config->server.user, "signet");
	assert_int_equal(config->hsm.workers, 4);
	assert_under(config->hsm.pin_file, BASE_TEST_DIR, "token-pin");
	assert_int_equal(config->limits.event_threads, 4);
}

/* The example names every default, so that both must give the same. */
static void config_absent_keys_get_the_defaults_of_the_example(void **state)
{
	OWNED_STR(path) = harness_file(*state, "signet.yaml", LEAST);
	OWNED(config) all = NULL;
	OWNED(config) least = NULL;
	struct err err;

	assert_ok(config_load(BASE_TEST_DIR "/signet.yaml", &all, &err));
	assert_ok(config_load(path, &least, &err));
	assert_string_equal(least->listen.api, all->listen.api);
	assert_string_equal(least->listen.public, all->listen.public);
	assert_string_equal(least->listen.ops, all->listen.ops);
	assert_int_equal(least->store.map_size_mib, all->store.map_size_mib);
	assert_int_equal(
	    least->store.scrub_period, all->store.scrub_period);
	assert_int_equal(least->hsm.timeout, all->hsm.timeout);
	assert_memory_equal(&least->crl, &all->crl, sizeof(all->crl));
	assert_int_equal(least->ocsp.validity, all->ocsp.validity);
	assert_int_equal(least->ocsp.cache_entries, all->ocsp.cache_entries);
	assert_int_equal(least->repeat_window, all->repeat_window);
	assert_int_equal(least->log_level, all->log_level);
	assert_true(least->hsm.workers >= 1);
	assert_true(least->limits.event_threads >= 1);
	least->limits.event_threads = all->limits.event_threads;
	assert_memory_equal(&least->limits, &all->limits, sizeof(all->limits));
	assert_int_equal(least->tls.names_count, 0);
	assert_string_equal(least->hsm.root_token, "pkcs11:token=a");
	assert_string_equal(least->hsm.sandbox, "strict");
	assert_null(least->server.user);
}

static void config_paths_start_at_the_folder_of_the_file(void **state)
{
	OWNED_STR(path) = harness_file(*state, "signet.yaml",
	    LEAST "store: {path: /var/lib/signet}\n");
	OWNED(config) config = NULL;
	OWNED_STR(before) = getcwd(NULL, 0);
	OWNED_STR(dir) = NULL;
	struct err err;

	assert_ok(config_load(path, &config, &err));
	assert_string_equal(config->path, path);
	assert_string_equal(config->dir, *state);
	assert_under(config->tls.certificate, *state, "tls/server.pem");
	assert_under(config->tls.key, *state, "tls/server-key.pem");
	assert_under(config->policies, *state, "policies");
	assert_under(config->hsm.pin_file, *state, "pin");
	assert_string_equal(config->store.path, "/var/lib/signet");
	config_free(GIVE(config));
	assert_int_equal(chdir(*state), 0);
	dir = getcwd(NULL, 0);
	assert_ok(config_load("signet.yaml", &config, &err));
	assert_string_equal(config->dir, dir);
	assert_int_equal(chdir(before), 0);
}

static void config_bare_pin_file_names_a_credential(void **state)
{
	OWNED_STR(path) = harness_file(*state, "signet.yaml", LEAST);
	OWNED_STR(other) = harness_file(*state, "other.yaml",
	    "public_url: http://a\nhsm: {module: /m, token: 'pkcs11:', "
	    "pin_file: ./pin}\n");
	OWNED(config) credential = NULL;
	OWNED(config) file = NULL;
	struct err err;

	setenv("CREDENTIALS_DIRECTORY", "/run/credentials/signetd", 1);
	assert_ok(config_load(path, &credential, &err));
	assert_string_equal(
	    credential->hsm.pin_file, "/run/credentials/signetd/pin");
	assert_ok(config_load(other, &file, &err));
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_under(file->hsm.pin_file, *state, "./pin");
}

static void config_public_url_has_no_final_slash(void **state)
{
	OWNED_STR(path) = harness_file(*state, "signet.yaml",
	    "public_url: http://a:80/pki//\nhsm: {module: /m, "
	    "token: 'pkcs11:', pin_file: pin}\n");
	OWNED(config) config = NULL;
	struct err err;

	assert_ok(config_load(path, &config, &err));
	assert_string_equal(config->public_url, "http://a:80/pki");
}

static void config_values_at_their_bounds_are_taken(void **state)
{
	OWNED_STR(path) = harness_file(*state, "signet.yaml",
	    LEAST "  workers: 256\n  timeout: 5m\n"
		  "  environment: [A=, _b1=c=d]\n"
		  "listen: {api: '127.0.0.1:0', public: '127.0.0.1:0', "
		  "ops: '[::1]:0'}\n"
		  "crl: {validity: 11s, refresh: 10s}\n"
		  "repeat_window: 0s\n"
		  "limits: {drain_timeout: 0s, queue: 65536}\n"
		  "log: {level: debug}\n");
	OWNED(config) config = NULL;
	struct err err;

	assert_ok(config_load(path, &config, &err));
	assert_int_equal(config->hsm.workers, 256);
	assert_int_equal(config->hsm.timeout, 300);
	assert_int_equal(config->crl.refresh, 10);
	assert_int_equal(config->repeat_window, 0);
	assert_int_equal(config->log_level, LOG_DEBUG);
}

static void config_rates_are_an_interval_and_what_may_come_at_once(
    void **state)
{
	OWNED_STR(path) = harness_file(*state, "signet.yaml",
	    LEAST "limits: {rate: {source: 50/s burst 7, failures: 3/s, "
		  "identity: 'off', cluster: 2/h, names: 1/d burst 9999999}}\n");
	OWNED(config) config = NULL;
	struct err err;

	assert_ok(config_load(path, &config, &err));
	assert_int_equal(config->limits.rate.source.interval_us, 20000);
	assert_int_equal(config->limits.rate.source.burst, 7);
	/* Rounded up: three intervals are no less than a second. */
	assert_int_equal(config->limits.rate.failures.interval_us, 333334);
	assert_int_equal(config->limits.rate.failures.burst, 3);
	assert_int_equal(config->limits.rate.identity.interval_us, 0);
	assert_int_equal(
	    config->limits.rate.cluster.interval_us, INT64_C(1800000000));
	assert_int_equal(
	    config->limits.rate.names.interval_us, INT64_C(86400000000));
	assert_int_equal(config->limits.rate.names.burst, 9999999);
}

static void config_ranges_are_read_and_absent_ones_are_empty(void **state)
{
	OWNED_STR(path) = harness_file(*state, "signet.yaml",
	    LEAST "access:\n  api: [10.0.0.0/8, '2001:db8::/32']\n"
		  "  roles: {key-officer: [10.9.1.2]}\n");
	OWNED(config) config = NULL;
	struct err err;
	struct ip ip;

	assert_ok(config_load(path, &config, &err));
	assert_int_equal(config->access.api.count, 2);
	assert_true(ip_parse("2001:db8::1", &ip));
	assert_true(cidr_contains(&config->access.api.items[1], &ip));
	assert_int_equal(config->access.public.count, 0);
	assert_int_equal(config->access.roles.key_officer.count, 1);
	assert_int_equal(config->access.roles.admin.count, 0);
}

static void config_wrong_values_are_refused_with_line_and_key(void **state)
{
	const char *const bad[][2] = {
	    {LEAST "access: {ops: [10.0.0.1/8]}\n",
		":6: access.ops[1]: \"10.0.0.1/8\": bits beyond"},
	    {LEAST "access: {roles: {node: [10.0.0.0/8, x]}}\n",
		":6: access.roles.node[2]: \"x\": not an IP"},
	    {LEAST "access: {roles: {boss: []}}\n", "unknown key \"boss\""},
	    {LEAST "limits: {rate: {names: 1/w}}\n",
		":6: limits.rate.names: \"1/w\" is no rate"},
	    {LEAST "limits: {rate: {names: 0/s}}\n", "is no rate"},
	    {LEAST "limits: {rate: {names: -1/s}}\n", "is no rate"},
	    {LEAST "limits: {rate: {names: 1/s burst 0}}\n", "is no rate"},
	    {LEAST "limits: {rate: {names: 1/s burst}}\n", "is no rate"},
	    {LEAST "limits: {rate: {names: 1/sx}}\n", "is no rate"},
	    {LEAST "limits: {rate: {names: 10000000/s}}\n", "is no rate"},
	    {LEAST "limits: {handshakes: 0}\n",
		":6: limits.handshakes: 0; want 1 to 1000000"},
	    {LEAST "limits: {handshake_timeout: 0s}\n",
		":6: limits.handshake_timeout: 0s; want 1s to 10m"},
	    {LEAST "listen: {api: 'localhost:1'}\n",
		":6: listen.api: \"localhost:1\" is not ADDRESS:PORT"},
	    {LEAST "listen:\n  ops: '127.0.0.1:8080'\n",
		":7: listen.ops: 127.0.0.1:8080 is listen.public too"},
	    {LEAST "tls:\n  names:\n    - a\n    - a_b\n",
		":9: tls.names[2]: \"a_b\" is neither"},
	    {LEAST "  environment:\n    - A=b\n    - secret\n",
		":8: hsm.environment[2]: want NAME=VALUE"},
	    {LEAST "  environment: [1A=b]\n", "want NAME=VALUE"},
	    {LEAST "  environment: ['=b']\n", "want NAME=VALUE"},
	    {LEAST "  root_token: other\n",
		":6: hsm.root_token: \"other\" is not a PKCS#11 URI"},
	    {LEAST "  workers: 0\n", ":6: hsm.workers: 0; want 1 to 256"},
	    {LEAST "  workers: 257\n", "hsm.workers: 257; want 1 to 256"},
	    {LEAST "  sandbox: none\n",
		":6: hsm.sandbox: \"none\"; want strict, network or off"},
	    {LEAST "  timeout: 10\n",
		":6: hsm.timeout: \"10\" is not a duration"},
	    {LEAST "  timeout: 0s\n", "hsm.timeout: 0s; want 1s to 5m"},
	    {LEAST "limits:\n  workers: 257\n", ":7: limits.workers: 257"},
	    {LEAST "limits:\n  queue: 0\n", ":7: limits.queue: 0; want 1"},
	    {LEAST "store: {map_size_mib: 1}\n", "store.map_size_mib: 1; want"},
	    {LEAST "store: {scrub_period: 9s}\n",
		"store.scrub_period: 9s; want 10s to"},
	    {LEAST "crl:\n  refresh: 24h\n",
		":7: crl.refresh: a CRL must be rebuilt before it ends"},
	    {LEAST "crl: {validity: 1h}\n", ":6: crl.validity: a CRL must"},
	    {LEAST "crl: {validity: 2y}\n", "crl.validity: 2y; want 10s to"},
	    {LEAST "ocsp: {validity: 1s}\n", "ocsp.validity: 1s; want 10s"},
	    {LEAST "ocsp: {cache_entries: 0}\n", "ocsp.cache_entries: 0; want"},
	    {LEAST "repeat_window: 25h\n", "repeat_window: 1d1h; want 0s to 1d"},
	    {LEAST "audit: {witness: [post]}\n",
		"audit.witness[1]: \"post\" is not file:PATH"},
	    {LEAST "audit: {witness: ['file:']}\n",
		"audit.witness[1]: \"file:\" is not file:PATH"},
#define WITNESS(url) LEAST "audit: {witness: ['" url "']}\n"
	    {WITNESS("http://192.0.2.1/w"),
		"is neither https:// nor to 127.0.0.1 or [::1]"},
	    {WITNESS("http://127.0.0.1.example.net/w"),
		"is neither https:// nor to 127.0.0.1 or [::1]"},
	    {WITNESS("http://127.0.0.1:1@example.net/w"), "is not https://HOST"},
	    {WITNESS("https://a:b@example.net/w"), "is not https://HOST"},
	    {WITNESS("https:///w"), "is not https://HOST"},
	    {WITNESS("https://:8443/w"), "is not https://HOST"},
	    {WITNESS("https://example.net/a b"), "is not https://HOST"},
	    {WITNESS("https://example.net/w#f"), "is not https://HOST"},
	    {WITNESS("https://\xc3\xa4.example.net/w"), "is not https://HOST"},
	    {WITNESS("https://example.net/w"),
		"audit.witness_ca: required for https://example.net/w"},
	    {LEAST "audit: {witness_ca: a, witness: ['https://h/w', "
		   "'https://h/w']}\n",
		"audit.witness[2]: https://h/w is there twice"},
	    {LEAST "audit: {witness_certificate: a}\n",
		"audit.witness_certificate: goes with audit.witness_key"},
	    {LEAST "audit: {witness_key: a}\n",
		"audit.witness_certificate: goes with audit.witness_key"},
	    {LEAST "audit: {witness: [syslog, syslog]}\n",
		"audit.witness[2]: syslog is there twice"},
	    {LEAST "audit: {witness: [syslog, 'syslog:/1', 'syslog:/2', "
		   "'syslog:/3', 'syslog:/4', 'syslog:/5', 'syslog:/6', "
		   "'syslog:/7', 'syslog:/8']}\n",
		"audit.witness: 9 witnesses; at most 8"},
	    {LEAST "log: {level: loud}\n", "log.level: \"loud\" is no level"},
	    {LEAST "  pin: 1234\n", ":6: hsm: unknown key \"pin\"; known: "},
	    {LEAST "listen: []\n", ":6: listen: is a list; want a mapping"},
	    {"hsm: {module: /m, token: 'pkcs11:', pin_file: p}\n",
		"signet.yaml: public_url: required"},
	    {"public_url: https://a\n", ":1: public_url: \"https://a\" is not"},
	    {"public_url: http:///x\n", "public_url: \"http:///x\" is not"},
	    {"public_url: http://\n", "public_url: \"http://\" is not"},
	    {"public_url: http://a/?q\n", "holds what a URL's path may not"},
	    {"public_url: 'http://a b'\n", "holds what a URL's path may not"},
	    {"public_url: http://a\n", "signet.yaml: hsm.module: required"},
	    {"public_url: http://a\nhsm: {module: m.so}\n",
		":2: hsm.module: \"m.so\" is not an absolute path"},
	    {"public_url: http://a\nhsm: {module: /m}\n",
		"hsm.pin_file: required"},
	    {"public_url: http://a\nhsm: {module: /m, pin_file: p}\n",
		"hsm.token: required"},
	    {"", ":1: holds nothing"},
	};
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		OWNED(config) config = NULL;
		OWNED_STR(path) =
		    harness_file(*state, "signet.yaml", bad[i][0]);

		assert_refused(
		    config_load(path, &config, &err), ERR_CONFIG, bad[i][1]);
		assert_int_equal(
		    strncmp(err.detail, path, strlen(path)), 0);
		assert_null(config);
	}
}

static void config_environment_is_never_echoed(void **state)
{
	OWNED_STR(path) = harness_file(*state, "signet.yaml",
	    LEAST "  environment: [hunter2]\n");
	OWNED(config) config = NULL;
	struct err err;

	assert_refused(config_load(path, &config, &err), ERR_CONFIG, "NAME=");
	assert_null(strstr(err.detail, "hunter2"));
}

static void config_absent_or_oversized_file_is_refused(void **state)
{
	OWNED_STR(path) = fs_join(*state, "signet.yaml");
	OWNED(config) config = NULL;
	OWNED_BUF(large);
	struct err err;

	assert_refused(
	    config_load(path, &config, &err), ERR_NOT_FOUND, "signet.yaml");
	memset(buf_extend(&large, (1 << 20) + 1), '#', (1 << 20) + 1);
	assert_ok(fs_write(path, 0600, buf_bytes(&large), &err));
	assert_refused(
	    config_load(path, &config, &err), ERR_CONFIG, ":1: longer than");
	assert_failed(
	    config_load(*state, &config, &err), ERR_IO, "regular file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(config_loads_the_example_that_is_shipped),
	    DIR_TEST(config_absent_keys_get_the_defaults_of_the_example),
	    DIR_TEST(config_paths_start_at_the_folder_of_the_file),
	    DIR_TEST(config_bare_pin_file_names_a_credential),
	    DIR_TEST(config_public_url_has_no_final_slash),
	    DIR_TEST(config_values_at_their_bounds_are_taken),
	    DIR_TEST(config_rates_are_an_interval_and_what_may_come_at_once),
	    DIR_TEST(config_ranges_are_read_and_absent_ones_are_empty),
	    DIR_TEST(config_wrong_values_are_refused_with_line_and_key),
	    DIR_TEST(config_environment_is_never_echoed),
	    DIR_TEST(config_absent_or_oversized_file_is_refused),
	};

	unsetenv("CREDENTIALS_DIRECTORY");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
