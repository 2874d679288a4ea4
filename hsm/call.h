// SPDX-License-Identifier: Apache-2.0
/* One request on its way to a worker and back.  It lives on the stack of the
 * caller, who waits until it is answered, lost or given up. */
#ifndef HSM_CALL_H
#define HSM_CALL_H

#include "base/wait.h"
#include "hsm/frame.h"

struct field {
	enum { FIELD_LV, FIELD_U8, FIELD_U16 } kind;
	unsigned num;
	struct bytes lv;
};
#define F_LV(bytes) ((struct field){FIELD_LV, 0, (bytes)})
#define F_STR(str) F_LV(BYTES_STR(str))
#define F_U8(value) ((struct field){FIELD_U8, (unsigned)(value), {NULL, 0}})
#define F_U16(value) ((struct field){FIELD_U16, (unsigned)(value), {NULL, 0}})

enum call_state {
	CALL_PENDING,
	CALL_ANSWERED,
	CALL_LOST,		/* the worker ended first */
};

/* Between link_submit and the end of waiting the link's lock protects it. */
struct call {
	enum wire_op op;
	const struct field *fields;
	size_t field_count;
	/* Fields of an OK reply go to SPACE where they fit, else to SPILL; a
	 * reply that may not spill (NULL) and does not fit is a fault. */
	uint8_t *space;
	size_t room;
	struct buf *spill;

	struct waiter waiter;
	enum call_state state;
	enum wire_status status;
	struct bytes reply;	/* within SPACE or SPILL */
	char text[160];		/* of a reply that is not OK; for the log */
	uint32_t id;
	struct link *link;
};

/* May be sent again when its worker ended: all but the making of keys. */
bool call_may_repeat(enum wire_op op);
/* Makes keys, which takes far longer than the rest. */
bool call_is_slow(enum wire_op op);

/* Appends the request.  False when it is longer than a frame may be. */
MUST_CHECK bool call_write(const struct call *call, uint32_t id, struct buf *out);

/* Copies a reply into CALL; does not change its state.  False when the reply is
 * against the protocol. */
MUST_CHECK bool call_take_reply(struct call *call, const struct frame *frame);

#endif
