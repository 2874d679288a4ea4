// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/ca/ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "ca/der.h"

#include <openssl/ocsp.h>

static OCSP_CERTID *cert_id(
    X509 *issuer, struct bytes serial, const EVP_MD *digest)
{
	BIGNUM *number = BN_bin2bn(serial.data, (int)serial.len, NULL);
	ASN1_INTEGER *integer = BN_to_ASN1_INTEGER(number, NULL);
	OCSP_CERTID *id = OCSP_cert_id_new(digest,
	    X509_get_subject_name(issuer), X509_get0_pubkey_bitstr(issuer),
	    integer);

	assert_non_null(id);
	ASN1_INTEGER_free(integer);
	BN_free(number);
	return id;
}

static void put_request(OCSP_REQUEST *request, struct buf *der)
{
	uint8_t *octets = NULL;
	int len = i2d_OCSP_REQUEST(request, &octets);

	assert_true(len > 0);
	buf_put(der, octets, (size_t)len);
	OPENSSL_free(octets);
}

/* OpenSSL's own call makes no nonce of length 0, nor one malformed. */
static void add_nonce(OCSP_REQUEST *request, struct bytes nonce)
{
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension;

	assert_int_equal(
	    ASN1_OCTET_STRING_set(value, nonce.data, (int)nonce.len), 1);
	extension = X509_EXTENSION_create_by_NID(
	    NULL, NID_id_pkix_OCSP_Nonce, 0, value);
	assert_int_equal(OCSP_REQUEST_add_ext(request, extension, -1), 1);
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(value);
}

void ask(struct authority *authority, const struct question *question,
    struct buf *der)
{
	X509 *issuer = authority_x509(authority, question->issuer);
	OCSP_REQUEST *request = OCSP_REQUEST_new();

	for (size_t i = 0; i < question->count; i++) {
		struct serial serial =
		    authority_serial(question->serials[i]);

		assert_non_null(OCSP_request_add0_id(request,
		    cert_id(issuer, serial_bytes(&serial),
			question->sha256 ? EVP_sha256() : EVP_sha1())));
	}
	if (question->nonce.len > 0)
		add_nonce(request, question->nonce);
	put_request(request, der);
	OCSP_REQUEST_free(request);
	X509_free(issuer);
}

void ask_write(struct authority *authority, const char *id,
    struct bytes serial, struct buf *der)
{
	X509 *issuer = authority_x509(authority, id);
	OCSP_REQUEST *request = OCSP_REQUEST_new();

	assert_non_null(OCSP_request_add0_id(
	    request, cert_id(issuer, serial, EVP_sha1())));
	put_request(request, der);
	OCSP_REQUEST_free(request);
	X509_free(issuer);
}

static int64_t seconds_of(const ASN1_GENERALIZEDTIME *time)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days = 0, seconds = 0;

	if (time != NULL)
		assert_int_equal(
		    ASN1_TIME_diff(&days, &seconds, epoch, time), 1);
	ASN1_TIME_free(epoch);
	return (int64_t)days * 86400 + seconds;
}

/* Verifies with the root alone trusted and the issuers at hand, at the frozen
 * time. */
static void verify(struct authority *authority, OCSP_BASICRESP *basic)
{
	X509 *root = authority_x509(authority, "root");
	X509 *one = authority_x509(authority, "issuing-1");
	X509 *two = authority_x509(authority, "issuing-2");
	STACK_OF(X509) *issuers = sk_X509_new_null();
	X509_STORE *trusted = X509_STORE_new();
	X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new();

	X509_STORE_add_cert(trusted, root);
	X509_VERIFY_PARAM_set_time(param, (time_t)clock_now());
	X509_STORE_set1_param(trusted, param);
	sk_X509_push(issuers, one);
	sk_X509_push(issuers, two);
	assert_int_equal(OCSP_basic_verify(basic, issuers, trusted, 0), 1);
	sk_X509_free(issuers);
	X509_VERIFY_PARAM_free(param);
	X509_STORE_free(trusted);
	X509_free(root);
	X509_free(one);
	X509_free(two);
}

static void read_single(OCSP_BASICRESP *basic, OCSP_REQUEST *request,
    struct answer *answer)
{
	ASN1_GENERALIZEDTIME *revoked, *this_update, *next_update;

	for (int i = 0; i < OCSP_request_onereq_count(request); i++) {
		OCSP_CERTID *id = OCSP_onereq_get0_id(
		    OCSP_request_onereq_get0(request, i));
		OCSP_CERTID *answered;
		OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);

		assert_non_null(single);
		answered = (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(
		    single);
		assert_int_equal(OCSP_id_cmp(id, answered), 0);
		if (i > 0)
			continue;
		answer->status = OCSP_single_get0_status(single,
		    &answer->reason, &revoked, &this_update, &next_update);
		answer->revoked = answer->status == V_OCSP_CERTSTATUS_REVOKED
		    ? seconds_of(revoked)
		    : 0;
		answer->this_update = seconds_of(this_update);
		answer->next_update = seconds_of(next_update);
	}
}

static void read_basic(struct authority *authority, OCSP_RESPONSE *response,
    struct bytes request_der, struct answer *answer)
{
	const uint8_t *next = request_der.data;
	OCSP_REQUEST *request =
	    d2i_OCSP_REQUEST(NULL, &next, (long)request_der.len);
	OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
	int nonce;

	assert_non_null(request);
	assert_non_null(basic);
	verify(authority, basic);
	/* 1: equal in both, 2: absent in both. */
	nonce = OCSP_check_nonce(request, basic);
	assert_true(nonce == 1 || nonce == 2);
	answer->count = (size_t)OCSP_resp_count(basic);
	assert_int_equal(answer->count, OCSP_request_onereq_count(request));
	read_single(basic, request, answer);
	OCSP_BASICRESP_free(basic);
	OCSP_REQUEST_free(request);
}

struct answer answer_read(struct authority *authority, struct bytes request,
    struct bytes der)
{
	const uint8_t *next = der.data;
	OCSP_RESPONSE *response =
	    d2i_OCSP_RESPONSE(NULL, &next, (long)der.len);
	struct answer answer = {.status = -1, .reason = -1};
	uint8_t *again = NULL;
	int len;

	assert_non_null(response);
	assert_ptr_equal(next, der.data + der.len);
	len = i2d_OCSP_RESPONSE(response, &again);
	assert_int_equal(len, der.len);
	assert_memory_equal(again, der.data, der.len);
	OPENSSL_free(again);
	answer.result = OCSP_response_status(response);
	if (answer.result == OCSP_RESPONSE_STATUS_SUCCESSFUL)
		read_basic(authority, response, request, &answer);
	OCSP_RESPONSE_free(response);
	return answer;
}
