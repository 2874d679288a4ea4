// SPDX-License-Identifier: Apache-2.0
#include "api/auditor.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "api/teller.h"
#include "api/watcher.h"
#include "api/witness.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "ca/notary.h"

#define INTERVAL_MS 1000
#define CLOSE_SECONDS 5		/* for what is left to tell */
#define BEHIND_ALARM 1000	/* entries: a witness that is slow, no more */

struct auditor {
	struct app *app;
	struct notary *notary;		/* the signer's alone; NULL: not yet */
	pthread_t signer;
	struct watcher *watchers[AUDITOR_WITNESSES_MAX];
	unsigned count;
	struct progress progress;
	_Atomic int64_t time_ms;
	atomic_bool failing;
};

/* ---- Signing ---- */

static enum err_code find_notary(struct auditor *auditor, struct err *err)
{
	struct app *app = auditor->app;
	if (auditor->notary != NULL)
		return ERR_OK;
	enum err_code code =
	    notary_open(app->store, app->hsm, &auditor->notary, err);
	if (code != ERR_NOT_FOUND)
		return code;
	err_clear(err);
	code = notary_make(app->store, app->hsm, err);
	if (code != ERR_OK)
		return code;
	LOG(INFO, "made the key of the audit log", LOG_STR("key", LABEL_AUDIT));
	return notary_open(app->store, app->hsm, &auditor->notary, err);
}

static enum err_code keep(struct auditor *auditor,
    const struct audit_head *head, struct bytes text, struct err *err)
{
	OWNED(batch) batch = batch_new();
	struct store *store = auditor->app->store;
	enum err_code code =
	    checkpoint_put(store, batch, head->sequence, text, err);
	return code == ERR_OK ? store_commit(store, batch, err) : code;
}

static enum err_code sign_head(struct auditor *auditor, struct err *err)
{
	struct audit_head head;
	OWNED_BUF(text);
	enum err_code code;
	if ((code = find_notary(auditor, err)) != ERR_OK ||
	    (code = audit_head(auditor->app->store, &head, err)) != ERR_OK ||
	    head.sequence == atomic_load(&auditor->progress.covered))
		return code;
	/* Never a second, shorter history under the same key. */
	if (head.sequence < atomic_load(&auditor->progress.covered))
		return err_fail(err, ERR_CORRUPT,
		    "the audit log ends at entry %llu, and a checkpoint covers "
		    "%llu", (unsigned long long)head.sequence,
		    (unsigned long long)atomic_load(&auditor->progress.covered));
	if ((code = notary_sign(auditor->notary, &head, &text, err)) !=
		ERR_OK ||
	    (code = keep(auditor, &head, buf_bytes(&text), err)) != ERR_OK)
		return code;
	atomic_store(&auditor->time_ms, clock_now_ms());
	atomic_store(&auditor->progress.covered, head.sequence);
	progress_tell(&auditor->progress, NULL);
	return ERR_OK;
}

static void *sign(void *arg)
{
	struct auditor *auditor = arg;
	bool stopped;
	do {
		struct err err = {0};
		stopped = progress_rest(&auditor->progress, INTERVAL_MS,
		    &auditor->progress.stopping);
		enum err_code code = sign_head(auditor, &err);
		progress_note(&auditor->failing, "audit checkpoint not signed",
		    code, &err);
	} while (!stopped);
	return NULL;
}

/* ---- Life ---- */

/* What was signed once is not signed otherwise: LAST must be of this log. */
static enum err_code check_last(struct store *store,
    const struct checkpoint *last, struct err *err)
{
	struct audit_head head;
	uint8_t root[32];
	enum err_code code = audit_head(store, &head, err);
	if (code != ERR_OK)
		return code;
	if (last->size > head.sequence)
		return err_fail(err, ERR_CORRUPT,
		    "the audit log was cut or rolled back: it ends at entry "
		    "%llu, and a checkpoint in the store covers %llu",
		    (unsigned long long)head.sequence,
		    (unsigned long long)last->size);
	code = audit_root(store, last->size, root, err);
	if (code == ERR_OK && memcmp(root, last->root, sizeof(root)) != 0)
		return err_fail(err, ERR_CORRUPT,
		    "the audit log was changed: its first %llu entries are not "
		    "those that a checkpoint in the store covers",
		    (unsigned long long)last->size);
	return code;
}

/* The last checkpoint in the store, size 0 where there is none: signed by the
 * store's audit key, and of its log. */
static enum err_code read_last(
    struct store *store, struct checkpoint *last_out, struct err *err)
{
	OWNED_BUF(text);
	OWNED_BUF(spki);
	bool found;
	*last_out = (struct checkpoint){0};
	enum err_code code = checkpoint_last(store, &text, &found, err);
	if (code != ERR_OK || !found)
		return code;
	code = notary_find_key(store, &spki, err);
	if (code == ERR_NOT_FOUND) {
		err_clear(err);
		return err_fail(err, ERR_CORRUPT,
		    "the store has checkpoints of the audit log, and no longer "
		    "the key that signed them");
	}
	if (code == ERR_OK)
		code = checkpoint_check(buf_bytes(&text), buf_bytes(&spki),
		    last_out, err);
	return code == ERR_OK ? check_last(store, last_out, err) : code;
}

enum err_code auditor_check(const struct config *config,
    struct tellers *tellers, struct store *store, struct err *err)
{
	struct checkpoint last;
	enum err_code code = read_last(store, &last, err);
	if (code == ERR_OK)
		tellers_look(tellers);
	for (unsigned i = 0;
	     code == ERR_OK && i < config->audit.witness_count; i++) {
		OWNED(witness) witness =
		    witness_new(config->audit.witness[i]);
		witness_tell_by(witness,
		    tellers_find(tellers, config->audit.witness[i]));
		code = witness_compare(witness, store, err);
	}
	return code;
}

static enum err_code load_covered(struct auditor *auditor, struct err *err)
{
	struct checkpoint last;
	enum err_code code = read_last(auditor->app->store, &last, err);
	if (code != ERR_OK)
		return code;
	atomic_store(&auditor->progress.covered, last.size);
	atomic_store(&auditor->time_ms, last.time_ms);
	return ERR_OK;
}

static struct auditor *auditor_new(struct app *app)
{
	struct auditor *auditor = mem_zalloc(sizeof(*auditor));
	auditor->app = app;
	progress_init(&auditor->progress);
	return auditor;
}

static void dispose(struct auditor *auditor)
{
	for (unsigned i = 0; i < auditor->count; i++)
		watcher_free(auditor->watchers[i]);
	notary_close(auditor->notary);
	progress_end(&auditor->progress);
	free(auditor);
}

static enum err_code add_watchers(struct auditor *auditor, struct err *err)
{
	const struct config *config = auditor->app->config;
	for (unsigned i = 0; i < config->audit.witness_count; i++) {
		enum err_code code = watcher_new(config->audit.witness[i],
		    auditor->app, &auditor->progress,
		    &auditor->watchers[auditor->count], err);
		if (code != ERR_OK)
			return code;
		auditor->count++;
	}
	return ERR_OK;
}

enum err_code auditor_open(
    struct app *app, struct auditor **auditor_out, struct err *err)
{
	struct auditor *auditor = auditor_new(app);
	struct err ignored = {0};
	enum err_code code = load_covered(auditor, err);
	if (code == ERR_OK)
		code = add_watchers(auditor, err);
	if (code != ERR_OK) {
		dispose(auditor);
		return code;
	}
	/* At start nothing is lost by ending. */
	if (thread_start(&auditor->signer, "auditor", sign, auditor,
		&ignored) != ERR_OK)
		abort();
	for (unsigned i = 0; i < auditor->count; i++)
		watcher_start(auditor->watchers[i]);
	*auditor_out = auditor;
	return ERR_OK;
}

bool auditor_close(struct auditor *auditor)
{
	struct timespec until;
	bool ended = true;
	if (auditor == NULL)
		return true;
	progress_tell(&auditor->progress, &auditor->progress.stopping);
	pthread_join(auditor->signer, NULL);
	progress_tell(&auditor->progress, &auditor->progress.ending);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_SECONDS;
	for (unsigned i = 0; i < auditor->count; i++) {
		if (watcher_join(auditor->watchers[i], &until))
			continue;
		watcher_cut(auditor->watchers[i]);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		ended = watcher_join(auditor->watchers[i], &until) && ended;
	}
	if (ended)
		dispose(auditor);
	return ended;
}

/* ---- Told to others ---- */

void auditor_stats(struct auditor *auditor, struct auditor_stats *stats_out)
{
	*stats_out = (struct auditor_stats){0};
	if (auditor == NULL)
		return;
	stats_out->entries = atomic_load(&auditor->progress.covered);
	stats_out->time_ms = atomic_load(&auditor->time_ms);
	stats_out->failing = atomic_load(&auditor->failing);
	stats_out->count = auditor->count;
	for (unsigned i = 0; i < auditor->count; i++) {
		struct watcher *watcher = auditor->watchers[i];
		uint64_t has = watcher_entries(watcher);
		stats_out->witnesses[i].name = watcher_name(watcher);
		stats_out->witnesses[i].entries = has;
		stats_out->witnesses[i].behind =
		    has < stats_out->entries ? stats_out->entries - has : 0;
		stats_out->witnesses[i].failing = watcher_is_failing(watcher);
		stats_out->witnesses[i].is_process =
		    watcher_losses(watcher, &stats_out->witnesses[i].losses);
	}
}

bool auditor_is_behind(const struct auditor_stats *stats)
{
	bool behind = stats->failing;
	for (unsigned i = 0; i < stats->count; i++)
		behind = behind || stats->witnesses[i].failing ||
		    stats->witnesses[i].behind > BEHIND_ALARM;
	return behind;
}
