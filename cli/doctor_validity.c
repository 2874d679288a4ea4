// SPDX-License-Identifier: Apache-2.0
/* How long what Signet lives on still lasts. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "base/fs.h"
#include "cli/doctor.h"

#define DAY INT64_C(86400)
#define PEM_MAX ((size_t)64 * 1024)

struct term {
	const char *check;
	const char *what;
	int64_t not_after;
	int64_t warn; /* seconds before the end */
	const char *next;
};

static void check_term(struct doctor *doctor, const struct term *term)
{
	int64_t left = term->not_after - clock_now();
	char text[CLOCK_TEXT_SIZE];

	clock_format(term->not_after, text);
	if (left <= 0)
		doctor_say(doctor, term->check, HEALTH_FAIL, term->next,
		    "%s expired at %s", term->what, text);
	else if (left < term->warn)
		doctor_say(doctor, term->check, HEALTH_WARN, term->next,
		    "%s expires at %s, in %lld days", term->what, text,
		    (long long)(left / DAY));
	else
		doctor_say(doctor, term->check, HEALTH_OK, NULL,
		    "%s lasts until %s", term->what, text);
}

static void check_issuer(struct doctor *doctor, const struct issuer *issuer)
{
	OWNED_STR(ca) = mem_printf("the CA %s", issuer->id);
	OWNED_STR(responder) =
	    mem_printf("the OCSP responder of %s", issuer->id);
	const struct term own = {"expiry", ca, issuer->not_after, 180 * DAY,
	    "plan its successor; until then, shorter certificates"};
	const struct term delegated = {"expiry", responder,
	    issuer->responder_not_after, 2 * DAY,
	    "a running server renews it by itself: look into its log"};

	if (issuer->state == ISSUER_RETIRED)
		return;
	check_term(doctor, &own);
	if (issuer->responder_der != NULL)
		check_term(doctor, &delegated);
}

static X509 *decode(const struct issuer *issuer)
{
	const unsigned char *at = issuer->der;

	return d2i_X509(NULL, &at, (long)issuer->der_len);
}

/* Each CA is signed by its parent: what was restored is one hierarchy. */
static void check_chain(struct doctor *doctor)
{
	unsigned bad = 0;

	for (size_t i = 0; i < issuer_set_count(doctor->issuers); i++) {
		const struct issuer *issuer = issuer_set_at(doctor->issuers, i);
		const struct issuer *parent =
		    issuer->parent == NULL
			? issuer
			: issuer_set_find(doctor->issuers, issuer->parent);
		X509 *cert = decode(issuer);
		X509 *signer = parent == NULL ? NULL : decode(parent);

		if (cert == NULL || signer == NULL ||
		    X509_verify(cert, X509_get0_pubkey(signer)) != 1) {
			bad++;
			doctor_say(doctor, "chain", HEALTH_FAIL,
			    "restore a backup: signet restore FILE --dir DIR",
			    "the certificate of %s is not signed by its parent",
			    issuer->id);
		}
		X509_free(cert);
		X509_free(signer);
	}
	ERR_clear_error();
	if (bad == 0)
		doctor_say(doctor, "chain", HEALTH_OK, NULL,
		    "each of the %zu CAs is signed by its parent",
		    issuer_set_count(doctor->issuers));
}

/* The first certificate of a PEM file; its end in seconds. */
static bool read_end(const char *path, int64_t *end_out, struct err *err)
{
	OWNED_BUF(pem);
	struct tm tm;
	BIO *bio;
	X509 *cert;
	bool read;

	if (fs_read(path, PEM_MAX, &pem, err) != ERR_OK)
		return false;
	bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	read =
	    cert != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1;
	if (read)
		*end_out = timegm(&tm);
	else
		(void)err_refuse(
		    err, ERR_CONFIG, "%s holds no certificate", path);
	X509_free(cert);
	BIO_free(bio);
	ERR_clear_error();
	return read;
}

static void check_file(
    struct doctor *doctor, const struct term *term, const char *path)
{
	struct term whole = *term;
	struct err err = {0};

	if (read_end(path, &whole.not_after, &err))
		check_term(doctor, &whole);
	else
		doctor_say(doctor, term->check, HEALTH_FAIL, NULL, "%s: %s",
		    term->what, doctor_why(&err));
}

void doctor_check_certificates(struct doctor *doctor)
{
	const struct term tls = {"expiry", "the API's TLS certificate", 0,
	    2 * DAY, "a running server renews it by itself: look into its log"};
	const struct term admin = {"expiry", "the admin's own certificate", 0,
	    30 * DAY, "renew it while it is valid: signet identity renew"};
	const char *own = options_get(doctor->options, "cert");
	OWNED_STR(first) = fs_join(doctor->config->dir, "admin/cert.pem");

	if (doctor->issuers != NULL) {
		check_chain(doctor);
		for (size_t i = 0; i < issuer_set_count(doctor->issuers); i++)
			check_issuer(doctor, issuer_set_at(doctor->issuers, i));
	}
	check_file(doctor, &tls, doctor->config->tls.certificate);
	if (own != NULL || fs_exists(first))
		check_file(doctor, &admin, own != NULL ? own : first);
}
