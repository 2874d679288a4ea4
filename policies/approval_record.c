// SPDX-License-Identifier: Apache-2.0
/* How approvals stand in the store: version 1. */
#include <stdlib.h>
#include <string.h>

#include "policies/record.h"

void approval_write(const struct approval *approval, struct buf *out)
{
	buf_put_u8(out, RECORD_VERSION);
	buf_put_u8(out, (uint8_t)approval->state);
	buf_put(out, approval->requester, sizeof(approval->requester));
	buf_put_lv_str(out, approval->requester_name);
	buf_put_lv_str(out, approval->action);
	buf_put_lv_str(out, approval->cluster);
	buf_put_lv_str(out, approval->method);
	buf_put_lv_str(out, approval->path);
	buf_put_lv_str(out, approval->body);
	buf_put(out, approval->digest, sizeof(approval->digest));
	buf_put_i64(out, approval->created);
	buf_put_i64(out, approval->expires);
	buf_put_i64(out, approval->ended);
	buf_put_u8(out, (uint8_t)approval->decisions_count);
	for (size_t i = 0; i < approval->decisions_count; i++) {
		const struct approval_decision *decision =
		    &approval->decisions[i];

		buf_put(out, decision->identity, sizeof(decision->identity));
		buf_put_u8(out, decision->consents);
		buf_put_i64(out, decision->time);
		buf_put_lv_str(out, decision->name);
		buf_put_lv_str(out, decision->reason);
	}
}

/* A text that is none where it is empty. */
static char *read_optional(struct reader *reader)
{
	char *text = reader_lv_str(reader);

	if (text == NULL || text[0] != '\0')
		return text;
	free(text);
	return NULL;
}

static void read_decision(
    struct reader *reader, struct approval_decision *decision)
{
	uint8_t consents;

	reader_copy(reader, decision->identity, sizeof(decision->identity));
	consents = reader_u8(reader);
	if (consents > 1)
		reader->failed = true;
	decision->consents = consents == 1;
	decision->time = reader_i64(reader);
	decision->name = reader_lv_str(reader);
	decision->reason = reader_lv_str(reader);
}

static void read_decisions(struct reader *reader, struct approval *approval)
{
	size_t count = reader_u8(reader);

	if (count > APPROVAL_DECISIONS_MAX) {
		reader->failed = true;
		return;
	}
	while (!reader->failed && approval->decisions_count < count)
		read_decision(reader,
		    &approval->decisions[approval->decisions_count++]);
}

static void read_v1(struct reader *reader, struct approval *approval)
{
	approval->state = (enum approval_state)reader_u8(reader);
	reader_copy(reader, approval->requester, sizeof(approval->requester));
	approval->requester_name = reader_lv_str(reader);
	approval->action = reader_lv_str(reader);
	approval->cluster = read_optional(reader);
	approval->method = reader_lv_str(reader);
	approval->path = reader_lv_str(reader);
	approval->body = reader_lv_str(reader);
	reader_copy(reader, approval->digest, sizeof(approval->digest));
	approval->created = reader_i64(reader);
	approval->expires = reader_i64(reader);
	approval->ended = reader_i64(reader);
	read_decisions(reader, approval);
}

static bool is_sound(const struct approval *approval)
{
	switch (approval->state) {
	case APPROVAL_OPEN:
		return approval->ended == 0;
	case APPROVAL_REJECTED:
	case APPROVAL_EXECUTED:
	case APPROVAL_EXPIRED:
		return approval->ended > 0;
	}
	return false;
}

bool approval_read(const uint8_t id[static APPROVAL_ID_SIZE],
    struct bytes record, struct approval **approval_out)
{
	OWNED(approval) approval = mem_zalloc(sizeof(*approval));
	struct reader reader = reader_over(record);

	memcpy(approval->id, id, APPROVAL_ID_SIZE);
	if (reader_u8(&reader) != RECORD_VERSION)
		return false;
	read_v1(&reader, approval);
	if (!reader_done(&reader) || !is_sound(approval))
		return false;
	*approval_out = GIVE(approval);
	return true;
}
