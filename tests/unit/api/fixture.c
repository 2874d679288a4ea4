// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include <ftw.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/secret.h"
#include "ca/ceremony.h"

static const char *module_path(void)
{
	const char *path = getenv("SOFTHSM_MODULE");
	return path != NULL ? path : "/usr/lib/softhsm/libsofthsm2.so";
}

static void must(enum err_code code, const struct err *err)
{
	if (code == ERR_OK)
		return;
	fprintf(stderr, "%s: %s%s\n", err_slug(code), err->detail, err->cause);
	abort();
}

void fixture_write(
    const struct fixture *fixture, const char *name, const char *text)
{
	OWNED_STR(path) = fs_join(fixture->dir, name);
	struct err err = {0};
	must(fs_write(path, 0600, BYTES_STR(text), &err), &err);
}

void fixture_rules(struct fixture *fixture, const char *name, const char *text)
{
	OWNED_STR(dir) = fs_join(fixture->dir, "policies");
	OWNED_STR(from) = fs_join(POLICIES_DIR, "etcd.yaml");
	OWNED_STR(to) = fs_join(dir, "etcd.yaml");
	OWNED_STR(path) = fs_join(dir, name);
	struct policy_set *set = NULL;
	struct err err = {0};
	must(fs_mkdir(dir, 0700, &err), &err);
	if (!fs_exists(to))
		must(fs_copy(from, to, 0600, 1 << 18, &err), &err);
	must(fs_write(path, 0600, BYTES_STR(text), &err), &err);
	must(policy_set_load(dir, &set, &err), &err);
	policy_set_free(fixture->app->policies);
	fixture->app->policies = set;
}

static void write_files(struct fixture *fixture)
{
	static const char *const folders[] = {"tokens", "tls", "store"};
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		OWNED_STR(path) = fs_join(fixture->dir, folders[i]);
		if (mkdir(path, 0700) != 0)
			abort();
	}
	OWNED_STR(softhsm) =
	    mem_printf("directories.tokendir = %s/tokens\n", fixture->dir);
	OWNED_STR(yaml) = mem_printf(
	    "listen:\n  api: \"127.0.0.1:0\"\n  public: \"127.0.0.1:0\"\n"
	    "  ops: \"127.0.0.1:0\"\npublic_url: \"http://127.0.0.1:1\"\n"
	    "tls:\n  names:\n    - localhost\n    - 127.0.0.1\n"
	    "policies: \"%s\"\nlog:\n  level: error\n"
	    "store:\n  map_size_mib: 1024\n"
	    "limits:\n  workers: 4\n  event_threads: 2\n"
	    "hsm:\n  module: \"%s\"\n  token: \"pkcs11:token=test\"\n"
	    "  pin_file: \"pin\"\n  workers: 1\n  environment:\n"
	    "    - \"SOFTHSM2_CONF=%s/softhsm2.conf\"\n",
	    POLICIES_DIR, module_path(), fixture->dir);
	fixture_write(fixture, "softhsm2.conf", softhsm);
	fixture_write(fixture, "pin", "12345678");
	fixture_write(fixture, "so-pin", "87654321");
	fixture_write(fixture, "signet.yaml", yaml);
}

static void found(struct fixture *fixture)
{
	struct err err = {0};
	struct hsm_options options = hsm_options_from(fixture->config);
	const struct store_options where = {
	    .path = fixture->config->store.path,
	    .map_size = fixture->config->store.map_size_mib << 20,
	    .create = true,
	};
	struct ceremony_plan plan = ceremony_default_plan();
	OWNED_STR(so_pin) = fs_join(fixture->dir, "so-pin");
	OWNED(ceremony_result) result = NULL;
	OWNED(store) store = NULL;
	OWNED(hsm) hsm = NULL;
	OWNED(ca) ca = NULL;
	must(hsm_init_token(
		 &options, "test", so_pin, fixture->config->hsm.pin_file, &err),
	    &err);
	must(hsm_open(&options, true, &hsm, &err), &err);
	must(store_open(&where, &store, &err), &err);
	must(ceremony_run(
		 store, hsm, hsm, fixture->config, &plan, &result, &err),
	    &err);
	must(ca_open(store, hsm, fixture->config, &ca, &err), &err);
	must(service_server(ca, fixture->config, NULL, &err), &err);
	ca_close(GIVE(ca));
	store_close(GIVE(store));
	hsm_close(GIVE(hsm));
}

/* What OpenSSL's generators of this thread keep in the locked heap. */
static size_t idle;

static void open_heap(void)
{
	static bool opened;
	struct err err = {0};
	unsigned char octet;
	if (opened)
		return;
	must(secret_heap_open(1 << 22, &err), &err);
	if (RAND_bytes(&octet, 1) != 1 || RAND_priv_bytes(&octet, 1) != 1)
		abort();
	idle = secret_heap_used();
	opened = true;
}

void fixture_begin(struct fixture *fixture)
{
	struct err err = {0};
	open_heap();
	log_open(STDERR_FILENO, "test", LOG_ERROR);
	*fixture = (struct fixture){.dir = "/tmp/signet-api-XXXXXX"};
	if (mkdtemp(fixture->dir) == NULL)
		abort();
	write_files(fixture);
	OWNED_STR(path) = fs_join(fixture->dir, "signet.yaml");
	must(config_load(path, &fixture->config, &err), &err);
	found(fixture);
	must(app_open(fixture->config, NULL, NULL, &fixture->app, &err), &err);
}

static int remove_one(
    const char *path, const struct stat *info, int type, struct FTW *walk)
{
	(void)info, (void)type, (void)walk;
	return remove(path);
}

void fixture_end(struct fixture *fixture)
{
	certificate_free(fixture->peer.certificate);
	identity_free(fixture->peer.identity);
	app_close(fixture->app);
	config_free(fixture->config);
	nftw(fixture->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	if (secret_heap_used() != idle)
		abort();
}

void fixture_identity(struct fixture *fixture,
    const uint8_t id[static IDENTITY_ID_SIZE], const char *name)
{
	static char admin[] = "admin", operator[] = "operator",
		    officer[] = "key-officer", auditor[] = "auditor",
		    user[] = "key-user";
	char *roles[] = {admin, operator, officer, auditor, user};
	char creator[] = "test";
	OWNED_STR(own_name) = mem_strdup(name);
	OWNED(batch) batch = batch_new();
	struct err err = {0};
	struct identity identity = {.kind = IDENTITY_CERTIFICATE,
	    .name = own_name,
	    .roles = roles,
	    .roles_count = ARRAY_LEN(roles),
	    .ttl = 3600,
	    .created = 1,
	    .enrolled = 1,
	    .creator = creator};
	memcpy(identity.id, id, sizeof(identity.id));
	identity_put(batch, &identity);
	must(store_commit(fixture->app->store, batch, &err), &err);
}

static const struct route *route_of(route_handler *handler)
{
	for (size_t i = 0; i < ROUTE_COUNT; i++)
		if (route_table[i].handler == handler)
			return &route_table[i];
	abort();
}

struct exchange *exchange_make(struct fixture *fixture, const struct ask *ask)
{
	struct err err = {0};
	const char *query = ask->query == NULL ? "" : ask->query;
	struct exchange *x = mem_zalloc(sizeof(*x) + strlen(query) + 4);
	x->app = fixture->app;
	x->peer = &fixture->peer;
	x->text = x->target_text;
	memcpy(x->text, "/a?", 3);
	memcpy(x->text + 3, query, strlen(query));
	must(target_parse(x->text, &x->target, &err), &err);
	x->route = route_of(ask->handler);
	x->params = (struct route_params){ask->cluster, ask->item};
	x->source = "127.0.0.1";
	if (!ip_parse(x->source, &x->caller.source))
		abort();
	memcpy(x->request_id, "0123456789abcdef", REQUEST_ID_SIZE);
	if (ask->body != NULL)
		buf_put_str(&x->body, ask->body);
	return x;
}

void exchange_done(struct exchange *x)
{
	exchange_clear(x);
	free(x);
}

void exchange_as(struct exchange *x, uint32_t roles, const char *cluster)
{
	free(x->caller.id);
	free(x->caller.cluster);
	x->caller.kind = CALLER_CERTIFICATE;
	x->caller.roles = roles;
	x->caller.id = mem_strdup("serial:0102");
	x->caller.cluster = cluster == NULL ? NULL : mem_strdup(cluster);
}

json_t *exchange_json(const struct exchange *x)
{
	struct bytes text = x->reply.secret != NULL
				? secret_bytes(x->reply.secret)
				: buf_bytes(&x->reply.body);
	json_t *json = json_loadb(
	    (const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	if (json == NULL)
		abort();
	return json;
}

static void add_san(X509_REQ *request, const char *dns)
{
	STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	ASN1_STRING_set(text, dns, (int)strlen(dns));
	GENERAL_NAME_set0_value(name, GEN_DNS, text);
	sk_GENERAL_NAME_push(names, name);
	X509V3_add1_i2d(&extensions, NID_subject_alt_name, names, 0, 0);
	X509_REQ_add_extensions(request, extensions);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	GENERAL_NAMES_free(names);
}

char *csr_make(const char *cn, const char *dns, EVP_PKEY **key)
{
	EVP_PKEY *own = NULL;
	EVP_PKEY **used = key == NULL ? &own : key;
	X509_REQ *request = X509_REQ_new();
	BIO *out = BIO_new(BIO_s_mem());
	char *text;
	if (*used == NULL)
		*used = EVP_EC_gen("P-256");
	X509_REQ_set_pubkey(request, *used);
	if (cn != NULL)
		X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request),
		    "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	if (dns != NULL)
		add_san(request, dns);
	if (X509_REQ_sign(request, *used, EVP_sha256()) <= 0 ||
	    PEM_write_bio_X509_REQ(out, request) != 1)
		abort();
	long len = BIO_get_mem_data(out, &text);
	char *pem = mem_strndup(text, (size_t)len);
	BIO_free(out);
	X509_REQ_free(request);
	EVP_PKEY_free(own);
	return pem;
}

char *body_make(
    const char *name, const char *value, const char *name2, const char *value2)
{
	json_t *json = json_object();
	json_object_set_new(json, name, json_string(value));
	if (name2 != NULL)
		json_object_set_new(json, name2, json_string(value2));
	char *text = json_dumps(json, 0);
	json_decref(json);
	return text;
}
