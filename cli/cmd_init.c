// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "ca/ceremony.h"
#include "ca/notary.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/setup.h"
#include "policies/identity.h"
#include "store/audit.h"

#define DEV_TOKEN "signet"
#define ADMIN_TTL (365 * INT64_C(86400)) /* seconds */

const struct option_spec init_options[] = {
    {"dir", "DIR", "folder of the instance; made, or empty", false, true},
    {"dev", NULL, "with a SoftHSM token of its own below DIR", false, false},
    {"token", "URI", "token of the issuing keys, PKCS#11 URI or label", false,
	false},
    {"root-token", "URI", "token of the root's key [that of --token]", false,
	false},
    {"pin-file", "FILE", "PIN of the token", false, false},
    {"module", "FILE", "PKCS#11 module [" SOFTHSM_MODULE "]", false, false},
    {"listen", "A:P", "API listener [127.0.0.1:8443]", false, false},
    {"public", "A:P", "CRL and OCSP listener [127.0.0.1:8080]", false, false},
    {"ops", "A:P", "health and metrics listener [127.0.0.1:9090]", false,
	false},
    {"public-url", "URL", "how relying parties reach --public [http://A:P]",
	false, false},
    {"name", "NAME", "what else clients call the API: DNS name or address",
	true, false},
    {"organization", "NAME", "O in the names of the CAs [Signet]", false,
	false},
    {0},
};

static const struct column details[] = {
    {"root fingerprint", "root_fingerprint"},
    {"audit key fingerprint", "audit_key_fingerprint"},
    {"root certificate", "root"},
    {"configuration", "config"},
    {"next", "next"},
    {0},
};

/* What is open while an instance is made; closed in the order of need. */
struct instance {
	struct config *config;
	struct hsm *hsm, *root_hsm;
	struct store *store;
	struct ca *ca;
};

static void instance_close(struct instance *instance)
{
	ca_close(instance->ca);
	store_close(instance->store);
	hsm_close(instance->root_hsm);
	hsm_close(instance->hsm);
	config_free(instance->config);
	*instance = (struct instance){0};
}

static const char *value_or(
    const struct options *options, const char *name, const char *otherwise)
{
	const char *value = options_get(options, name);

	return value == NULL ? otherwise : value;
}

static enum err_code read_setup(const struct options *options, const char *dir,
    struct setup *setup, struct err *err)
{
	*setup = (struct setup){
	    .dir = dir,
	    .dev = options_has(options, "dev"),
	    .module = value_or(options, "module", SOFTHSM_MODULE),
	    .token = options_get(options, "token"),
	    .root_token = options_get(options, "root-token"),
	    .pin_file = options_get(options, "pin-file"),
	    .api = value_or(options, "listen", "127.0.0.1:8443"),
	    .public = value_or(options, "public", "127.0.0.1:8080"),
	    .ops = value_or(options, "ops", "127.0.0.1:9090"),
	    .public_url = options_get(options, "public-url"),
	};
	const char *name;
	while (options_each(options, "name", setup->names_count, &name)) {
		if (setup->names_count == SETUP_NAMES_MAX)
			return err_refuse(err, ERR_USAGE,
			    "--name is given more than %d times",
			    SETUP_NAMES_MAX);
		setup->names[setup->names_count++] = name;
	}
	bool named = setup->token != NULL || setup->pin_file != NULL ||
		     setup->root_token != NULL;

	if (setup->dev && named)
		return err_refuse(err, ERR_USAGE,
		    "--dev makes its own token: leave out --token, "
		    "--root-token and --pin-file");
	if (!setup->dev && (setup->token == NULL || setup->pin_file == NULL))
		return err_refuse(err, ERR_USAGE,
		    "name the token with --token and --pin-file, or make a "
		    "development token with --dev");
	return ERR_OK;
}

static void progress(const char *step, void *arg)
{
	(void)arg;
	fprintf(stderr, "  %s\n", step);
}

static enum err_code make_dev_token(
    const struct config *config, struct err *err)
{
	OWNED_STR(so_pin) = fs_join(config->dir, "so-pin");
	struct hsm_options options = hsm_options_from(config);

	progress("making a SoftHSM token", NULL);
	return hsm_init_token(
	    &options, DEV_TOKEN, so_pin, config->hsm.pin_file, err);
}

/* The root's key may live in a token of its own. */
static enum err_code open_both(struct instance *instance, struct err *err)
{
	struct hsm_options options = hsm_options_from(instance->config);
	const char *root = instance->config->hsm.root_token;
	enum err_code code;

	options.workers = 1;
	if ((code = hsm_open(&options, true, &instance->hsm, err)) != ERR_OK ||
	    root == NULL || strcmp(root, options.token) == 0)
		return code;
	options.token = root;
	return hsm_open(&options, true, &instance->root_hsm, err);
}

/* What fails is said by the command, not by the log, too. */
static enum err_code open_tokens(struct instance *instance, struct err *err)
{
	log_set_level(LOG_SILENT);
	enum err_code code = open_both(instance, err);
	log_set_level(LOG_WARN);
	return code;
}

static enum err_code open_store(struct instance *instance, struct err *err)
{
	struct store_options options = {
	    .path = instance->config->store.path,
	    .map_size = instance->config->store.map_size_mib << 20,
	    .create = true,
	};

	return store_open(&options, &instance->store, err);
}

static enum err_code make_server(struct instance *instance, struct err *err)
{
	progress("certificate of the server", NULL);
	return service_server(instance->ca, instance->config, NULL, err);
}

static enum err_code record_admin(
    struct store *store, const struct identity *identity, struct err *err)
{
	OWNED(batch) batch = batch_new();
	OWNED_STR(hex) = hex_new(identity->id, sizeof(identity->id));
	OWNED_STR(object) = mem_printf("identity:%s", hex);

	identity_put(batch, identity);
	batch_audit(batch, &(struct audit_entry){.action = "identity.create",
			       .result = "granted",
			       .actor = "system",
			       .source = "local",
			       .object = object,
			       .rule = "signet init"});
	return store_commit(store, batch, err);
}

/* The first admin has every role of people, and needs no code. */
static enum err_code new_admin(struct identity **identity_out, struct err *err)
{
	OWNED(identity) identity = mem_zalloc(sizeof(*identity));

	if (RAND_bytes(identity->id, sizeof(identity->id)) != 1)
		return err_fail_crypto(err, "RAND_bytes");
	identity->kind = IDENTITY_CERTIFICATE;
	identity->name = mem_strdup("admin");
	identity->creator = mem_strdup("system");
	identity->ttl = ADMIN_TTL;
	identity->created = clock_now();
	identity->enrolled = identity->created;
	identity->roles =
	    mem_zalloc_array(IDENTITY_ROLES_MAX, sizeof(*identity->roles));
	for (uint32_t bit = 1; bit <= ROLE_ALL_HUMAN; bit <<= 1) {
		if ((ROLE_ALL_HUMAN & bit) != 0)
			identity->roles[identity->roles_count++] =
			    mem_strdup(role_name((enum role)bit));
	}
	*identity_out = GIVE(identity);
	return ERR_OK;
}

static enum err_code make_admin(struct instance *instance, struct err *err)
{
	OWNED(names) names = names_new();
	OWNED(secret) key = NULL;
	OWNED(certificate) certificate = NULL;
	OWNED(identity) identity = NULL;
	OWNED_STR(cert_path) = fs_join(instance->config->dir, "admin/cert.pem");
	OWNED_STR(key_path) = fs_join(instance->config->dir, "admin/key.pem");
	enum err_code code;

	progress("identity of the first admin", NULL);
	if ((code = names_set_cn(names, BYTES_STR("admin"), err)) != ERR_OK ||
	    (code = new_admin(&identity, err)) != ERR_OK)
		return code;
	struct service_order order = {.profile = "identity",
	    .names = names,
	    .roles = ROLE_ALL_HUMAN,
	    .ttl = ADMIN_TTL,
	    .identity = identity->id,
	    .requester = "system"};
	if ((code = record_admin(instance->store, identity, err)) != ERR_OK ||
	    (code = service_issue(
		 instance->ca, &order, &key, &certificate, err)) != ERR_OK)
		return code;
	return service_write(
	    instance->ca, certificate, key, cert_path, key_path, err);
}

static enum err_code run_ceremony(const struct options *options,
    struct instance *instance, struct ceremony_result **result, struct err *err)
{
	struct ceremony_plan plan = ceremony_default_plan();
	OWNED_STR(root) = fs_join(instance->config->dir, SETUP_ROOT);
	enum err_code code;

	plan.organization = value_or(options, "organization", "Signet");
	plan.progress = progress;
	if ((code = ceremony_run(instance->store,
		 instance->root_hsm == NULL ? instance->hsm
					    : instance->root_hsm,
		 instance->hsm, instance->config, &plan, result, err)) !=
	    ERR_OK)
		return code;
	return fs_write(root, 0644, bytes_str((*result)->root_pem), err);
}

static enum err_code make_instance(const struct options *options,
    const struct setup *setup, struct instance *instance,
    struct ceremony_result **result, struct err *err)
{
	OWNED_STR(draft) = fs_join(setup->dir, SETUP_DRAFT);
	enum err_code code;

	if ((code = setup_folder(setup, err)) != ERR_OK ||
	    (code = config_load(draft, &instance->config, err)) != ERR_OK)
		return code;
	if (setup->dev &&
	    (code = make_dev_token(instance->config, err)) != ERR_OK)
		return code;
	if ((code = open_tokens(instance, err)) != ERR_OK ||
	    (code = open_store(instance, err)) != ERR_OK ||
	    (code = run_ceremony(options, instance, result, err)) != ERR_OK ||
	    (code = ca_open(instance->store, instance->hsm, instance->config,
		 &instance->ca, err)) != ERR_OK ||
	    (code = make_server(instance, err)) != ERR_OK ||
	    (code = make_admin(instance, err)) != ERR_OK ||
	    (code = notary_checkpoint(
		 instance->store, instance->hsm, err)) != ERR_OK)
		return code;
	return setup_finish(setup->dir, err);
}

static void report(const struct options *options, const char *dir,
    const struct ceremony_result *result)
{
	OWNED_JSON(answer) = json_object();
	OWNED_STR(hex) =
	    hex_new(result->root_fingerprint, sizeof(result->root_fingerprint));
	OWNED_STR(fingerprint) = mem_printf("sha256:%s", hex);
	OWNED_STR(audit_hex) = hex_new(
	    result->audit_fingerprint, sizeof(result->audit_fingerprint));
	OWNED_STR(audit) = mem_printf("sha256:%s", audit_hex);
	OWNED_STR(config) = fs_join(dir, SETUP_CONFIG);
	OWNED_STR(root) = fs_join(dir, SETUP_ROOT);
	OWNED_STR(next) = mem_printf("signetd --config %s", config);

	json_object_set_new(answer, "dir", json_string(dir));
	json_object_set_new(
	    answer, "root_fingerprint", json_string(fingerprint));
	json_object_set_new(
	    answer, "audit_key_fingerprint", json_string(audit));
	json_object_set_new(answer, "root", json_string(root));
	json_object_set_new(answer, "config", json_string(config));
	json_object_set_new(answer, "next", json_string(next));
	if (options_has(options, "dev"))
		fprintf(stderr,
		    "A development instance: its token's PIN lies "
		    "in %s/pin.  Not for production.\n",
		    dir);
	output_object(answer, details, session_wants_json(options));
}

/* PATH from the root: it goes into files that outlive the folder we are in.
 * NULL stays. */
static char *absolute(const char *path)
{
	OWNED_STR(here) = getcwd(NULL, 0);

	if (path == NULL)
		return NULL;
	return here == NULL ? mem_strdup(path) : fs_join(here, path);
}

int init_run(const struct options *options)
{
	__attribute__((cleanup(instance_close))) struct instance instance = {0};
	OWNED(ceremony_result) result = NULL;
	OWNED_STR(dir) = absolute(options_get(options, "dir"));
	OWNED_STR(pin_file) = absolute(options_get(options, "pin-file"));
	bool existed = fs_exists(dir);
	OWNED_FD(lock) = -1;
	struct setup setup;
	struct err err = {0};
	enum err_code code;

	if ((code = read_setup(options, dir, &setup, &err)) == ERR_OK)
		code = setup_lock(dir, &lock, &err);
	if (code == ERR_OK) {
		setup.pin_file = pin_file;
		fprintf(stderr, "Making an instance in %s\n", dir);
		code = make_instance(options, &setup, &instance, &result, &err);
		if (code != ERR_OK) {
			instance_close(&instance);
			setup_remove(dir, !existed);
		}
	}
	if (code == ERR_OK)
		report(options, dir, result);
	return session_end(options, code, &err);
}
