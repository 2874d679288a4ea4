// SPDX-License-Identifier: Apache-2.0
#include "policies/record.h"

#include <stdlib.h>
#include <string.h>

void record_put_texts(struct buf *out, char *const *texts, size_t count)
{
	buf_put_u16(out, (uint16_t)count);
	for (size_t i = 0; i < count; i++)
		buf_put_lv_str(out, texts[i]);
}

void record_texts_free(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

/* The number of items that follow; 0, and a failed reader, beyond MAX. */
static size_t read_count(struct reader *reader, size_t max)
{
	size_t count = reader_u16(reader);

	if (count > max)
		reader->failed = true;
	return reader->failed ? 0 : count;
}

char **record_read_texts(struct reader *reader, size_t max, size_t *count_out)
{
	size_t count = read_count(reader, max);
	char **texts;

	*count_out = 0;
	if (count == 0)
		return NULL;
	texts = mem_zalloc_array(count, sizeof(*texts));
	for (size_t i = 0; i < count; i++)
		texts[i] = reader_lv_str(reader);
	if (reader->failed) {
		record_texts_free(texts, count);
		return NULL;
	}
	*count_out = count;
	return texts;
}

void record_put_ranges(struct buf *out, const struct cidr *ranges, size_t count)
{
	buf_put_u16(out, (uint16_t)count);
	for (size_t i = 0; i < count; i++) {
		buf_put_u8(out, ranges[i].base.len);
		buf_put(out, ranges[i].base.octets, ranges[i].base.len);
		buf_put_u8(out, ranges[i].prefix);
	}
}

/* Text and back: the one judge of what is a range. */
static bool is_range(const struct cidr *range)
{
	char text[IP_TEXT_SIZE];
	struct cidr again;

	return cidr_parse(cidr_format(range, text), &again, NULL) &&
	    ip_equal(&again.base, &range->base) && again.prefix == range->prefix;
}

static void read_range(struct reader *reader, struct cidr *range)
{
	range->base.len = reader_u8(reader);
	if (range->base.len != 4 && range->base.len != 16) {
		range->base.len = 0;
		reader->failed = true;
		return;
	}
	reader_copy(reader, range->base.octets, range->base.len);
	range->prefix = reader_u8(reader);
	if (!is_range(range))
		reader->failed = true;
}

struct cidr *record_read_ranges(
    struct reader *reader, size_t max, size_t *count_out)
{
	size_t count = read_count(reader, max);
	struct cidr *ranges;

	*count_out = 0;
	if (count == 0)
		return NULL;
	ranges = mem_zalloc_array(count, sizeof(*ranges));
	for (size_t i = 0; i < count && !reader->failed; i++)
		read_range(reader, &ranges[i]);
	if (reader->failed) {
		free(ranges);
		return NULL;
	}
	*count_out = count;
	return ranges;
}

enum err_code record_parse_ranges(const char *const *texts, size_t count,
    struct cidr *ranges, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		const char *why = "";

		if (!cidr_parse(texts[i], &ranges[i], &why))
			return err_refuse(err, ERR_BAD_FIELD,
			    "IP range \"%s\": %s; wanted is one such as "
			    "10.1.0.0/16 or 10.1.2.3",
			    err_quote_str(texts[i]), why);
	}
	return ERR_OK;
}
