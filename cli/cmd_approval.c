// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "policies/approval.h"

#define DIGEST_PREFIX "sha256:"
#define DIGEST_TEXT_SIZE                                                       \
	(sizeof(DIGEST_PREFIX) + 2 * (size_t)APPROVAL_DIGEST_SIZE)

static const struct column columns[] = {
    {"ID", "id"},
    {"STATE", "state"},
    {"ACTION", "action"},
    {"REQUESTER", "requester_name"},
    {"CLUSTER", "cluster"},
    {"NEEDED", "needed"},
    {"APPROVALS", "approvals"},
    {"EXPIRES", "expires"},
    {0},
};

const struct option_spec approval_list_options[] = {{0}};

int approval_list_run(const struct options *options)
{
	return call_list(options, "/approvals", columns, "no approvals");
}

static const char *text_of(const json_t *object, const char *field)
{
	const char *text = json_string_value(json_object_get(object, field));

	return text == NULL ? "" : text;
}

/* The digest of what is shown, computed here: what one reads is what one
 * consents to, whatever digest came with it.  Errors: ERR_INTERNAL. */
static enum err_code digest_shown(const json_t *shown,
    char text[static DIGEST_TEXT_SIZE], struct err *err)
{
	const json_t *body = json_object_get(shown, "body");
	const char *cluster = text_of(shown, "cluster");
	uint8_t requester[IDENTITY_ID_SIZE], digest[APPROVAL_DIGEST_SIZE];
	OWNED_BUF(canonical);
	enum err_code code;

	if (strlen(text_of(shown, "requester")) != 2 * sizeof(requester) ||
	    !hex_parse(text_of(shown, "requester"), requester,
		sizeof(requester)))
		return err_fail(
		    err, ERR_INTERNAL, "the server names no requester");
	if (body != NULL)
		json_put_canonical(&canonical, body);
	OWNED_STR(body_text) = buf_to_str(&canonical);
	const struct approval_content content = {
	    .action = text_of(shown, "action"),
	    .requester = requester,
	    .cluster = *cluster == '\0' ? NULL : cluster,
	    .method = text_of(shown, "method"),
	    .path = text_of(shown, "path"),
	    .body = body_text,
	};
	if ((code = approval_digest(&content, digest, err)) != ERR_OK)
		return code;
	memcpy(text, DIGEST_PREFIX, sizeof(DIGEST_PREFIX));
	hex_write(digest, sizeof(digest), text + strlen(DIGEST_PREFIX));
	if (strcmp(text, text_of(shown, "digest")) != 0)
		return err_fail(err, ERR_INTERNAL,
		    "the digest %s of this request is not that of its content",
		    err_quote_str(text_of(shown, "digest")));
	return ERR_OK;
}

static enum err_code fetch(const struct options *options,
    struct client *client, json_t **shown_out,
    char digest[static DIGEST_TEXT_SIZE], struct err *err)
{
	OWNED_STR(path) =
	    call_path("/approvals/", options_arg(options, 0), "");
	enum err_code code =
	    client_call(client, "GET", path, NULL, shown_out, err);

	return code == ERR_OK ? digest_shown(*shown_out, digest, err) : code;
}

const struct option_spec approval_show_options[] = {{0}};

int approval_show_run(const struct options *options)
{
	OWNED(client) client = NULL;
	OWNED_JSON(shown) = NULL;
	char digest[DIGEST_TEXT_SIZE];
	struct err err = {0};
	enum err_code code;

	if ((code = session_open(options, &client, &err)) == ERR_OK)
		code = fetch(options, client, &shown, digest, &err);
	if (code == ERR_OK)
		call_print_approval(options, shown);
	return session_end(options, code, &err);
}

const struct option_spec approval_approve_options[] = {
    {"digest", "sha256:HEX",
	"consent only if this is what is asked [what is shown]", false, false},
    {0},
};

static enum err_code approve(const struct options *options,
    struct client *client, json_t **answer_out, struct err *err)
{
	const char *expected = options_get(options, "digest");
	OWNED_STR(path) =
	    call_path("/approvals/", options_arg(options, 0), "/approve");
	OWNED_JSON(shown) = NULL;
	OWNED_JSON(body) = json_object();
	char digest[DIGEST_TEXT_SIZE];
	enum err_code code = fetch(options, client, &shown, digest, err);

	if (code != ERR_OK)
		return code;
	call_set_text(body, "digest", expected == NULL ? digest : expected);
	return client_call(client, "POST", path, body, answer_out, err);
}

int approval_approve_run(const struct options *options)
{
	OWNED(client) client = NULL;
	OWNED_JSON(answer) = NULL;
	struct err err = {0};
	enum err_code code;

	if ((code = session_open(options, &client, &err)) == ERR_OK)
		code = approve(options, client, &answer, &err);
	if (code == ERR_OK)
		call_print_approval(options, answer);
	return session_end(options, code, &err);
}

const struct option_spec approval_reject_options[] = {
    {"reason", "TEXT", "why, for whoever asked", false, true},
    {0},
};

int approval_reject_run(const struct options *options)
{
	OWNED_JSON(body) = json_object();
	OWNED_STR(path) =
	    call_path("/approvals/", options_arg(options, 0), "/reject");

	OWNED(client) client = NULL;
	OWNED_JSON(answer) = NULL;
	struct err err = {0};
	enum err_code code;

	call_set_text(body, "reason", options_get(options, "reason"));
	if ((code = session_open(options, &client, &err)) == ERR_OK)
		code = client_call(
		    client, "POST", path, body, &answer, &err);
	if (code == ERR_OK)
		call_print_approval(options, answer);
	return session_end(options, code, &err);
}
