// SPDX-License-Identifier: Apache-2.0
/*
 * Targets of HTTP requests: what is accepted is text without a second reading;
 * written with every octet percent-encoded it is taken apart into the same.
 */
#include "tests/fuzz/fuzz.h"

#include "api/target.h"
#include "base/text.h"

static void put_encoded(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++)
		buf_printf(out, "%%%02X", (unsigned char)*text);
}

static char *write_target(const struct target *target)
{
	OWNED_BUF(out);

	for (size_t i = 0; i < target->segments_count; i++) {
		buf_put_str(&out, "/");
		put_encoded(&out, target->segments[i]);
	}
	for (size_t i = 0; i < target->query_count; i++) {
		buf_put_str(&out, i == 0 ? "?" : "&");
		put_encoded(&out, target->query[i].name);
		buf_put_str(&out, "=");
		put_encoded(&out, target->query[i].value);
	}
	return buf_to_str(&out);
}

static void check_text(const char *text)
{
	must(text_is_utf8(BYTES_STR(text)));
	for (; *text != '\0'; text++)
		must((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void check_target(const struct target *target)
{
	must(target->segments_count >= 1 &&
	    target->segments_count <= TARGET_SEGMENTS_MAX);
	must(target->query_count <= TARGET_QUERY_MAX);
	for (size_t i = 0; i < target->segments_count; i++) {
		check_text(target->segments[i]);
		must(strpbrk(target->segments[i], "/\\") == NULL);
		must(strcmp(target->segments[i], "..") != 0);
	}
	for (size_t i = 0; i < target->query_count; i++) {
		check_text(target->query[i].name);
		check_text(target->query[i].value);
		/* So no name stands twice. */
		must(target_query(target, target->query[i].name) ==
		    target->query[i].value);
	}
}

static void must_equal(const struct target *a, const struct target *b)
{
	must(a->segments_count == b->segments_count);
	must(a->query_count == b->query_count);
	for (size_t i = 0; i < a->segments_count; i++)
		must(strcmp(a->segments[i], b->segments[i]) == 0);
	for (size_t i = 0; i < a->query_count; i++) {
		must(strcmp(a->query[i].name, b->query[i].name) == 0);
		must(strcmp(a->query[i].value, b->query[i].value) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWNED_STR(text) = fuzz_str(BYTES(data, size));
	OWNED_STR(written) = NULL;
	struct target target, again;
	struct err err = {0};
	enum err_code code = target_parse(text, &target, &err);

	if (code != ERR_OK) {
		must_tell(code, &err);
		return 0;
	}
	check_target(&target);
	written = write_target(&target);
	if (strlen(written) > TARGET_MAX)
		return 0;
	must(target_parse(written, &again, &err) == ERR_OK);
	must_equal(&target, &again);
	return 0;
}
