// SPDX-License-Identifier: Apache-2.0
/* Goal: what is signed is a certificate to RFC 5280, in one encoding, and a
 * change of it shows as a difference of committed text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "ca/der.h"
#include "ca/tbs.h"
#include "tests/unit/ca/fake_hsm.h"
#include "tests/unit/ca/golden.h"

#include <openssl/x509v3.h>

#define NOW INT64_C(1800000000)
#define YEAR (INT64_C(365) * 86400)
#define BASE "http://pki.example.net"

static struct err err;

/* A spec with what it borrows: a leaf for SERVER and CLIENT. */
struct model {
	struct tbs_spec spec;
	struct names *names;
	struct buf spki, issuer;
	struct signer *signer;
	struct hsm *hsm;
};

static void model_free(struct model *model)
{
	names_free(model->names);
	buf_free(&model->spki);
	buf_free(&model->issuer);
	signer_free(model->signer);
	fake_hsm_free(model->hsm);
	free(model);
}
DEFINE_CLEANUP(model, model_free)

static struct model *model_new(void)
{
	static const uint8_t serial[] = {0x01, 0x00, 0x6b, 0x49, 0xd2, 0x00,
	    0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab,
	    0xac};
	struct model *model = mem_zalloc(sizeof(*model));
	OWNED_STR(uri) = NULL;
	OWNED_STR(leaf_uri) = NULL;
	OWNED_BUF(issuer_spki);

	model->hsm = fake_hsm_new();
	assert_int_equal(hsm_generate_pair(model->hsm, "issuer", HSM_EC_P256,
	    &uri, &issuer_spki, &err), ERR_OK);
	assert_int_equal(hsm_generate_pair(model->hsm, "leaf", HSM_EC_P256,
	    &leaf_uri, &model->spki, &err), ERR_OK);
	assert_int_equal(signer_new(model->hsm, uri, buf_bytes(&issuer_spki),
	    &model->signer, &err), ERR_OK);
	model->names = names_new();
	assert_int_equal(names_set_cn(model->names,
	    BYTES_STR("n1.db1.example.net"), &err), ERR_OK);
	assert_int_equal(names_add(model->names, NAME_DNS,
	    BYTES_STR("n1.db1.example.net"), &err), ERR_OK);
	tbs_write_name("Example", "Signet Issuing CA 01234567", &model->issuer);
	model->spec = (struct tbs_spec){
	    .serial = BYTES_OF(serial),
	    .algorithm = signer_algorithm(model->signer),
	    .issuer_name = buf_bytes(&model->issuer),
	    .issuer_key_id = BYTES(signer_key_id(model->signer), 20),
	    .subject_spki = buf_bytes(&model->spki),
	    .names = model->names,
	    .not_before = NOW, .not_after = NOW + 86399,
	    .key_usage = USAGE_DIGITAL_SIGNATURE,
	    .ext_usage = EKU_SERVER_AUTH | EKU_CLIENT_AUTH,
	    .path_len = -1,
	    .crl_url = BASE "/crl/issuing-1.crl",
	    .ocsp_url = BASE "/ocsp",
	    .issuer_url = BASE "/ca/issuing-1.cer"};
	return model;
}

/* The certificate as OpenSSL reads it; all of it, and nothing behind. */
static X509 *sign(const struct model *model)
{
	OWNED_BUF(tbs);
	OWNED_BUF(der);
	const uint8_t *at;
	X509 *cert;

	assert_int_equal(tbs_write(&model->spec, &tbs, &err), ERR_OK);
	assert_int_equal(signer_sign(model->signer, buf_bytes(&tbs),
	    BYTES(NULL, 0), &der, &err), ERR_OK);
	at = der.data;
	cert = d2i_X509(NULL, &at, (long)der.len);
	assert_non_null(cert);
	assert_ptr_equal(at, der.data + der.len);
	return cert;
}

/* Reads as OpenSSL would encode it itself: there is one DER. */
static void check_canonical(const struct model *model, X509 *cert)
{
	OWNED_BUF(tbs);
	uint8_t *again = NULL;
	int len;

	assert_int_equal(tbs_write(&model->spec, &tbs, &err), ERR_OK);
	len = i2d_re_X509_tbs(cert, &again);
	assert_int_equal(len, tbs.len);
	assert_memory_equal(again, tbs.data, tbs.len);
	OPENSSL_free(again);
}

static void check_golden(const struct model *model, const char *name)
{
	X509 *cert = sign(model);
	BIO *bio = BIO_new(BIO_s_mem());
	OWNED_BUF(text);
	char *printed;
	long len;

	check_canonical(model, cert);
	assert_int_equal(X509_verify(cert, signer_public_key(model->signer)),
	    1);
	assert_int_equal(X509_print_ex(bio, cert, XN_FLAG_RFC2253,
	    X509_FLAG_NO_SIGDUMP), 1);
	len = BIO_get_mem_data(bio, &printed);
	buf_put(&text, printed, (size_t)len);
	golden_check(name, &text);
	BIO_free(bio);
	X509_free(cert);
}

static void a_leaf_for_server_and_client_is_as_committed(void **state)
{
	OWNED(model) model = model_new();

	(void)state;
	check_golden(model, "leaf-peer.txt");
}

static void a_leaf_with_every_type_of_name_is_as_committed(void **state)
{
	static const uint8_t ip4[] = {10, 0, 0, 7};
	static const uint8_t ip6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	OWNED(model) model = model_new();

	(void)state;
	assert_int_equal(names_add_ip(model->names, BYTES_OF(ip6), &err),
	    ERR_OK);
	assert_int_equal(names_add_ip(model->names, BYTES_OF(ip4), &err),
	    ERR_OK);
	assert_int_equal(names_add(model->names, NAME_URI,
	    BYTES_STR("spiffe://example.net/db1"), &err), ERR_OK);
	assert_int_equal(names_add(model->names, NAME_DNS,
	    BYTES_STR("*.db1.example.net"), &err), ERR_OK);
	model->spec.key_usage = USAGE_DIGITAL_SIGNATURE | USAGE_KEY_ENCIPHERMENT;
	model->spec.ext_usage = EKU_SERVER_AUTH;
	check_golden(model, "leaf-names.txt");
}

static void a_leaf_without_subject_has_a_critical_san(void **state)
{
	OWNED(model) model = model_new();

	(void)state;
	free(model->names->common_name);
	model->names->common_name = NULL;
	check_golden(model, "leaf-no-subject.txt");
}

static void a_client_with_a_cn_alone_has_no_san(void **state)
{
	OWNED(model) model = model_new();
	struct names *alone = names_new();

	(void)state;
	assert_int_equal(
	    names_set_cn(alone, BYTES_STR("alice"), &err), ERR_OK);
	names_free(model->names);
	model->names = alone;
	model->spec.names = alone;
	model->spec.ext_usage = EKU_CLIENT_AUTH;
	check_golden(model, "leaf-client.txt");
}

static void a_responder_is_as_committed(void **state)
{
	OWNED(model) model = model_new();
	struct names *alone = names_new();

	(void)state;
	assert_int_equal(names_set_cn(alone,
	    BYTES_STR("issuing-1 OCSP responder"), &err), ERR_OK);
	names_free(model->names);
	model->names = alone;
	model->spec.names = alone;
	model->spec.ext_usage = EKU_OCSP_SIGNING;
	model->spec.ocsp_nocheck = true;
	check_golden(model, "responder.txt");
}

static void make_ca(struct model *model, int path_len)
{
	struct names *alone = names_new();

	assert_int_equal(names_set_cn(alone,
	    BYTES_STR("Signet CA 01234567"), &err), ERR_OK);
	names_free(model->names);
	model->names = alone;
	model->spec.names = alone;
	model->spec.organization = "Example";
	model->spec.is_ca = true;
	model->spec.path_len = path_len;
	model->spec.key_usage = USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN;
	model->spec.ext_usage = 0;
	model->spec.ocsp_url = NULL;
}

static void an_issuing_ca_is_as_committed(void **state)
{
	OWNED(model) model = model_new();

	(void)state;
	make_ca(model, 0);
	model->spec.crl_url = BASE "/crl/root.crl";
	model->spec.issuer_url = BASE "/ca/root.cer";
	model->spec.not_after = NOW + 5 * YEAR;
	check_golden(model, "issuing-ca.txt");
}

static void a_root_is_as_committed(void **state)
{
	OWNED(model) model = model_new();

	(void)state;
	make_ca(model, -1);
	buf_reset(&model->issuer);
	tbs_write_name("Example", "Signet CA 01234567", &model->issuer);
	model->spec.issuer_name = buf_bytes(&model->issuer);
	model->spec.issuer_key_id = BYTES(NULL, 0);
	model->spec.subject_spki = signer_spki(model->signer);
	model->spec.crl_url = NULL;
	model->spec.issuer_url = NULL;
	model->spec.not_after = NOW + 30 * YEAR;	/* past 2049 */
	check_golden(model, "root-ca.txt");
}

/* ---- properties that a text does not show ---- */

static void openssl_takes_each_for_what_it_is(void **state)
{
	OWNED(model) leaf = model_new();
	OWNED(model) ca = model_new();
	X509 *leaf_cert, *ca_cert;

	(void)state;
	leaf_cert = sign(leaf);
	assert_int_equal(X509_check_ca(leaf_cert), 0);
	assert_int_equal(X509_check_host(leaf_cert, "n1.db1.example.net", 0,
	    0, NULL), 1);
	assert_int_equal(X509_check_host(leaf_cert, "n2.db1.example.net", 0,
	    0, NULL), 0);
	assert_int_equal(X509_get_extension_flags(leaf_cert) & 0x80, 0);
	make_ca(ca, 0);
	ca_cert = sign(ca);
	assert_int_equal(X509_check_ca(ca_cert), 1);
	assert_int_equal(X509_get_pathlen(ca_cert), 0);
	assert_int_equal(X509_get_version(leaf_cert), 2);
	X509_free(leaf_cert);
	X509_free(ca_cert);
}

static void the_key_id_is_that_of_the_key(void **state)
{
	OWNED(model) model = model_new();
	X509 *cert;
	const ASN1_OCTET_STRING *ski;
	uint8_t expected[20];
	unsigned len;

	(void)state;
	model->spec.subject_spki = signer_spki(model->signer);
	cert = sign(model);
	ski = X509_get0_subject_key_id(cert);
	assert_int_equal(ASN1_STRING_length(ski), 20);
	assert_memory_equal(ASN1_STRING_get0_data(ski),
	    signer_key_id(model->signer), 20);
	assert_int_equal(
	    X509_pubkey_digest(cert, EVP_sha1(), expected, &len), 1);
	assert_memory_equal(ASN1_STRING_get0_data(ski), expected, 20);
	X509_free(cert);
}

static void each_key_usage_bit_is_the_one_of_the_standard(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 8; bit++) {
		OWNED(model) model = model_new();
		X509 *cert;
		uint32_t usage;

		if (bit == 5)
			make_ca(model, 0);
		model->spec.key_usage = 1u << bit;
		cert = sign(model);
		usage = X509_get_key_usage(cert);
		/* OpenSSL numbers them from the top of the first octet. */
		assert_int_equal(usage, 0x80u >> bit);
		check_canonical(model, cert);
		X509_free(cert);
	}
}

static void a_hundred_long_names_are_written(void **state)
{
	OWNED(model) model = model_new();
	X509 *cert;

	(void)state;
	while (model->names->sans_count < NAMES_MAX) {
		OWNED_STR(name) = mem_printf(
		    "n%zu.%060d.%060d.%060d.example.net",
		    model->names->sans_count, 1, 2, 3);

		assert_int_equal(names_add(model->names, NAME_DNS,
		    bytes_str(name), &err), ERR_OK);
	}
	cert = sign(model);
	check_canonical(model, cert);
	X509_free(cert);
}

/* ---- specs that break RFC 5280 ---- */

static void assert_flawed(const struct tbs_spec *spec, const char *words)
{
	OWNED_BUF(out);

	buf_put_u8(&out, 7);
	assert_int_equal(tbs_write(spec, &out, &err), ERR_INTERNAL);
	assert_non_null(strstr(err.cause, words));
	assert_int_equal(out.len, 1);
}

static void a_spec_that_breaks_rfc_5280_is_refused(void **state)
{
	static const uint8_t negative[] = {0x80}, zero[] = {0x00};
	static const uint8_t long_serial[21] = {1};
	OWNED(model) model = model_new();
	OWNED(names) nobody = names_new();
	const struct tbs_spec good = model->spec;
	struct tbs_spec bad;

	(void)state;
	bad = good, bad.serial = BYTES_OF(negative);
	assert_flawed(&bad, "serial");
	bad = good, bad.serial = BYTES_OF(zero);
	assert_flawed(&bad, "serial");
	bad = good, bad.serial = BYTES(NULL, 0);
	assert_flawed(&bad, "serial");
	bad = good, bad.serial = BYTES_OF(long_serial);
	assert_flawed(&bad, "serial");
	bad = good, bad.not_after = bad.not_before - 1;
	assert_flawed(&bad, "ends before");
	bad = good, bad.not_before = -1;
	assert_flawed(&bad, "ends before");
	bad = good, bad.not_after = INT64_C(253402300800);
	assert_flawed(&bad, "9999");
	bad = good, bad.names = nobody;
	assert_flawed(&bad, "nobody");
	bad = good, bad.is_ca = true;
	assert_flawed(&bad, "keyCertSign");
	bad = good, bad.key_usage = USAGE_KEY_CERT_SIGN;
	assert_flawed(&bad, "keyCertSign");
	bad = good, bad.path_len = 0;
	assert_flawed(&bad, "path length");
	bad = good, bad.key_usage |= 1u << 8;
	assert_flawed(&bad, "usage");
	bad = good, bad.ext_usage |= 1u << 9;
	assert_flawed(&bad, "usage");
	bad = good, bad.ocsp_nocheck = true;
	assert_flawed(&bad, "nocheck");
	bad = good, bad.subject_spki = BYTES("\x30\x00", 2);
	assert_flawed(&bad, "SubjectPublicKeyInfo");
}

#define TEST cmocka_unit_test
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_leaf_for_server_and_client_is_as_committed),
	    TEST(a_leaf_with_every_type_of_name_is_as_committed),
	    TEST(a_leaf_without_subject_has_a_critical_san),
	    TEST(a_client_with_a_cn_alone_has_no_san),
	    TEST(a_responder_is_as_committed),
	    TEST(an_issuing_ca_is_as_committed),
	    TEST(a_root_is_as_committed),
	    TEST(openssl_takes_each_for_what_it_is),
	    TEST(the_key_id_is_that_of_the_key),
	    TEST(each_key_usage_bit_is_the_one_of_the_standard),
	    TEST(a_hundred_long_names_are_written),
	    TEST(a_spec_that_breaks_rfc_5280_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
