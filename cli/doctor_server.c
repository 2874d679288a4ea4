// SPDX-License-Identifier: Apache-2.0
/* The server that runs, asked by its API and its operations listener. */
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/fetch.h"
#include "cli/session.h"

static bool is_true(const json_t *object, const char *field)
{
	return json_is_true(json_object_get(object, field));
}

static void check_workers(struct doctor *doctor, const json_t *hsm)
{
	json_int_t have = json_integer_value(json_object_get(hsm, "workers"));
	json_int_t restarts =
	    json_integer_value(json_object_get(hsm, "restarts"));
	long wanted = doctor->config->hsm.workers > 0
			  ? (long)doctor->config->hsm.workers
			  : sysconf(_SC_NPROCESSORS_ONLN);

	if (!is_true(hsm, "available"))
		doctor_say(doctor, "workers", HEALTH_FAIL,
		    "see the token's line above, and the server's log",
		    "the server does not reach its token (%lld workers): it "
		    "signs nothing",
		    (long long)have);
	else if (have < wanted)
		doctor_say(doctor, "workers", HEALTH_WARN,
		    "look into the server's log",
		    "%lld of %ld workers are logged in, after %lld restarts",
		    (long long)have, wanted, (long long)restarts);
	else
		doctor_say(doctor, "workers", HEALTH_OK, NULL,
		    "%lld workers are logged in, after %lld restarts",
		    (long long)have, (long long)restarts);
}

static void check_writable(struct doctor *doctor, const json_t *store)
{
	if (is_true(store, "writable"))
		doctor_say(doctor, "writes", HEALTH_OK, NULL,
		    "the server's store takes writes");
	else
		doctor_say(doctor, "writes", HEALTH_FAIL,
		    "mend the disk, then restart signetd",
		    "the server's store takes no writes since its disk "
		    "failed");
}

/* What the server found of its own: it looks at all of them once a period. */
static void check_rows(struct doctor *doctor, const json_t *store)
{
	const json_t *scrub = json_object_get(store, "scrub");
	const char *last =
	    json_string_value(json_object_get(scrub, "last_pass"));
	json_int_t amiss = json_integer_value(json_object_get(store, "amiss"));

	if (amiss > 0)
		doctor_say(doctor, "rows", HEALTH_FAIL,
		    "signet store verify; the server's log names them",
		    "rows of the store are not as they were written: %lld were "
		    "found since the start",
		    (long long)amiss);
	else
		doctor_say(doctor, "rows", HEALTH_OK, NULL,
		    "no row of the store is known to be changed; all were "
		    "looked at: %s",
		    last == NULL ? "not yet" : last);
}

static void check_api(struct doctor *doctor)
{
	OWNED(client) client = NULL;
	OWNED_JSON(status) = NULL;
	struct err err = {0};
	enum err_code code = session_open(doctor->options, &client, &err);

	if (code == ERR_OK)
		code =
		    client_call(client, "GET", "/status", NULL, &status, &err);
	if (code == ERR_UNREACHABLE) {
		OWNED_STR(next) =
		    mem_printf("signetd --config %s", doctor->config->path);

		doctor_say(doctor, "server", HEALTH_UNKNOWN, next,
		    "no server answers: %s", doctor_why(&err));
		return;
	}
	if (code != ERR_OK) {
		doctor_say(doctor, "server", HEALTH_FAIL, NULL,
		    "the server refuses this identity: %s", doctor_why(&err));
		return;
	}
	doctor_say(
	    doctor, "server", HEALTH_OK, NULL, "the server answers the admin");
	check_workers(doctor, json_object_get(status, "hsm"));
	check_writable(doctor, json_object_get(status, "store"));
	check_rows(doctor, json_object_get(status, "store"));
}

/* Store writes, HSM signs, CRL fresh, as the server itself judges. */
static void check_ready(struct doctor *doctor)
{
	OWNED_STR(base) = fetch_url(doctor->config->listen.ops);
	OWNED_STR(url) = mem_printf("%s/readyz", base);
	const struct fetch fetch = {.url = url};
	OWNED_BUF(body);
	struct err err = {0};
	long status = 0;

	if (fetch_run(&fetch, &status, &body, &err) != ERR_OK)
		doctor_say(doctor, "ready", HEALTH_UNKNOWN, NULL, "%s",
		    doctor_why(&err));
	else if (status == 200)
		doctor_say(doctor, "ready", HEALTH_OK, NULL,
		    "the server calls itself ready");
	else
		doctor_say(doctor, "ready", HEALTH_FAIL,
		    "look into the server's log",
		    "the server is not ready: %.*s",
		    body.len < 200 ? (int)body.len : 200,
		    body.len == 0 ? "" : (const char *)body.data);
}

void doctor_check_server(struct doctor *doctor)
{
	check_api(doctor);
	check_ready(doctor);
}
