// SPDX-License-Identifier: Apache-2.0
#include "api/app.h"
#include "api/restart.h"
#include "api/scrubber.h"
#include "base/log.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "api/auditor.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/modes.h"
#include "ca/ceremony.h"
#include "ca/storekey.h"
#include "hsm/hsm.h"
#include "policies/meet.h"

/* The public listener's share of threads and queue: one in eight. */
#define PUBLIC_PART 8

/* Never freed before the end: it is some kilobytes a reload, and spares every
 * request a count of references. */
struct read_config {
	struct config *config;
	struct read_config *older;
};

static void keep_config(struct app *app, struct config *config)
{
	struct read_config *kept = mem_zalloc(sizeof(*kept));
	*kept = (struct read_config){config, app->read};
	app->read = kept;
}

static void free_configs(struct app *app)
{
	while (app->read != NULL) {
		struct read_config *kept = app->read;
		app->read = kept->older;
		config_free(kept->config);
		free(kept);
	}
}

static struct limit **limit_at(struct limits *limits, size_t index)
{
	struct limit **const all[] = {&limits->refusals, &limits->log,
	    &limits->source, &limits->failures, &limits->identity,
	    &limits->cluster, &limits->names, &limits->public,
	    &limits->ocsp_signed};
	return index < ARRAY_LEN(all) ? all[index] : NULL;
}

static void open_limits(struct limits *limits)
{
	struct limit **limit;
	for (size_t i = 0; (limit = limit_at(limits, i)) != NULL; i++)
		*limit = limit_new();
}

static void free_limits(struct limits *limits)
{
	struct limit **limit;
	for (size_t i = 0; (limit = limit_at(limits, i)) != NULL; i++)
		limit_free(*limit);
}

const struct config *app_live(const struct app *app)
{
	return atomic_load_explicit(&app->live, memory_order_acquire);
}

static void take_live(struct app *app, const struct config *config)
{
	atomic_store_explicit(&app->live, config, memory_order_release);
	log_set_level(config->log_level);
	atomic_store(&app->request_timeout_ms,
	    config->limits.request_timeout * 1000);
	atomic_store(
	    &app->drain_timeout_ms, config->limits.drain_timeout * 1000);
	atomic_store(&app->handshake_timeout_ms,
	    config->limits.handshake_timeout * 1000);
}

static enum err_code open_store(const struct config *config, bool read_only,
    struct store **store_out, struct err *err)
{
	const struct store_options options = {
	    .path = config->store.path,
	    .map_size = config->store.map_size_mib << 20,
	    .read_only = read_only,
	};
	return store_open(&options, store_out, err);
}

static enum err_code open_hsm(struct app *app, struct err *err)
{
	struct hsm_options options = hsm_options_from(app->config);
	options.spawner = app->spawner;
	/* Without the token the store does not open. */
	enum err_code code = hsm_open(&options, true, &app->hsm, err);
	if (code != ERR_OK)
		return code;
	return storekey_unseal(app->store, app->hsm, err);
}

static enum err_code open_keyring(struct app *app, struct err *err)
{
	OWNED_STR(wrap) = NULL;
	OWNED_STR(mac) = NULL;
	enum err_code code =
	    meta_get_text(app->store, META_WRAP_KEY_URI, &wrap, err);
	if (code == ERR_OK)
		code = meta_get_text(app->store, META_MAC_KEY_URI, &mac, err);
	if (code != ERR_OK)
		return code;
	const struct keyring_keys keys = {wrap, mac};
	return keyring_open(app->store, app->hsm, &keys, &app->ring, err);
}

static unsigned part_of(unsigned whole, unsigned least)
{
	unsigned part = whole / PUBLIC_PART;
	return part < least ? least : part;
}

/* As many as can run at once: what waits costs no thread. */
static unsigned job_threads(unsigned at_once)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned threads = processors < 1 ? 1 : (unsigned)processors;
	return threads < at_once ? threads : at_once;
}

static enum err_code open_jobs(struct app *app, struct err *err)
{
	const struct jobs_options options = {
	    .threads = job_threads(app->config->limits.workers),
	    .at_once = app->config->limits.workers,
	    .capacity = app->config->limits.queue,
	};
	const struct jobs_options public_options = {
	    .threads = 1,
	    .at_once = part_of(options.at_once, 2),
	    .capacity = part_of(options.capacity, 16),
	};
	enum err_code code = jobs_open(&options, &app->jobs, err);
	if (code != ERR_OK)
		return code;
	return jobs_open(&public_options, &app->public_jobs, err);
}

/* In the order in which each stands on those before it. */
static enum err_code open_parts(struct app *app, struct err *err)
{
	const struct config *config = app->config;
	enum err_code code;
	if ((code = policy_set_load(config->policies, &app->policies, err)) !=
		ERR_OK ||
	    (code = tls_open(config->tls.certificate, config->tls.key,
		 &app->tls, err)) != ERR_OK ||
	    (code = open_store(config, false, &app->store, err)) != ERR_OK ||
	    (code = auditor_check(config, app->tellers, app->store, err)) !=
		ERR_OK ||
	    (code = open_hsm(app, err)) != ERR_OK ||
	    (code = ca_open(app->store, app->hsm, config, &app->ca, err)) !=
		ERR_OK ||
	    (code = ocsp_open(app->ca, &app->ocsp, err)) != ERR_OK ||
	    (code = crl_publisher_open(app->ca, &app->publisher, err)) !=
		ERR_OK ||
	    (code = open_keyring(app, err)) != ERR_OK ||
	    (code = scrubber_new(app->store, config->store.scrub_period,
		 &app->scrubber, err)) != ERR_OK)
		return code;
	return open_jobs(app, err);
}

enum err_code app_open(const struct config *config, struct spawner *spawner,
    struct tellers *tellers, struct app **app_out, struct err *err)
{
	OWNED(app) app = mem_zalloc(sizeof(*app));
	app->config = config;
	app->spawner = spawner;
	app->tellers = tellers;
	app->started = clock_now();
	open_limits(&app->limits);
	pthread_mutex_init(&app->policies_lock, NULL);
	take_live(app, config);
	enum err_code code = open_parts(app, err);
	if (code != ERR_OK)
		return code;
	meet_warn(app->policies);
	app->instance = mem_printf("%02x", ca_node(app->ca));
	*app_out = GIVE(app);
	return ERR_OK;
}

void app_close(struct app *app)
{
	if (app == NULL)
		return;
	jobs_close(app->public_jobs);
	jobs_close(app->jobs);
	crl_publisher_close(app->publisher);
	ocsp_close(app->ocsp);
	ca_close(app->ca);
	keyring_close(app->ring);
	hsm_close(app->hsm);
	scrubber_free(app->scrubber);
	store_close(app->store);
	tls_close(app->tls);
	policy_set_free(app->policies);
	pthread_mutex_destroy(&app->policies_lock);
	buf_free(&app->prune_cursor);
	buf_free(&app->prune_identities_cursor);
	free_limits(&app->limits);
	free_configs(app);
	free(app->instance);
	free(app);
}

/* Neither is opened here; but one that is absent is mostly a slip of the pen. */
static enum err_code check_hsm_files(
    const struct config *config, struct err *err)
{
	const char *module = config->hsm.module;
	const char *pin_file = config->hsm.pin_file;
	if (!fs_exists(module))
		return err_refuse(err, ERR_CONFIG,
		    "hsm.module: %s does not exist", module);
	if (!fs_exists(pin_file))
		return err_refuse(err, ERR_CONFIG,
		    "hsm.pin_file: %s does not exist", pin_file);
	return ERR_OK;
}

enum err_code app_check(const struct config *config, struct err *err)
{
	OWNED(policy_set) policies = NULL;
	OWNED(tls) tls = NULL;
	OWNED(store) store = NULL;
	enum err_code code = modes_check_config(config, err);
	if (code == ERR_OK)
		code = policy_set_load(config->policies, &policies, err);
	if (code == ERR_OK)
		code = tls_open(
		    config->tls.certificate, config->tls.key, &tls, err);
	if (code == ERR_OK)
		code = check_hsm_files(config, err);
	if (code == ERR_OK)
		code = open_store(config, true, &store, err);
	if (code == ERR_OK)
		code = auditor_check(config, NULL, store, err);
	return code;
}

void app_end(struct app *app)
{
	if (!atomic_exchange(&app->unfit, true))
		(void)kill(getpid(), SIGTERM);
}

struct policy_set *app_policies(struct app *app)
{
	pthread_mutex_lock(&app->policies_lock);
	struct policy_set *set = policy_set_ref(app->policies);
	pthread_mutex_unlock(&app->policies_lock);
	return set;
}

static void tell_restart(const struct app *app, const struct config *fresh)
{
	OWNED_BUF(keys);
	restart_keys(app->config, fresh, &keys);
	if (keys.len == 0)
		return;
	buf_put_u8(&keys, 0);
	LOG(WARN, "settings that have changed need a restart",
	    LOG_STR("keys", (const char *)keys.data));
}

enum err_code app_reload(struct app *app, struct err *err)
{
	OWNED(config) config = NULL;
	OWNED(policy_set) policies = NULL;
	enum err_code code = config_load(app->config->path, &config, err);
	if (code == ERR_OK)
		code = modes_check_config(config, err);
	if (code == ERR_OK)
		code = policy_set_load(config->policies, &policies, err);
	if (code == ERR_OK)
		code = tls_reload(app->tls, err);
	if (code != ERR_OK)
		return code;
	tell_restart(app, config);
	meet_warn(policies);
	take_live(app, config);
	keep_config(app, GIVE(config));
	pthread_mutex_lock(&app->policies_lock);
	struct policy_set *old = app->policies;
	app->policies = GIVE(policies);
	pthread_mutex_unlock(&app->policies_lock);
	policy_set_free(old);
	return ERR_OK;
}
