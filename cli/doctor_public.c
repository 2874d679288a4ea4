// SPDX-License-Identifier: Apache-2.0
/* CRL and OCSP, fetched and verified as a relying party does it. */
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ca/certificate.h"
#include "ca/crl.h"
#include "cli/doctor.h"
#include "cli/fetch.h"

#define SKEW 300 /* seconds, for OCSP_check_validity */
#define PAGES_MAX 20
#define ROOT_WARN (30 * INT64_C(86400))

static X509 *decode(const uint8_t *der, size_t len)
{
	const unsigned char *at = der;

	return d2i_X509(NULL, &at, (long)len);
}

static int64_t seconds_of(const ASN1_TIME *time)
{
	struct tm tm;

	return time != NULL && ASN1_TIME_to_tm(time, &tm) == 1 ? timegm(&tm)
							       : 0;
}

/* What is wrong with a CRL as served; NULL: nothing. */
static const char *crl_fault(
    struct doctor *doctor, const struct issuer *issuer, X509_CRL *list)
{
	OWNED(crl) stored = NULL;
	struct err err = {0};
	X509 *cert = decode(issuer->der, issuer->der_len);
	ASN1_INTEGER *number =
	    X509_CRL_get_ext_d2i(list, NID_crl_number, NULL, NULL);
	uint64_t served = 0;
	const char *fault = NULL;

	if (cert == NULL || X509_CRL_verify(list, X509_get0_pubkey(cert)) != 1)
		fault = "is not signed by its issuer";
	else if (seconds_of(X509_CRL_get0_nextUpdate(list)) <= clock_now())
		fault = "is past its next update";
	else if (number == NULL ||
		 ASN1_INTEGER_get_uint64(&served, number) != 1)
		fault = "has no number";
	else if (crl_find(doctor->store, issuer->id, &stored, &err) != ERR_OK ||
		 stored == NULL || served + 1 < stored->number)
		fault = "is older than the one on record";
	ASN1_INTEGER_free(number);
	X509_free(cert);
	ERR_clear_error();
	return fault;
}

/* Past half of its life the publisher should long have made another; that of
 * the root, whose key may be locked away, takes a ceremony. */
static bool is_old(const struct issuer *issuer, X509_CRL *list)
{
	int64_t from = seconds_of(X509_CRL_get0_lastUpdate(list));
	int64_t to = seconds_of(X509_CRL_get0_nextUpdate(list));

	if (issuer->kind == ISSUER_ROOT)
		return to - clock_now() < ROOT_WARN;
	return clock_now() - from > (to - from) / 2;
}

static void judge_crl(struct doctor *doctor, const struct issuer *issuer,
    struct bytes der, const char *url)
{
	const unsigned char *at = der.data;
	X509_CRL *list = d2i_X509_CRL(NULL, &at, (long)der.len);
	OWNED_STR(next) = mem_printf("signet crl publish %s", issuer->id);
	const char *fault =
	    list == NULL ? "is no CRL" : crl_fault(doctor, issuer, list);

	if (fault != NULL)
		doctor_say(doctor, "crl", HEALTH_FAIL, next,
		    "the CRL of %s at %s %s", issuer->id, url, fault);
	else if (is_old(issuer, list))
		doctor_say(doctor, "crl", HEALTH_WARN, next,
		    "the CRL of %s ends too soon: nobody has renewed it",
		    issuer->id);
	else
		doctor_say(doctor, "crl", HEALTH_OK, NULL,
		    "the CRL of %s is fresh, signed and served", issuer->id);
	X509_CRL_free(list);
	ERR_clear_error();
}

static void check_crl(
    struct doctor *doctor, const struct issuer *issuer, const char *base)
{
	OWNED_STR(url) = mem_printf("%s/crl/%s.crl", base, issuer->id);
	const struct fetch fetch = {.url = url};
	OWNED_BUF(body);
	struct err err = {0};
	long status = 0;

	if (fetch_run(&fetch, &status, &body, &err) != ERR_OK)
		doctor_say(doctor, "crl", HEALTH_UNKNOWN, NULL, "%s",
		    doctor_why(&err));
	else if (status != 200)
		doctor_say(doctor, "crl", HEALTH_FAIL, NULL, "%s answers %ld",
		    url, status);
	else
		judge_crl(doctor, issuer, buf_bytes(&body), url);
}

/* Some certificate that ISSUER signed, of the newest first few thousand. */
static struct certificate *find_issued(
    struct doctor *doctor, const struct issuer *issuer)
{
	OWNED_BUF(cursor);
	struct err err = {0};

	for (int page = 0; page < PAGES_MAX; page++) {
		struct certificate *found[16];
		struct certificate *fit = NULL;
		OWNED_BUF(after);
		size_t count = 0;

		buf_put_bytes(&after, buf_bytes(&cursor));
		buf_reset(&cursor);
		const struct certificate_query query = {
		    .after = buf_bytes(&after), .limit = ARRAY_LEN(found)};
		if (certificate_list(doctor->store, &query, found, &count,
			&cursor, &err) != ERR_OK)
			return NULL;
		for (size_t i = 0; i < count; i++)
			if (fit == NULL && found[i]->der != NULL &&
			    strcmp(found[i]->issuer, issuer->id) == 0)
				fit = found[i];
			else
				certificate_free(found[i]);
		if (fit != NULL || cursor.len == 0)
			return fit;
	}
	return NULL;
}

static OCSP_CERTID *id_of(const struct certificate *certificate, X509 *issuer)
{
	struct bytes octets = serial_bytes(&certificate->serial);
	BIGNUM *bn = BN_bin2bn(octets.data, (int)octets.len, NULL);
	ASN1_INTEGER *serial = BN_to_ASN1_INTEGER(bn, NULL);
	OCSP_CERTID *id =
	    OCSP_cert_id_new(EVP_sha1(), X509_get_subject_name(issuer),
		X509_get0_pubkey_bitstr(issuer), serial);

	ASN1_INTEGER_free(serial);
	BN_free(bn);
	return id;
}

/* By the issuer alone, which has delegated to its responder. */
static bool is_signed(OCSP_BASICRESP *basic, X509 *issuer)
{
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *chain = sk_X509_new_null();
	bool good;

	X509_STORE_add_cert(store, issuer);
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	sk_X509_push(chain, issuer);
	good = OCSP_basic_verify(basic, chain, store, 0) == 1;
	sk_X509_free(chain);
	X509_STORE_free(store);
	return good;
}

/* What is wrong with the answer; NULL: it tells what the record does. */
static const char *ocsp_fault(OCSP_RESPONSE *response, OCSP_CERTID *id,
    X509 *issuer, const struct certificate *certificate)
{
	OCSP_BASICRESP *basic;
	ASN1_GENERALIZEDTIME *from = NULL, *to = NULL;
	const int wanted = certificate->state == CERTIFICATE_VALID
			       ? V_OCSP_CERTSTATUS_GOOD
			       : V_OCSP_CERTSTATUS_REVOKED;
	const char *fault = NULL;
	int status, reason;

	if (response == NULL)
		return "is no OCSP response";
	if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		return "is an error: the responder cannot sign";
	basic = OCSP_response_get1_basic(response);
	if (basic == NULL || !is_signed(basic, issuer))
		fault = "is not signed by a responder of the issuer";
	else if (OCSP_resp_find_status(
		     basic, id, &status, &reason, NULL, &from, &to) != 1)
		fault = "is about another certificate";
	else if (OCSP_check_validity(from, to, SKEW, -1) != 1)
		fault = "is past its next update";
	else if (status != wanted)
		fault = "says otherwise than the record";
	OCSP_BASICRESP_free(basic);
	return fault;
}

static void judge_ocsp(struct doctor *doctor, const struct issuer *issuer,
    const struct certificate *certificate, const char *base)
{
	OWNED_STR(url) = mem_printf("%s/ocsp", base);
	X509 *cert = decode(issuer->der, issuer->der_len);
	OCSP_CERTID *id = id_of(certificate, cert);
	OCSP_REQUEST *request = OCSP_REQUEST_new();
	OCSP_RESPONSE *response = NULL;
	unsigned char *der = NULL;
	OWNED_BUF(body);
	struct err err = {0};
	long status = 0;

	OCSP_request_add0_id(request, OCSP_CERTID_dup(id));
	int len = i2d_OCSP_REQUEST(request, &der);
	const struct fetch fetch = {url, "application/ocsp-request",
	    BYTES(der, len > 0 ? (size_t)len : 0)};
	if (fetch_run(&fetch, &status, &body, &err) != ERR_OK) {
		doctor_say(doctor, "ocsp", HEALTH_UNKNOWN, NULL, "%s",
		    doctor_why(&err));
	} else {
		const unsigned char *at = body.data;

		response = d2i_OCSP_RESPONSE(NULL, &at, (long)body.len);
		const char *fault = ocsp_fault(response, id, cert, certificate);
		doctor_say(doctor, "ocsp",
		    fault == NULL ? HEALTH_OK : HEALTH_FAIL,
		    fault == NULL ? NULL : "look into the server's log",
		    "the OCSP answer for a certificate of %s %s", issuer->id,
		    fault == NULL ? "is signed, fresh, and what the record says"
				  : fault);
	}
	OCSP_RESPONSE_free(response);
	OPENSSL_free(der);
	OCSP_REQUEST_free(request);
	OCSP_CERTID_free(id);
	X509_free(cert);
	ERR_clear_error();
}

static void check_ocsp(
    struct doctor *doctor, const struct issuer *issuer, const char *base)
{
	OWNED(certificate) certificate = find_issued(doctor, issuer);

	if (issuer->responder_der == NULL)
		return;
	if (certificate != NULL)
		judge_ocsp(doctor, issuer, certificate, base);
	else
		doctor_say(doctor, "ocsp", HEALTH_OK, NULL,
		    "%s has issued nothing yet that OCSP could be asked about",
		    issuer->id);
}

void doctor_check_public(struct doctor *doctor)
{
	OWNED_STR(base) = fetch_url(doctor->config->listen.public);

	if (doctor->issuers == NULL)
		return;
	for (size_t i = 0; i < issuer_set_count(doctor->issuers); i++) {
		const struct issuer *issuer = issuer_set_at(doctor->issuers, i);

		if (issuer->state == ISSUER_RETIRED)
			continue;
		check_crl(doctor, issuer, base);
		check_ocsp(doctor, issuer, base);
	}
}
