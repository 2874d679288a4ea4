// SPDX-License-Identifier: Apache-2.0
#include "api/maintain.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "api/approvals.h"
#include "api/scrubber.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "ca/ceremony.h"
#include "hsm/hsm.h"
#include "policies/cluster.h"

#define STORE_ALARM_PERCENT 80
#define PRUNE_PAGES 16		/* in one go */
#define NEVER (INT64_MAX / 2)	/* as an interval, in ms */

struct maintenance {
	struct app *app;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t stop;
	bool stopping;		/* under lock */
};

static enum err_code ask_token(struct app *app, struct err *err)
{
	enum err_code code = hsm_ping(app->hsm, err);
	bool answers = code == ERR_OK;
	if (atomic_exchange(&app->hsm_answers, answers) != answers)
		LOG(INFO, "token", LOG_STR("answers", answers ? "yes" : "no"));
	return code;
}

static enum err_code look_at_rows(struct app *app, struct err *err)
{
	return scrubber_run(app->scrubber, err);
}

static enum err_code renew_responders(struct app *app, struct err *err)
{
	return ocsp_renew_responders(app->ocsp, err);
}

static enum err_code check_store(struct app *app, struct err *err)
{
	struct store_stats stats;
	(void)err;
	store_stats(app->store, &stats);
	if (stats.used > stats.map_size / 100 * STORE_ALARM_PERCENT)
		LOG(WARN, "store is filling up: raise store.map_size_mib",
		    LOG_NUM("used", stats.used),
		    LOG_NUM("map_size", stats.map_size));
	if (!stats.writable)
		LOG(ERROR, "store takes no writes: restart after mending it");
	return ERR_OK;
}

bool maintain_tls_is_due(const struct tls_validity *validity, int64_t now)
{
	int64_t life = validity->not_after - validity->not_before;
	return now - validity->not_before > life / 3 * 2;
}

static enum err_code replace_tls(struct app *app, struct err *err)
{
	enum err_code code = service_server(app->ca, app->config, NULL, err);
	if (code == ERR_OK)
		code = tls_reload(app->tls, err);
	if (code == ERR_OK)
		LOG(INFO, "renewed the certificate of the API listener");
	return code;
}

static enum err_code renew_tls(struct app *app, struct err *err)
{
	struct tls_validity validity = tls_validity(app->tls);
	if (!maintain_tls_is_due(&validity, clock_now()))
		return ERR_OK;
	return replace_tls(app, err);
}

/* A name added to tls.names must not wait until the certificate is old. */
static enum err_code add_tls_names(struct app *app, struct err *err)
{
	for (unsigned i = 0; i < app->config->tls.names_count; i++)
		if (!tls_carries(app->tls, app->config->tls.names[i]))
			return replace_tls(app, err);
	return ERR_OK;
}

typedef enum err_code pruner(
    struct ca *ca, struct buf *cursor, struct err *err);

/* What came again meanwhile is met on the next round. */
static enum err_code prune_by(struct app *app, pruner *prune_page,
    struct buf *cursor, struct err *err)
{
	enum err_code code;
	unsigned pages = 0;
	do {
		code = prune_page(app->ca, cursor, err);
		if (code == ERR_CONFLICT)
			code = ERR_OK;
	} while (code == ERR_OK && cursor->len > 0 && ++pages < PRUNE_PAGES);
	return code;
}

static enum err_code prune(struct app *app, struct err *err)
{
	return prune_by(app, ca_prune, &app->prune_cursor, err);
}

static enum err_code prune_identities(struct app *app, struct err *err)
{
	return prune_by(
	    app, ca_prune_identities, &app->prune_identities_cursor, err);
}

#define CLUSTER_PAGE 100
#define CLUSTER_PAGES_MAX 1000

static enum err_code count_page(struct app *app, char **after, unsigned *count,
    size_t *read_out, struct err *err)
{
	struct cluster *page[CLUSTER_PAGE];
	enum err_code code = cluster_list(
	    app->store, *after, CLUSTER_PAGE, page, read_out, err);
	if (code != ERR_OK)
		return code;
	for (size_t i = 0; i < *read_out; i++) {
		*count += page[i]->quarantined != 0;
		free(*after);
		*after = mem_strdup(page[i]->name);
		cluster_free(page[i]);
	}
	return ERR_OK;
}

enum err_code maintain_count_quarantines(struct app *app, struct err *err)
{
	OWNED_STR(after) = NULL;
	unsigned count = 0;
	size_t got = CLUSTER_PAGE;
	for (unsigned i = 0; got == CLUSTER_PAGE && i < CLUSTER_PAGES_MAX; i++) {
		enum err_code code =
		    count_page(app, &after, &count, &got, err);
		if (code != ERR_OK)
			return code;
	}
	atomic_store(&app->quarantined, count);
	return ERR_OK;
}

struct task {
	const char *name;
	enum err_code (*run)(struct app *app, struct err *err);
	int64_t interval_ms;	/* after success */
	int64_t retry_ms;	/* after failure */
	bool quiet;		/* its failures are told elsewhere */
	int64_t due_ms;
};

static void run_task(struct app *app, struct task *task)
{
	struct err err = {0};
	enum err_code code = task->run(app, &err);
	if (code != ERR_OK && !task->quiet)
		log_err(LOG_WARN, task->name, &err);
	task->due_ms = clock_mono_ms() +
	    (code == ERR_OK ? task->interval_ms : task->retry_ms);
}

/* Sleeps until UNTIL_MS; false when it is time to end. */
static bool sleep_until(struct maintenance *maintenance, int64_t until_ms)
{
	struct timespec until = {
	    until_ms / 1000, until_ms % 1000 * 1000000};
	int waited = 0;
	pthread_mutex_lock(&maintenance->lock);
	while (!maintenance->stopping && waited == 0)
		waited = pthread_cond_timedwait(
		    &maintenance->stop, &maintenance->lock, &until);
	bool stopping = maintenance->stopping;
	pthread_mutex_unlock(&maintenance->lock);
	return !stopping;
}

static void *maintain(void *arg)
{
	struct maintenance *maintenance = arg;
	struct task tasks[] = {
	    {"token does not answer", ask_token, 2000, 1000, true, 0},
	    {"OCSP responders not renewed", renew_responders, 3600000, 30000,
		false, 0},
	    /* Each try issues one, so that a disk that takes no file must not
	     * have one made every minute. */
	    {"TLS certificate not renewed", renew_tls, 60000, 900000, false,
		0},
	    /* tls.names changes with a restart alone: once is enough. */
	    {"TLS certificate lacks names of tls.names", add_tls_names, NEVER,
		900000, false, 0},
	    {"old requests not pruned", prune, 10000, 60000, false, 0},
	    {"ended certificates of identities not pruned",
		prune_identities, 60000, 60000, false, 0},
	    {"store not checked", check_store, 60000, 60000, false, 0},
	    {"rows of the store not looked at", look_at_rows, 1000, 60000,
		false, 0},
	    {"approvals not ended", approvals_maintain, 60000, 60000, false,
		0},
	    {"quarantines not counted", maintain_count_quarantines, 60000,
		60000, false, 0},
	};
	int64_t next;
	do {
		next = INT64_MAX;
		for (size_t i = 0; i < ARRAY_LEN(tasks); i++) {
			if (tasks[i].due_ms <= clock_mono_ms())
				run_task(maintenance->app, &tasks[i]);
			if (tasks[i].due_ms < next)
				next = tasks[i].due_ms;
		}
	} while (sleep_until(maintenance, next));
	return NULL;
}

enum err_code maintain_open(
    struct app *app, struct maintenance **maintenance_out, struct err *err)
{
	struct maintenance *maintenance = mem_zalloc(sizeof(*maintenance));
	pthread_condattr_t monotonic;
	maintenance->app = app;
	pthread_mutex_init(&maintenance->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&maintenance->stop, &monotonic);
	pthread_condattr_destroy(&monotonic);
	enum err_code code = thread_start(
	    &maintenance->thread, "maintenance", maintain, maintenance, err);
	if (code != ERR_OK) {
		free(maintenance);
		return code;
	}
	*maintenance_out = maintenance;
	return ERR_OK;
}

void maintain_close(struct maintenance *maintenance)
{
	if (maintenance == NULL)
		return;
	pthread_mutex_lock(&maintenance->lock);
	maintenance->stopping = true;
	pthread_cond_signal(&maintenance->stop);
	pthread_mutex_unlock(&maintenance->lock);
	pthread_join(maintenance->thread, NULL);
	pthread_cond_destroy(&maintenance->stop);
	pthread_mutex_destroy(&maintenance->lock);
	free(maintenance);
}
