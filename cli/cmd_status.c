// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/clock.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/human.h"
#include "cli/session.h"

static const struct column columns[] = {
    {"version", "version"},
    {"instance", "instance"},
    {"up for", "uptime"},
    {"token", "token"},
    {"HSM workers", "workers"},
    {"store", "store"},
    {"certificates", "certificates"},
    {"audit log", "audit"},
    {"checkpoint", "checkpoint"},
    {0},
};

static const struct column witness_columns[] = {
    {"WITNESS", "name"},
    {"ENTRIES", "entries"},
    {"BEHIND", "behind"},
    {"FAILING", "failing"},
    {0},
};

static const struct column issuer_columns[] = {
    {"ISSUER", "id"},
    {"STATE", "state"},
    {"EXPIRES", "not_after"},
    {"CRL NUMBER", "crl_number"},
    {"NEXT CRL BY", "crl_next_update"},
    {0},
};

const struct option_spec status_options[] = {{0}};

static long long number_of(const json_t *object, const char *field)
{
	return (long long)json_integer_value(json_object_get(object, field));
}

static bool is(const json_t *object, const char *field)
{
	return json_is_true(json_object_get(object, field));
}

static void put(json_t *object, const char *field, struct buf *text)
{
	OWNED_STR(words) = buf_to_str(text);

	json_object_set_new(object, field, json_string(words));
	buf_free(text);
}

static void say_hsm(json_t *said, const json_t *hsm)
{
	long long restarts = number_of(hsm, "restarts");
	OWNED_BUF(text);

	buf_put_str(&text, is(hsm, "available") ? "reached" : "NOT REACHED");
	put(said, "token", &text);
	buf_printf(&text, "%lld, %lld restart%s", number_of(hsm, "workers"),
	    restarts, restarts == 1 ? "" : "s");
	put(said, "workers", &text);
}

static void say_store(json_t *said, const json_t *store)
{
	OWNED_BUF(text);

	buf_put_str(
	    &text, is(store, "writable") ? "writable, " : "NOT WRITABLE, ");
	human_octets((uint64_t)number_of(store, "used"), &text);
	buf_put_str(&text, " used of ");
	human_octets((uint64_t)number_of(store, "map_size"), &text);
	if (number_of(store, "amiss") > 0)
		buf_printf(&text, "; ROWS ARE NOT AS WRITTEN (%lld found)",
		    number_of(store, "amiss"));
	put(said, "store", &text);
}

static void say_audit(json_t *said, const json_t *status, int64_t now)
{
	const json_t *audit = json_object_get(status, "audit");
	const char *time =
	    json_string_value(json_object_get(audit, "checkpoint_time"));
	OWNED_BUF(text);

	buf_printf(&text, "%lld entries", number_of(status, "audit_sequence"));
	put(said, "audit", &text);
	buf_put_str(&text,
	    is(audit, "checkpoint_failing") ? "SIGNING FAILS; " : "");
	if (time == NULL) {
		buf_put_str(&text, "none yet");
	} else {
		buf_printf(&text, "of %lld entries, ",
		    number_of(audit, "checkpoint_entries"));
		human_time(time, now, &text);
	}
	put(said, "checkpoint", &text);
}

static void print_witnesses(const json_t *audit)
{
	json_t *witnesses = json_object_get(audit, "witnesses");

	if (json_array_size(witnesses) == 0)
		return;
	putchar('\n');
	output_list(witnesses, witness_columns, "no witnesses", false);
}

static void print_issuers(json_t *issuers, int64_t now)
{
	size_t index;
	json_t *issuer;

	json_array_foreach(issuers, index, issuer)
	{
		human_put_time(issuer, "not_after", now);
		human_put_time(issuer, "crl_next_update", now);
	}
	putchar('\n');
	output_list(issuers, issuer_columns, "no issuers", false);
}

static void print_status(json_t *status)
{
	int64_t now = clock_now();
	OWNED_JSON(said) = json_copy(status);
	OWNED_BUF(uptime);

	human_seconds(number_of(status, "uptime_seconds"), &uptime);
	put(said, "uptime", &uptime);
	say_hsm(said, json_object_get(status, "hsm"));
	say_store(said, json_object_get(status, "store"));
	say_audit(said, status, now);
	output_object(said, columns, false);
	print_witnesses(json_object_get(status, "audit"));
	print_issuers(json_object_get(status, "issuers"), now);
}

int status_run(const struct options *options)
{
	OWNED(client) client = NULL;
	OWNED_JSON(status) = NULL;
	struct err err = {0};
	enum err_code code;

	if ((code = session_open(options, &client, &err)) == ERR_OK)
		code =
		    client_call(client, "GET", "/status", NULL, &status, &err);
	if (code != ERR_OK)
		return session_end(options, code, &err);
	if (session_wants_json(options))
		output_object(status, columns, true);
	else
		print_status(status);
	return EXIT_DONE;
}
