// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/exit.h"
#include "cli/session.h"

#define CSR_MAX 16384 /* octets, as the server's own bound */

static const struct column columns[] = {
    {"SERIAL", "serial"},
    {"CLUSTER", "cluster"},
    {"PROFILE", "profile"},
    {"STATE", "state"},
    {"CN", "common_name"},
    {"DNS", "dns"},
    {"IP", "ip"},
    {"ISSUED", "created"},
    {"EXPIRES", "not_after"},
    {0},
};

static const struct column details[] = {
    {"serial", "serial"},
    {"state", "state"},
    {"cluster", "cluster"},
    {"profile", "profile"},
    {"policy", "policy"},
    {"issuer", "issuer"},
    {"common name", "common_name"},
    {"dns", "dns"},
    {"ip", "ip"},
    {"uri", "uri"},
    {"requester", "requester"},
    {"issued", "created"},
    {"not before", "not_before"},
    {"not after", "not_after"},
    {"renew after", "renew_after"},
    {"revoked", "revoked"},
    {"reason", "reason"},
    {0},
};

const struct option_spec cert_list_options[] = {
    {"cluster", "NAME", "of this cluster alone", false, false},
    {"state", "S", "valid, revoked, expired or unresolved", false, false},
    {"expires-within", "D", "whose life ends within 7d, 24h", false, false},
    {"name", "N", "with exactly this name", false, false},
    {0},
};

static void add_filter(struct buf *path, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_put_u8(
	    path, memchr(path->data, '?', path->len) == NULL ? '?' : '&');
	buf_printf(path, "%s=", name);
	url_put(path, value);
}

int cert_list_run(const struct options *options)
{
	OWNED_BUF(path);
	struct err err = {0};
	const char *within = options_get(options, "expires-within");
	char until[CLOCK_TEXT_SIZE];
	int64_t seconds;

	buf_put_str(&path, "/certificates");
	add_filter(&path, "cluster", options_get(options, "cluster"));
	add_filter(&path, "state", options_get(options, "state"));
	add_filter(&path, "name", options_get(options, "name"));
	if (within != NULL) {
		if (!duration_parse(within, &seconds))
			return session_end(options,
			    err_refuse(&err, ERR_USAGE,
				"--expires-within %s is not a duration such as "
				"7d or 24h",
				err_quote_str(within)),
			    &err);
		add_filter(&path, "expires_before",
		    clock_format(clock_now() + seconds, until));
	}
	OWNED_STR(text) = buf_to_str(&path);
	/* The newest last: where the eye is. */
	const struct call_view view = {.columns = columns,
	    .empty = "no such certificates", .sort_by = "created"};
	return call_show_list(options, text, &view);
}

const struct option_spec cert_show_options[] = {{0}};

int cert_show_run(const struct options *options)
{
	OWNED_STR(path) =
	    call_path("/certificates/", options_arg(options, 0), "");

	OWNED(client) client = NULL;
	OWNED_JSON(answer) = NULL;
	struct err err = {0};
	enum err_code code;

	if ((code = session_open(options, &client, &err)) == ERR_OK)
		code = client_call(client, "GET", path, NULL, &answer, &err);
	if (code != ERR_OK)
		return session_end(options, code, &err);
	output_object(answer, details, session_wants_json(options));
	/* A PEM of several lines stands below the list, not in it. */
	if (!session_wants_json(options))
		output_text(json_string_value(
		    json_object_get(answer, "certificate")));
	return EXIT_DONE;
}

const struct option_spec cert_revoke_options[] = {
    {"reason", "R", "keyCompromise, superseded, cessationOfOperation, …", false,
	true},
    {0},
};

int cert_revoke_run(const struct options *options)
{
	OWNED_JSON(body) = json_object();
	OWNED_STR(path) =
	    call_path("/certificates/", options_arg(options, 0), "/revoke");

	call_set_text(body, "reason", options_get(options, "reason"));
	return call_object(options, "POST", path, body, details);
}

const struct option_spec cert_issue_options[] = {
    {"cluster", "NAME", "cluster that gets the certificate", false, true},
    {"profile", "P", "profile of its policy", false, true},
    {"csr", "FILE", "certificate request, PEM ('-': standard input)", false,
	true},
    {"ttl", "D", "how long it lives [the profile's default]", false, false},
    {0},
};

/* Standard input, mostly a pipe. */
static enum err_code read_input(struct buf *out, struct err *err)
{
	buf_reserve(out, CSR_MAX + 1);
	out->len = fread(out->data, 1, CSR_MAX + 1, stdin);
	if (ferror(stdin))
		return err_fail(err, ERR_IO, "reading standard input: %m");
	if (out->len > CSR_MAX)
		return err_refuse(err, ERR_TOO_LARGE,
		    "the request has more than %d octets", CSR_MAX);
	return ERR_OK;
}

static enum err_code issue(
    const struct options *options, json_t **answer_out, struct err *err)
{
	OWNED(client) client = NULL;
	OWNED_JSON(body) = json_object();
	OWNED_BUF(csr);
	OWNED_STR(path) = call_path(
	    "/clusters/", options_get(options, "cluster"), "/certificates");
	const char *file = options_get(options, "csr");
	enum err_code code;

	code = strcmp(file, "-") == 0 ? read_input(&csr, err)
				      : fs_read(file, CSR_MAX, &csr, err);
	if (code != ERR_OK)
		return code;
	if (!text_is_utf8(buf_bytes(&csr)))
		return err_refuse(err, ERR_USAGE,
		    "%s is not PEM: convert it with 'openssl req -inform DER'",
		    file);
	OWNED_STR(text) = buf_to_str(&csr);
	call_set_text(body, "csr", text);
	call_set_text(body, "profile", options_get(options, "profile"));
	call_set_text(body, "ttl", options_get(options, "ttl"));
	if ((code = session_open(options, &client, err)) != ERR_OK)
		return code;
	return client_call(client, "POST", path, body, answer_out, err);
}

static const char *text_or_dash(const json_t *object, const char *field)
{
	const char *text = json_string_value(json_object_get(object, field));

	return text == NULL ? "-" : text;
}

int cert_issue_run(const struct options *options)
{
	OWNED_JSON(answer) = NULL;
	struct err err = {0};
	enum err_code code = issue(options, &answer, &err);

	if (code != ERR_OK)
		return session_end(options, code, &err);
	if (json_is_true(json_object_get(answer, "repeated")))
		fprintf(stderr,
		    "The same request was answered before: this is the "
		    "certificate of then%s.\n",
		    options_has(options, "ttl") ? ", and --ttl is not applied"
						: "");
	if (session_wants_json(options)) {
		output_object(answer, details, true);
		return EXIT_DONE;
	}
	/* Leaf and issuers, ready for a server's certificate file. */
	output_text(json_string_value(json_object_get(answer, "certificate")));
	output_text(json_string_value(json_object_get(answer, "chain")));
	OWNED_BUF(note);
	buf_put_str(&note, "serial ");
	output_escape(&note, text_or_dash(answer, "serial"));
	buf_put_str(&note, ", valid until ");
	output_escape(&note, text_or_dash(answer, "not_after"));
	fprintf(stderr, "%.*s\n", (int)note.len, (const char *)note.data);
	return EXIT_DONE;
}
