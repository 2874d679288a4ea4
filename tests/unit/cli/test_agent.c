// SPDX-License-Identifier: Apache-2.0
/* The agent as a program, against a server that plays its part. */
#include "tests/unit/cli/harness.h"

#include <openssl/pem.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/reload.h"
#include "tests/unit/cli/server.h"

#define AGENT PROGRAMS "/signet-agent"

enum play {
	HONEST,
	OTHER_KEY,
	OTHER_CA,
	NO_TIMES,
	NO_CHAIN,
	REFUSING,
	UNKNOWING,
	BUSY,
	LIMITING
};

struct scene {
	char *dir, *out, *token, *fingerprint;
	struct authority authority, other;
	struct server *server;
	atomic_int play;
	atomic_int renew_in, end_in; /* seconds from now */
	atomic_int retry_after; /* 0: not said */
	char header[64]; /* the server's */
	atomic_uint issued;
	char *first_csr, *last_csr, *last_target;
};

static void refuse(struct reply *reply, int status, const char *slug)
{
	reply->status = status;
	reply->type = "application/problem+json";
	buf_printf(&reply->body,
	    "{\"code\":\"%s\",\"detail\":\"as played\",\"request_id\":\"1\"}",
	    slug);
}

static void put_off(struct scene *scene, struct reply *reply)
{
	if (scene->retry_after == 0)
		return;
	snprintf(scene->header, sizeof(scene->header), "Retry-After: %d\r\n",
	    (int)scene->retry_after);
	reply->header = scene->header;
}

static void give(struct scene *scene, const struct request *request,
    struct reply *reply, int play)
{
	json_t *body = json_loads(request->body, 0, NULL);
	const char *csr = json_string_value(json_object_get(body, "csr"));
	char renew[CLOCK_TEXT_SIZE], end[CLOCK_TEXT_SIZE];
	EVP_PKEY *stranger = EVP_EC_gen("P-256");
	struct authority *signer =
	    play == OTHER_CA ? &scene->other : &scene->authority;
	X509 *cert = play == OTHER_KEY
			 ? authority_sign(signer, stranger, "DNS:a.example")
			 : authority_sign_request(signer, csr);
	OWNED_STR(pem) = authority_pem(cert);
	OWNED_STR(root) = authority_pem(scene->authority.root);

	free(scene->last_csr);
	scene->last_csr = mem_strdup(csr);
	if (scene->first_csr == NULL)
		scene->first_csr = mem_strdup(csr);
	clock_format(clock_now() + scene->renew_in, renew);
	clock_format(clock_now() + scene->end_in, end);
	OWNED_JSON(answer) = json_pack(
	    "{s:s,s:s,s:s,s:s,s:s,s:s}", "serial", "0102", "certificate", pem,
	    "chain", "", "ca", root, "not_before", renew, "not_after", end);
	if (play != NO_TIMES)
		json_object_set_new(answer, "renew_after", json_string(renew));
	if (play == NO_CHAIN)
		json_object_del(answer, "chain");
	OWNED_STR(text) = json_dumps(answer, 0);
	buf_put_str(&reply->body, text);
	reply->status = 201;
	scene->issued++;
	X509_free(cert);
	EVP_PKEY_free(stranger);
	json_decref(body);
}

static void serve_agent(
    const struct request *request, struct reply *reply, void *arg)
{
	struct scene *scene = arg;
	int play = scene->play;

	free(scene->last_target);
	scene->last_target = mem_strdup(request->target);
	put_off(scene, reply);
	if (strcmp(request->target, "GET /api/v1/roots") == 0) {
		OWNED_STR(root) = authority_pem(scene->authority.root);
		OWNED_JSON(roots) = json_pack(
		    "{s:[{s:s}]}", "items", "certificate", root);
		OWNED_STR(text) = json_dumps(roots, 0);
		buf_put_str(&reply->body, text);
	} else if (strcmp(request->target, "GET /api/v1/self") == 0)
		buf_put_str(&reply->body, "{\"cluster\":\"orders\"}");
	else if (play == REFUSING)
		refuse(reply, 403, "refused-by-policy");
	else if (play == UNKNOWING)
		refuse(reply, 401, "unauthenticated");
	else if (play == BUSY)
		refuse(reply, 503, "overloaded");
	else if (play == LIMITING)
		refuse(reply, 429, "rate-limited");
	else
		give(scene, request, reply, play);
}

static int begin(void **state)
{
	struct scene *scene = mem_zalloc(sizeof(*scene));
	void *dir = NULL;

	if (harness_begin(&dir) != 0)
		return -1;
	scene->dir = dir;
	scene->out = fs_join(dir, "out");
	scene->token = fs_join(dir, "token");
	spill(dir, "token", 0600, "sgt_token\n");
	scene->authority = authority_new("root");
	scene->other = authority_new("other");
	scene->fingerprint = authority_fingerprint(&scene->authority);
	scene->renew_in = 1000;
	scene->end_in = 3000;
	scene->server = server_start(
	    &scene->authority, "IP:127.0.0.1", serve_agent, scene);
	*state = scene;
	return 0;
}

static int end(void **state)
{
	struct scene *scene = *state;
	void *dir = scene->dir;

	if (scene->server != NULL)
		server_stop(scene->server);
	authority_free(&scene->authority);
	authority_free(&scene->other);
	free(scene->out);
	free(scene->token);
	free(scene->fingerprint);
	free(scene->first_csr);
	free(scene->last_csr);
	free(scene->last_target);
	free(scene);
	return harness_end(&dir);
}
#define SCENE(name) cmocka_unit_test_setup_teardown(name, begin, end)

/* A program is another process: that it has ended does not order its server's
 * thread before us, but asking the server does. */
static int run_agent(struct scene *scene, const char *const *argv, char **out,
    char **errors)
{
	int code = run_program(argv, out, errors);

	if (scene->server != NULL)
		(void)server_requests(scene->server);
	return code;
}

static int enroll(
    struct scene *scene, const char *reload, char **out, char **errors)
{
	const char *argv[] = {AGENT, "enroll", "--url",
	    server_url(scene->server), "--fingerprint", scene->fingerprint,
	    "--token-file", scene->token, "--profile", "server", "--out",
	    scene->out, "--dns", "db1.example.net", "--json",
	    reload == NULL ? NULL : "--reload", reload, NULL};

	return run_agent(scene, argv, out, errors);
}

static int ensure(
    struct scene *scene, const char *reload, char **out, char **errors)
{
	const char *argv[] = {AGENT, "ensure", "--out", scene->out, "--json",
	    reload == NULL ? NULL : "--reload", reload, NULL};

	return run_agent(scene, argv, out, errors);
}

static bool changed(const char *json)
{
	OWNED_JSON(parsed) = json_loads(json, 0, NULL);

	assert_non_null(parsed);
	return json_is_true(json_object_get(parsed, "changed"));
}

static void stop_server(struct scene *scene)
{
	server_stop(scene->server);
	scene->server = NULL;
}

static void enroll_leaves_the_five_files_and_asks_by_token(void **state)
{
	struct scene *scene = *state;
	OWNED_STR(out) = NULL;

	assert_int_equal(enroll(scene, NULL, &out, NULL), 0);
	assert_true(changed(out));
	assert_string_equal(scene->last_target,
	    "POST /api/v1/clusters/orders/certificates");
	OWNED_STR(key) = slurp(scene->out, "key.pem");
	OWNED_STR(cert) = slurp(scene->out, "cert.pem");
	OWNED_STR(full) = slurp(scene->out, "fullchain.pem");
	OWNED_STR(ca) = slurp(scene->out, "ca.pem");
	OWNED_STR(root) = authority_pem(scene->authority.root);
	assert_has(key, "PRIVATE KEY-----\n");
	assert_has(full, cert);
	assert_string_equal(ca, root);
	OWNED_STR(pending) = slurp(scene->out, "pending-key.pem");
	assert_null(pending);
	OWNED_STR(agent) = slurp(scene->out, "agent.json");
	assert_lacks(agent, "sgt_");
}

static void answer_that_would_hurt_the_database_is_not_taken(void **state)
{
	static const int plays[] = {OTHER_KEY, OTHER_CA, NO_TIMES, NO_CHAIN};
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_LEN(plays); i++) {
		OWNED_STR(out) = NULL;
		OWNED_STR(errors) = NULL;
		scene->play = plays[i];
		assert_int_equal(enroll(scene, NULL, &out, &errors), 1);
		assert_string_equal(out, "");
		OWNED_STR(cert) = slurp(scene->out, "cert.pem");
		assert_null(cert);
	}
}

static EVP_PKEY *key_in(const char *csr)
{
	BIO *bio = BIO_new_mem_buf(csr, -1);
	X509_REQ *request = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	EVP_PKEY *key = X509_REQ_get_pubkey(request);

	X509_REQ_free(request);
	BIO_free(bio);
	return key;
}

static void enroll_again_after_a_failure_asks_for_the_same_key(void **state)
{
	struct scene *scene = *state;

	scene->play = OTHER_KEY;
	assert_int_equal(enroll(scene, NULL, NULL, NULL), 1);
	scene->play = HONEST;
	assert_int_equal(enroll(scene, NULL, NULL, NULL), 0);
	EVP_PKEY *first = key_in(scene->first_csr);
	EVP_PKEY *last = key_in(scene->last_csr);
	assert_int_equal(EVP_PKEY_eq(first, last), 1);
	EVP_PKEY_free(first);
	EVP_PKEY_free(last);
}

static void enroll_exits_by_what_went_wrong(void **state)
{
	struct scene *scene = *state;
	OWNED_STR(errors) = NULL;
	OWNED_STR(right) = scene->fingerprint;

	scene->fingerprint = mem_strdup("sha256:00");
	assert_int_equal(enroll(scene, NULL, NULL, NULL), 2);
	free(scene->fingerprint);
	scene->fingerprint = authority_fingerprint(&scene->other);
	assert_int_equal(enroll(scene, NULL, NULL, &errors), 4);
	assert_has(errors, "wrong fingerprint");
	assert_int_equal(scene->issued, 0);
	free(scene->fingerprint);
	scene->fingerprint = GIVE(right);
	scene->play = REFUSING;
	assert_int_equal(enroll(scene, NULL, NULL, NULL), 4);
	/* Nothing can come of it, so nothing is kept for it. */
	assert_false(fs_exists(scene->out));
	scene->play = BUSY;
	assert_int_equal(enroll(scene, NULL, NULL, NULL), 3);
	/* This may have been done: its key waits. */
	assert_true(fs_exists(scene->out));
	chmod(scene->token, 0644);
	assert_int_equal(enroll(scene, NULL, NULL, NULL), 6);
}

static void enroll_refuses_a_foreign_file_before_the_token_is_used(void **state)
{
	struct scene *scene = *state;
	OWNED_STR(errors) = NULL;

	assert_int_equal(mkdir(scene->out, 0755), 0);
	spill(scene->out, "cert.pem", 0644, "mine");
	assert_int_equal(enroll(scene, NULL, NULL, &errors), 1);
	assert_has(errors, "cert.pem is not the agent's");
	assert_int_equal(server_requests(scene->server), 0);
}

static void ensure_does_nothing_before_the_time(void **state)
{
	struct scene *scene = *state;
	OWNED_STR(out) = NULL;

	assert_int_equal(enroll(scene, NULL, NULL, NULL), 0);
	unsigned before = server_requests(scene->server);
	assert_int_equal(ensure(scene, NULL, &out, NULL), 0);
	assert_false(changed(out));
	assert_int_equal(server_requests(scene->server), before);
	/* A server that is gone makes no difference. */
	stop_server(scene);
	assert_int_equal(ensure(scene, NULL, NULL, NULL), 0);
}

static void ensure_renews_when_due_with_a_new_key(void **state)
{
	struct scene *scene = *state;
	OWNED_STR(out) = NULL;

	scene->renew_in = -10;
	assert_int_equal(enroll(scene, NULL, NULL, NULL), 0);
	OWNED_STR(before) = slurp(scene->out, "key.pem");
	assert_int_equal(ensure(scene, NULL, &out, NULL), 0);
	assert_true(changed(out));
	assert_string_equal(scene->last_target,
	    "POST /api/v1/clusters/orders/certificates/renew");
	OWNED_STR(after) = slurp(scene->out, "key.pem");
	assert_string_not_equal(before, after);
}

static void ensure_warns_while_the_certificate_lasts(void **state)
{
	struct scene *scene = *state;
	OWNED_STR(out) = NULL;
	OWNED_STR(errors) = NULL;
	OWNED_STR(busy_errors) = NULL;

	scene->renew_in = -10;
	assert_int_equal(enroll(scene, NULL, NULL, NULL), 0);
	scene->play = BUSY;
	assert_int_equal(ensure(scene, NULL, NULL, &busy_errors), 0);
	assert_has(busy_errors, "still valid");
	stop_server(scene);
	assert_int_equal(ensure(scene, NULL, &out, &errors), 0);
	assert_false(changed(out));
	assert_has(errors, "still valid");
}

static void ensure_is_temporary_failure_once_the_certificate_ended(void **state)
{
	struct scene *scene = *state;

	scene->renew_in = -20;
	scene->end_in = -10;
	assert_int_equal(enroll(scene, NULL, NULL, NULL), 0);
	scene->play = REFUSING;
	OWNED_STR(errors) = NULL;
	assert_int_equal(ensure(scene, NULL, NULL, &errors), 4);
	assert_has(errors, "has expired: run 'signet-agent enroll'");
	stop_server(scene);
	assert_int_equal(ensure(scene, NULL, NULL, NULL), 3);
}

static void ensure_tells_what_to_do_when_the_certificate_is_not_accepted(
    void **state)
{
	struct scene *scene = *state;
	OWNED_STR(errors) = NULL;
	OWNED_STR(policy_errors) = NULL;

	scene->renew_in = -10;
	assert_int_equal(enroll(scene, NULL, NULL, NULL), 0);
	scene->play = UNKNOWING;
	assert_int_equal(ensure(scene, NULL, NULL, &errors), 4);
	assert_has(errors, "was revoked, remove");
	assert_has(errors, scene->out);
	scene->play = REFUSING;
	assert_int_equal(ensure(scene, NULL, NULL, &policy_errors), 4);
	assert_lacks(policy_errors, "was revoked");
}

/* Starts an agent that stays, and ends it once it says how long it waits. */
static long wait_of_staying_agent(struct scene *scene)
{
	const char *argv[] = {AGENT, "run", "--out", scene->out, NULL};
	char line[8192];
	const char *told = NULL;
	int ends[2], status = 0;

	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(126);
	}
	close(ends[1]);
	FILE *log = fdopen(ends[0], "r");
	while (told == NULL && fgets(line, sizeof(line), log) != NULL)
		if (strstr(line, "\"waiting\"") != NULL)
			told = strstr(line, "\"seconds\":");
	kill(child, SIGTERM);
	assert_int_equal(waitpid(child, &status, 0), child);
	fclose(log);
	assert_non_null(told);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return strtol(told + strlen("\"seconds\":"), NULL, 10);
}

static void agent_that_stays_comes_back_when_the_server_said(void **state)
{
	static const struct {
		int play, retry_after;
		long least, most;
	} cases[] = {
	    {BUSY, 0, 5, 7},	       /* its own first pause */
	    {BUSY, 1, 5, 7},	       /* never less than that */
	    {BUSY, 100, 100, 150},
	    {LIMITING, 1200, 1200, 1800},
	    {LIMITING, 1000000, 3600, 5400}, /* nor for ever */
	    {REFUSING, 100, 5, 7},     /* no answer that puts off */
	};
	struct scene *scene = *state;

	scene->renew_in = -1000;
	assert_int_equal(enroll(scene, NULL, NULL, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		scene->play = cases[i].play;
		scene->retry_after = cases[i].retry_after;
		long wait = wait_of_staying_agent(scene);
		if (wait < cases[i].least || wait > cases[i].most)
			fail_msg("case %zu: waits %ld", i, wait);
	}
}

static void ensure_without_an_enrolment_is_not_configured(void **state)
{
	struct scene *scene = *state;
	OWNED_STR(errors) = NULL;

	assert_int_equal(ensure(scene, NULL, NULL, &errors), 6);
	assert_has(errors, "signet-agent enroll");
}

static void reload_that_fails_is_run_again_until_it_succeeds(void **state)
{
	struct scene *scene = *state;
	OWNED_STR(count) = fs_join(scene->dir, "count");
	OWNED_STR(fails) = mem_printf("echo x >> %s; exit 9", count);
	OWNED_STR(works) = mem_printf("echo noise; echo x >> %s", count);
	OWNED_STR(errors) = NULL;
	OWNED_STR(out) = NULL;

	assert_int_equal(enroll(scene, fails, NULL, &errors), 1);
	assert_has(errors, "ended with status 9");
	assert_has(errors, "tried again");
	assert_int_equal(ensure(scene, fails, NULL, NULL), 1);
	assert_int_equal(ensure(scene, works, &out, NULL), 0);
	assert_false(changed(out));
	assert_int_equal(ensure(scene, works, NULL, NULL), 0);
	OWNED_STR(runs) = slurp(scene->dir, "count");
	assert_string_equal(runs, "x\nx\nx\n");
	assert_int_equal(scene->issued, 1);
}

static void reload_that_hangs_is_ended(void **state)
{
	struct err err = {0};

	(void)state;
	assert_error(reload_run("sleep 1000 & wait", 1, &err), ERR_COMMAND,
	    &err, "did not end within 1 seconds");
	assert_error(reload_run("kill -9 $$", 60, &err), ERR_COMMAND, &err,
	    "signal 9");
	assert_error(reload_run("exit 3", 60, &err), ERR_COMMAND, &err,
	    "status 3");
	assert_ok(reload_run("true", 60, &err), &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(enroll_leaves_the_five_files_and_asks_by_token),
	    SCENE(answer_that_would_hurt_the_database_is_not_taken),
	    SCENE(enroll_again_after_a_failure_asks_for_the_same_key),
	    SCENE(enroll_exits_by_what_went_wrong),
	    SCENE(enroll_refuses_a_foreign_file_before_the_token_is_used),
	    SCENE(ensure_does_nothing_before_the_time),
	    SCENE(ensure_renews_when_due_with_a_new_key),
	    SCENE(ensure_warns_while_the_certificate_lasts),
	    SCENE(ensure_is_temporary_failure_once_the_certificate_ended),
	    SCENE(
		ensure_tells_what_to_do_when_the_certificate_is_not_accepted),
	    SCENE(agent_that_stays_comes_back_when_the_server_said),
	    SCENE(ensure_without_an_enrolment_is_not_configured),
	    SCENE(reload_that_fails_is_run_again_until_it_succeeds),
	    cmocka_unit_test(reload_that_hangs_is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
