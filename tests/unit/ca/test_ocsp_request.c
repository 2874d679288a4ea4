// SPDX-License-Identifier: Apache-2.0
/* What is read from a request is what OpenSSL reads from it; and what is not
 * one request, strictly, is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "ca/der.h"
#include "ca/ocsp_request.h"

#include <openssl/ocsp.h>

static const uint8_t sha1_with_null[] = {
    0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00};
static const uint8_t sha1_bare[] = {
    0x30, 0x07, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a};
static const uint8_t sha1_with_text[] = {0x30, 0x0b, 0x06, 0x05, 0x2b, 0x0e,
    0x03, 0x02, 0x1a, 0x0c, 0x02, 'h', 'i'};
static const uint8_t sha256[] = {0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
    0x65, 0x03, 0x04, 0x02, 0x01};
static const uint8_t md5[] = {0x30, 0x0c, 0x06, 0x08, 0x2a, 0x86, 0x48, 0x86,
    0xf7, 0x0d, 0x02, 0x05, 0x05, 0x00};
static const uint8_t hash[64] = {7};
static const uint8_t oid_nonce[] = {
    0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02};
static const uint8_t oid_other[] = {
    0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x04};

/* A request piece by piece; what is zero or NULL is left out. */
struct shape {
	struct bytes algorithm;
	size_t name_len, key_len;
	struct bytes serial;		/* content of the INTEGER */
	size_t count;
	struct bytes item_extension;	/* one Extension */
	struct bytes version;		/* inside [0] */
	bool requestor_name, signature;
	struct bytes extensions[3];	/* each one Extension */
};

static struct shape sound(void)
{
	static const uint8_t serial[] = {0x01, 0x02, 0x03};

	return (struct shape){.algorithm = BYTES_OF(sha1_with_null),
	    .name_len = 20, .key_len = 20, .serial = BYTES_OF(serial),
	    .count = 1};
}

static void put_item(const struct shape *shape, struct buf *out)
{
	OWNED_BUF(id);
	OWNED_BUF(item);
	OWNED_BUF(list);

	buf_put_bytes(&id, shape->algorithm);
	der_put(&id, DER_OCTET_STRING, BYTES(hash, shape->name_len));
	der_put(&id, DER_OCTET_STRING, BYTES(hash, shape->key_len));
	der_put(&id, DER_INTEGER, shape->serial);
	der_put(&item, DER_SEQUENCE, buf_bytes(&id));
	if (shape->item_extension.len > 0) {
		der_put(&list, DER_SEQUENCE, shape->item_extension);
		der_put(&item, DER_CONTEXT(0), buf_bytes(&list));
	}
	der_put(out, DER_SEQUENCE, buf_bytes(&item));
}

static void put_extensions(const struct shape *shape, struct buf *out)
{
	OWNED_BUF(all);
	OWNED_BUF(list);

	for (size_t i = 0; i < ARRAY_LEN(shape->extensions); i++)
		buf_put_bytes(&all, shape->extensions[i]);
	if (all.len == 0)
		return;
	der_put(&list, DER_SEQUENCE, buf_bytes(&all));
	der_put(out, DER_CONTEXT(2), buf_bytes(&list));
}

static void put_shape(const struct shape *shape, struct buf *out)
{
	static const uint8_t directory_name[] = {0xa4, 0x02, 0x30, 0x00};
	OWNED_BUF(items);
	OWNED_BUF(tbs);
	OWNED_BUF(body);

	if (shape->version.len > 0)
		der_put(&tbs, DER_CONTEXT(0), shape->version);
	if (shape->requestor_name)
		der_put(&tbs, DER_CONTEXT(1), BYTES_OF(directory_name));
	for (size_t i = 0; i < shape->count; i++)
		put_item(shape, &items);
	der_put(&tbs, DER_SEQUENCE, buf_bytes(&items));
	put_extensions(shape, &tbs);
	der_put(&body, DER_SEQUENCE, buf_bytes(&tbs));
	if (shape->signature) {
		OWNED_BUF(signature);

		buf_put(&signature, sha256, sizeof(sha256));
		der_put(&signature, DER_BIT_STRING, BYTES("\0abc", 4));
		der_put_header(&body, DER_CONTEXT(0),
		    der_header_size(signature.len) + signature.len);
		der_put(&body, DER_SEQUENCE, buf_bytes(&signature));
	}
	der_put(out, DER_SEQUENCE, buf_bytes(&body));
}

/* One Extension; CRITICAL is the BOOLEAN's content or empty. */
static struct buf extension(
    struct bytes oid, struct bytes critical, struct bytes value)
{
	struct buf out = BUF_INIT;
	OWNED_BUF(body);

	buf_put_bytes(&body, oid);
	if (critical.len > 0)
		der_put(&body, DER_BOOLEAN, critical);
	der_put(&body, DER_OCTET_STRING, value);
	der_put(&out, DER_SEQUENCE, buf_bytes(&body));
	return out;
}

static bool reads(const struct shape *shape, struct ocsp_request *request)
{
	OWNED_BUF(der);

	put_shape(shape, &der);
	return ocsp_request_read(buf_bytes(&der), request);
}

static bool accepts(const struct shape *shape)
{
	struct ocsp_request request;

	return reads(shape, &request);
}

static void a_request_is_read_as_openssl_reads_it(void **state)
{
	static const struct {
		const uint8_t *algorithm;
		size_t len, hash_len;
		enum ocsp_hash hash;
	} cases[] = {
	    {sha1_with_null, sizeof(sha1_with_null), 20, OCSP_HASH_SHA1},
	    {sha1_bare, sizeof(sha1_bare), 20, OCSP_HASH_SHA1},
	    {sha256, sizeof(sha256), 32, OCSP_HASH_SHA256},
	    {md5, sizeof(md5), 16, OCSP_HASH_OTHER},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct shape shape = sound();
		struct ocsp_request request;
		OWNED_BUF(der);
		const uint8_t *next;
		OCSP_REQUEST *theirs;

		shape.algorithm = BYTES(cases[i].algorithm, cases[i].len);
		shape.name_len = shape.key_len = cases[i].hash_len;
		shape.count = OCSP_ITEMS_MAX;
		put_shape(&shape, &der);
		next = der.data;
		theirs = d2i_OCSP_REQUEST(NULL, &next, (long)der.len);
		assert_non_null(theirs);
		assert_int_equal(
		    OCSP_request_onereq_count(theirs), OCSP_ITEMS_MAX);
		OCSP_REQUEST_free(theirs);
		assert_true(ocsp_request_read(buf_bytes(&der), &request));
		assert_int_equal(request.count, OCSP_ITEMS_MAX);
		assert_int_equal(request.nonce.len, 0);
		assert_int_equal(request.items[15].hash, cases[i].hash);
		assert_int_equal(request.items[15].serial.len, 3);
		assert_memory_equal(
		    request.items[15].serial.octets, "\1\2\3", 3);
		assert_int_equal(request.items[15].issuer_name_hash.len,
		    cases[i].hash_len);
	}
}

static void version_name_and_signature_may_be_there(void **state)
{
	struct shape shape = sound();

	(void)state;
	shape.requestor_name = true;
	assert_true(accepts(&shape));
	shape.signature = true;
	assert_true(accepts(&shape));
	shape.version = BYTES("\x02\x01\x00", 3);
	assert_true(accepts(&shape));
	shape.version = BYTES("\x02\x01\x01", 3);
	assert_false(accepts(&shape));
}

static void there_are_one_to_sixteen_items(void **state)
{
	struct shape shape = sound();

	(void)state;
	shape.count = 0;
	assert_false(accepts(&shape));
	shape.count = OCSP_ITEMS_MAX;
	assert_true(accepts(&shape));
	shape.count = OCSP_ITEMS_MAX + 1;
	assert_false(accepts(&shape));
}

static void a_nonce_has_one_to_thirty_two_octets(void **state)
{
	static const uint8_t nonce[40] = {9, 8, 7};

	(void)state;
	for (size_t len = 0; len <= 34; len++) {
		struct shape shape = sound();
		struct ocsp_request request;
		OWNED_BUF(der);
		OWNED_BUF(value);
		struct buf one;

		der_put(&value, DER_OCTET_STRING, BYTES(nonce, len));
		one = extension(BYTES_OF(oid_nonce), BYTES(NULL, 0),
		    buf_bytes(&value));
		shape.extensions[0] = buf_bytes(&one);
		put_shape(&shape, &der);
		assert_int_equal(ocsp_request_read(buf_bytes(&der), &request),
		    len >= 1 && len <= 32);
		if (len >= 1 && len <= 32) {
			assert_int_equal(request.nonce.len, len);
			assert_memory_equal(request.nonce.data, nonce, len);
		}
		buf_free(&one);
	}
}

static void a_nonce_that_is_no_octet_string_is_refused(void **state)
{
	static const struct {
		const char *value;
		size_t len;
	} values[] = {{"", 0}, {"\1\2\3\4", 4}, {"\x04\x02\1\2\3", 5},
	    {"\x04\x03\1\2", 4}, {"\x05\x00", 2}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct shape shape = sound();
		struct buf one = extension(BYTES_OF(oid_nonce), BYTES(NULL, 0),
		    BYTES(values[i].value, values[i].len));

		shape.extensions[0] = buf_bytes(&one);
		assert_false(accepts(&shape));
		buf_free(&one);
	}
}

static void two_nonces_are_refused(void **state)
{
	struct buf one = extension(
	    BYTES_OF(oid_nonce), BYTES(NULL, 0), BYTES("\x04\x01\1", 3));
	struct shape shape = sound();

	(void)state;
	shape.extensions[0] = buf_bytes(&one);
	assert_true(accepts(&shape));
	shape.extensions[1] = buf_bytes(&one);
	assert_false(accepts(&shape));
	buf_free(&one);
}

/* RFC 6960 4.4. */
static void unknown_extensions_are_ignored_unless_critical(void **state)
{
	struct bytes value = BYTES("\x05\x00", 2);
	struct buf plain =
	    extension(BYTES_OF(oid_other), BYTES(NULL, 0), value);
	struct buf no = extension(BYTES_OF(oid_other), BYTES("\0", 1), value);
	struct buf yes = extension(BYTES_OF(oid_other), BYTES("\xff", 1), value);
	struct buf odd =
	    extension(BYTES_OF(oid_other), BYTES("\xff\xff", 2), value);
	struct shape shape = sound();

	(void)state;
	shape.extensions[0] = buf_bytes(&plain);
	shape.extensions[1] = buf_bytes(&no);
	shape.item_extension = buf_bytes(&plain);
	assert_true(accepts(&shape));
	shape.extensions[2] = buf_bytes(&yes);
	assert_false(accepts(&shape));
	shape.extensions[2] = buf_bytes(&odd);
	assert_false(accepts(&shape));
	shape.extensions[2] = BYTES(NULL, 0);
	shape.item_extension = buf_bytes(&yes);
	assert_false(accepts(&shape));
	buf_free(&plain);
	buf_free(&no);
	buf_free(&yes);
	buf_free(&odd);
}

static void serials_are_positive_minimal_and_at_most_twenty_octets(
    void **state)
{
	static const uint8_t longest[22] = {0x7f};
	static const struct {
		const char *octets;
		size_t len;
		bool accepted;
	} cases[] = {
	    {"\x00", 1, true},	/* zero: nobody has it */
	    {"\x7f", 1, true}, {"\x00\x80", 2, true},
	    {"", 0, false}, {"\x80", 1, false}, {"\xff\x01", 2, false},
	    {"\x00\x7f", 2, false}, {"\x00\x00\x80", 3, false},
	};
	struct shape shape = sound();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		shape.serial = BYTES(cases[i].octets, cases[i].len);
		assert_int_equal(accepts(&shape), cases[i].accepted);
	}
	shape.serial = BYTES(longest, 20);
	assert_true(accepts(&shape));
	shape.serial = BYTES(longest, 21);
	assert_false(accepts(&shape));
}

static void hashes_have_the_length_of_their_algorithm(void **state)
{
	struct shape shape = sound();

	(void)state;
	shape.name_len = 19;
	assert_false(accepts(&shape));
	shape.name_len = 20;
	shape.key_len = 21;
	assert_false(accepts(&shape));
	shape.key_len = 20;
	shape.algorithm = BYTES_OF(sha256);
	assert_false(accepts(&shape));
}

/* They would come back under our signature. */
static void a_hash_algorithm_carries_no_strange_parameters(void **state)
{
	struct shape shape = sound();

	(void)state;
	shape.algorithm = BYTES_OF(sha1_with_text);
	assert_false(accepts(&shape));
}

static void every_shortened_request_is_refused(void **state)
{
	struct buf nonce = extension(
	    BYTES_OF(oid_nonce), BYTES("\xff", 1), BYTES("\x04\x01\1", 3));
	struct ocsp_request request;
	struct shape shape = sound();
	OWNED_BUF(der);

	(void)state;
	shape.count = 2;
	shape.signature = true;
	shape.extensions[0] = buf_bytes(&nonce);
	put_shape(&shape, &der);
	assert_true(ocsp_request_read(buf_bytes(&der), &request));
	for (size_t len = 0; len < der.len; len++) {
		/* On the heap, so that a read past the end is seen. */
		uint8_t *cut = mem_zalloc(len + 1);
		uint8_t *exact = mem_resize(cut, len == 0 ? 1 : len, 1);

		memcpy(exact, der.data, len);
		assert_false(ocsp_request_read(BYTES(exact, len), &request));
		free(exact);
	}
	buf_put_u8(&der, 0);
	assert_false(ocsp_request_read(buf_bytes(&der), &request));
	buf_free(&nonce);
}

/* Whatever is accepted with an octet changed, OpenSSL accepts too, and it counts
 * the same items. */
static void nothing_is_accepted_that_openssl_refuses(void **state)
{
	struct buf nonce = extension(
	    BYTES_OF(oid_nonce), BYTES(NULL, 0), BYTES("\x04\x01\1", 3));
	struct shape shape = sound();
	OWNED_BUF(der);

	(void)state;
	shape.count = 2;
	shape.extensions[0] = buf_bytes(&nonce);
	put_shape(&shape, &der);
	for (size_t at = 0; at < der.len * 256; at++) {
		uint8_t *octet = &der.data[at / 256], kept = *octet;
		struct ocsp_request request;
		const uint8_t *next = der.data;
		OCSP_REQUEST *theirs;

		*octet = (uint8_t)(at % 256);
		if (ocsp_request_read(buf_bytes(&der), &request)) {
			theirs =
			    d2i_OCSP_REQUEST(NULL, &next, (long)der.len);
			assert_non_null(theirs);
			assert_int_equal(OCSP_request_onereq_count(theirs),
			    request.count);
			OCSP_REQUEST_free(theirs);
		}
		*octet = kept;
	}
	buf_free(&nonce);
}

static void an_overlong_request_is_refused(void **state)
{
	static uint8_t padding[OCSP_REQUEST_MAX];
	struct ocsp_request request;
	struct shape shape = sound();
	OWNED_BUF(exact);
	struct buf filler;
	size_t without;

	(void)state;
	/* A non-critical extension that brings it to the limit. */
	filler = extension(BYTES_OF(oid_other), BYTES(NULL, 0),
	    BYTES(padding, 3900));
	shape.extensions[0] = buf_bytes(&filler);
	put_shape(&shape, &exact);
	without = exact.len - 3900;
	buf_free(&filler);
	for (size_t extra = 0; extra < 2; extra++) {
		OWNED_BUF(der);

		filler = extension(BYTES_OF(oid_other), BYTES(NULL, 0),
		    BYTES(padding, OCSP_REQUEST_MAX - without + extra));
		shape.extensions[0] = buf_bytes(&filler);
		put_shape(&shape, &der);
		assert_int_equal(der.len, OCSP_REQUEST_MAX + extra);
		assert_int_equal(
		    ocsp_request_read(buf_bytes(&der), &request), extra == 0);
		buf_free(&filler);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request_is_read_as_openssl_reads_it),
	    cmocka_unit_test(version_name_and_signature_may_be_there),
	    cmocka_unit_test(there_are_one_to_sixteen_items),
	    cmocka_unit_test(a_nonce_has_one_to_thirty_two_octets),
	    cmocka_unit_test(a_nonce_that_is_no_octet_string_is_refused),
	    cmocka_unit_test(two_nonces_are_refused),
	    cmocka_unit_test(unknown_extensions_are_ignored_unless_critical),
	    cmocka_unit_test(
		serials_are_positive_minimal_and_at_most_twenty_octets),
	    cmocka_unit_test(hashes_have_the_length_of_their_algorithm),
	    cmocka_unit_test(a_hash_algorithm_carries_no_strange_parameters),
	    cmocka_unit_test(every_shortened_request_is_refused),
	    cmocka_unit_test(nothing_is_accepted_that_openssl_refuses),
	    cmocka_unit_test(an_overlong_request_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
