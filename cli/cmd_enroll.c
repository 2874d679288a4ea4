// SPDX-License-Identifier: Apache-2.0
/* How a person or a program gets the certificate of its identity, and the next. */
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/csr.h"
#include "cli/exit.h"
#include "cli/session.h"

#define CODE_MAX 256
#define PEM_MAX 65536
#define KEY_MAX 8192 /* of the locked heap */

static const struct column details[] = {
    {"certificate", "file"},
    {"serial", "serial"},
    {"valid until", "not_after"},
    {"renewed from", "renew_after"},
    {0},
};

/* The key of a request whose answer was lost, or a new one, written before it is
 * asked for: so that asking again is the same request. */
static enum err_code pending_key(const char *path, const char *type,
    struct secret **key_out, struct err *err)
{
	enum err_code code;

	if (fs_exists(path))
		return secret_from_file(path, KEY_MAX, key_out, err);
	code = csr_new_key(type, key_out, err);
	if (code != ERR_OK)
		return code;
	return fs_write(path, 0600, secret_bytes(*key_out), err);
}

static const char *text_of(const json_t *object, const char *field)
{
	return json_string_value(json_object_get(object, field));
}

/* The certificate first: its key waits beside the old one (session_settle). */
static enum err_code take_answer(const struct session_place *place,
    const json_t *answer, const struct secret *key, struct err *err)
{
	const char *cert = text_of(answer, "certificate");
	const char *chain = text_of(answer, "chain");
	enum err_code code;

	if (cert == NULL || chain == NULL ||
	    !csr_key_fits(key, bytes_str(cert)))
		return err_fail(err, ERR_INTERNAL,
		    "the server's answer is no certificate of the key sent");
	OWNED_STR(both) = mem_printf("%s%s", cert, chain);
	code = fs_write(place->cert, 0644, bytes_str(both), err);
	return code == ERR_OK ? session_settle(place, err) : code;
}

static enum err_code ask(struct client *client, const char *path,
    const struct session_place *place, const char *key_type,
    json_t **answer_out, struct err *err)
{
	OWNED_STR(next) = mem_printf("%s.next", place->key);
	const struct csr_names nameless = {0};
	OWNED(secret) key = NULL;
	OWNED_JSON(body) = json_object();
	OWNED_BUF(csr);
	enum err_code code;

	if ((code = pending_key(next, key_type, &key, err)) != ERR_OK ||
	    (code = csr_write(key, &nameless, &csr, err)) != ERR_OK)
		return code;
	OWNED_STR(text) = buf_to_str(&csr);
	call_set_text(body, "csr", text);
	code = client_call(client, "POST", path, body, answer_out, err);
	return code == ERR_OK ? take_answer(place, *answer_out, key, err) : code;
}

static int report(const struct options *options,
    const struct session_place *place, json_t *answer)
{
	json_object_set_new(answer, "file", json_string(place->cert));
	output_object(answer, details, session_wants_json(options));
	return EXIT_DONE;
}

/* ---- enroll ---- */

const struct option_spec identity_enroll_options[] = {
    {"code-file", "FILE", "enrolment code ('signet identity create')", false,
	true},
    {"key-type", "T", "ec-p256, ec-p384, rsa-2048, … [ec-p256]", false, false},
    {0},
};

/* Without --cert and --key the files would be those of the first admin. */
static enum err_code check_files(const struct options *options,
    const struct session_place *place, struct err *err)
{
	if (!options_has(options, "cert") || !options_has(options, "key"))
		return err_refuse(err, ERR_USAGE,
		    "say with --cert and --key where certificate and key go");
	if (fs_exists(place->cert) || fs_exists(place->key))
		return err_refuse(err, ERR_EXISTS,
		    "%s is there already: name other files, or renew it with "
		    "'signet identity renew'",
		    fs_exists(place->cert) ? place->cert : place->key);
	return ERR_OK;
}

static enum err_code enroll(const struct options *options,
    const struct session_place *place, json_t **answer_out, struct err *err)
{
	const char *type = options_get(options, "key-type");
	OWNED(secret) code_text = NULL;
	OWNED(client) client = NULL;
	enum err_code code;

	if ((code = check_files(options, place, err)) != ERR_OK ||
	    (code = secret_from_file(options_get(options, "code-file"),
		 CODE_MAX, &code_text, err)) != ERR_OK)
		return code;
	const struct client_options how = {
	    .url = place->url, .ca_file = place->ca, .token = code_text};
	if ((code = client_open(&how, &client, err)) != ERR_OK)
		return code;
	return ask(client, "/identities/enroll", place,
	    type == NULL ? "ec-p256" : type, answer_out, err);
}

int identity_enroll_run(const struct options *options)
{
	OWNED_PLACE(place);
	OWNED_JSON(answer) = NULL;
	struct err err = {0};
	enum err_code code = session_find(options, &place, &err);

	if (code == ERR_OK)
		code = enroll(options, &place, &answer, &err);
	if (code != ERR_OK)
		return session_end(options, code, &err);
	return report(options, &place, answer);
}

/* ---- renew ---- */

const struct option_spec identity_renew_options[] = {
    {"force", NULL, "also before it is due", false, false},
    {0},
};

static int64_t seconds_of(const ASN1_TIME *time)
{
	struct tm tm = {0};

	return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* Two thirds of its life are over. */
static enum err_code is_due(
    const struct session_place *place, bool *due_out, struct err *err)
{
	OWNED_BUF(pem);
	enum err_code code = fs_read(place->cert, PEM_MAX, &pem, err);

	if (code != ERR_OK)
		return code;
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	X509 *cert = bio == NULL ? NULL
				 : PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (cert != NULL) {
		int64_t from = seconds_of(X509_get0_notBefore(cert));
		int64_t until = seconds_of(X509_get0_notAfter(cert));

		*due_out = clock_now() >= from + (until - from) * 2 / 3;
	} else {
		code = err_refuse(
		    err, ERR_CONFIG, "%s holds no certificate", place->cert);
	}
	X509_free(cert);
	BIO_free(bio);
	return code;
}

static enum err_code renew(const struct options *options,
    const struct session_place *place, json_t **answer_out, struct err *err)
{
	OWNED(client) client = NULL;
	OWNED(secret) held = NULL;
	bool due = false;
	enum err_code code;

	if ((code = session_settle(place, err)) != ERR_OK ||
	    (code = is_due(place, &due, err)) != ERR_OK)
		return code;
	if (!due && !options_has(options, "force"))
		return ERR_OK;
	if ((code = secret_from_file(place->key, KEY_MAX, &held, err)) !=
	    ERR_OK)
		return code;
	const char *type = csr_key_type(held);
	if ((code = session_open(options, &client, err)) != ERR_OK)
		return code;
	return ask(client, "/identities/renew", place,
	    type == NULL ? "ec-p256" : type, answer_out, err);
}

int identity_renew_run(const struct options *options)
{
	OWNED_PLACE(place);
	OWNED_JSON(answer) = NULL;
	struct err err = {0};
	enum err_code code = session_find(options, &place, &err);

	if (code == ERR_OK)
		code = renew(options, &place, &answer, &err);
	if (code != ERR_OK)
		return session_end(options, code, &err);
	if (answer != NULL)
		return report(options, &place, answer);
	fprintf(stderr, "not due yet; --force renews it all the same\n");
	return EXIT_DONE;
}
