// SPDX-License-Identifier: Apache-2.0
/* signet hsm: the token itself, looked at from this machine. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "cli/session.h"
#include "hsm/selftest.h"

const struct option_spec hsm_selftest_options[] = {
    {"root", NULL, "test the token of the root's key", false, false},
    {0},
};

static const struct column columns[] = {
    {"ATTACK", "attack"},
    {"RESULT", "result"},
    {"SIGNET'S KEYS", "signet_keys"},
    {"WHAT WORKED", "detail"},
    {0},
};

struct totals {
	unsigned vulnerable, exposed, unknown;
};

static struct totals count(const struct selftest *selftest)
{
	struct totals totals = {0};

	for (size_t i = 0; i < ATTACK_COUNT; i++) {
		const struct selftest_finding *f = &selftest->findings[i];

		totals.vulnerable += f->result == SELFTEST_VULNERABLE;
		totals.exposed += f->own == SELFTEST_EXPOSED;
		totals.unknown += f->result == SELFTEST_UNKNOWN ||
				  f->own == SELFTEST_OWN_UNKNOWN;
	}
	return totals;
}

/* What the finding means for the keys of this instance. */
static char *own_meaning(enum attack_id id, const struct selftest_finding *f)
{
	switch (f->own) {
	case SELFTEST_PROTECTED:
	case SELFTEST_NOT_RELIED_ON:
		return mem_strdup(selftest_own_why(id));
	case SELFTEST_EXPOSED:
		return mem_printf(
		    "Signet's own keys are not protected: %s", f->detail);
	case SELFTEST_OWN_UNKNOWN:
		break;
	}
	return mem_strdup("not known: the test did not come to its end");
}

static json_t *view(enum attack_id id, const struct selftest_finding *f)
{
	OWNED_STR(own) = own_meaning(id, f);
	json_t *json = json_object();

	json_object_set_new(json, "attack", json_string(selftest_name(id)));
	json_object_set_new(json, "tries", json_string(selftest_tries(id)));
	json_object_set_new(
	    json, "result", json_string(selftest_result_name(f->result)));
	json_object_set_new(
	    json, "signet_keys", json_string(selftest_own_name(f->own)));
	json_object_set_new(json, "means", json_string(selftest_means(id)));
	json_object_set_new(json, "signet_keys_because", json_string(own));
	json_object_set_new(json, "detail", json_string(f->detail));
	return json;
}

static json_t *view_all(const struct selftest *selftest, const char *token)
{
	const struct totals totals = count(selftest);
	json_t *json = json_object();
	json_t *attacks = json_array();

	for (enum attack_id id = 0; id < ATTACK_COUNT; id++)
		json_array_append_new(
		    attacks, view(id, &selftest->findings[id]));
	json_object_set_new(json, "token", json_string(token));
	json_object_set_new(json, "model", json_string(selftest->token));
	json_object_set_new(json, "keys_tried", json_integer(selftest->keys));
	json_object_set_new(json, "removed", json_integer(selftest->swept));
	json_object_set_new(
	    json, "vulnerable", json_integer(totals.vulnerable));
	json_object_set_new(json, "exposed", json_integer(totals.exposed));
	json_object_set_new(json, "unknown", json_integer(totals.unknown));
	json_object_set_new(json, "attacks", attacks);
	return json;
}

static void print_meaning(enum attack_id id, const struct selftest_finding *f)
{
	OWNED_STR(own) = own_meaning(id, f);
	OWNED_BUF(line);

	if (f->result != SELFTEST_VULNERABLE && f->own != SELFTEST_EXPOSED)
		return;
	output_escape(&line, own);
	printf("\n%s: %s.\n  Signet's keys: %.*s.\n", selftest_name(id),
	    selftest_means(id), (int)line.len, (const char *)line.data);
}

static void print(const struct selftest *selftest, const json_t *json)
{
	const struct totals totals = count(selftest);

	printf("token: %s, %u keys of it tried without changing them\n\n",
	    selftest->token, selftest->keys);
	output_list(json_object_get(json, "attacks"), columns, "", false);
	for (enum attack_id id = 0; id < ATTACK_COUNT; id++)
		print_meaning(id, &selftest->findings[id]);
	if (selftest->swept > 0)
		printf("\nThe token kept %u objects that were to last a "
		       "session only; they were removed.\n",
		    selftest->swept);
	printf("\n%u of %d attacks work on this token; %u of them on keys as "
	       "Signet makes them; %u could not be judged\n",
	    totals.vulnerable, ATTACK_COUNT, totals.exposed, totals.unknown);
}

static int end(const struct selftest *selftest)
{
	const struct totals totals = count(selftest);

	if (totals.exposed > 0)
		return EXIT_FAILED;
	return totals.unknown > 0 ? EXIT_TEMPORARY : EXIT_DONE;
}

int hsm_selftest_run(const struct options *options)
{
	OWNED(config) config = NULL;
	OWNED_JSON(json) = NULL;
	struct selftest selftest;
	struct err err = {0};
	enum err_code code;

	if ((code = session_config(options, &config, &err)) != ERR_OK)
		return session_end(options, code, &err);
	struct hsm_options token = hsm_options_from(config);
	if (options_has(options, "root"))
		token.token = config->hsm.root_token;
	if ((code = selftest_run(&token, &selftest, &err)) != ERR_OK)
		return session_end(options, code, &err);
	json = view_all(&selftest, token.token);
	if (session_wants_json(options))
		output_object(json, columns, true);
	else
		print(&selftest, json);
	return end(&selftest);
}
