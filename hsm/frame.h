// SPDX-License-Identifier: Apache-2.0
/* The frames of hsm/wire.h, written to and taken from buffers.  Frames carry
 * plaintexts: memory that held one is wiped before it is given back. */
#ifndef HSM_FRAME_H
#define HSM_FRAME_H

#include "base/buf.h"
#include "hsm/wire.h"

/*
 * A frame is written as frame_begin, buf_put_* of its fields to the same buffer,
 * frame_end.  CODE is the op of a request or the status of a reply.  Begin makes
 * room for ROOM octets of fields; a frame that outgrows it leaves unwiped copies
 * on the heap, so give enough for those with secrets.  Returns the mark for end.
 */
size_t frame_begin(struct buf *out, uint32_t id, uint8_t code, size_t room);
/* False when the frame is longer than WIRE_FRAME_MAX; it is then taken back. */
MUST_CHECK bool frame_end(struct buf *out, size_t mark);
/* Takes back everything from MARK on, wiped. */
void frame_drop(struct buf *out, size_t mark);

/* Makes room for ROOM octets more; memory left behind is wiped. */
void frame_reserve(struct buf *buf, size_t room);

/* What was received and not yet taken.  Zero-initialised is empty. */
struct frame_inbox {
	struct buf buf;
	size_t taken;
};
void frame_inbox_free(struct frame_inbox *inbox);	/* wiped */

enum frame_io {
	FRAME_IO_OK,
	FRAME_IO_WAIT,		/* nothing there on a non-blocking socket */
	FRAME_IO_END,		/* the other side closed */
	FRAME_IO_FAILED,	/* errno tells */
};
/* Wipes the frames taken so far; they are no longer valid. */
void frame_forget(struct frame_inbox *inbox);
/* frame_forget, then one read of all that waits, up to what the inbox holds. */
MUST_CHECK enum frame_io frame_fill(struct frame_inbox *inbox, int fd);

struct frame {
	uint32_t id;
	uint8_t code;
	struct reader fields;	/* borrowed from the inbox until forgotten */
};
enum frame_state {
	FRAME_WHOLE,
	FRAME_PARTIAL,		/* fill again */
	FRAME_BAD,		/* length against the protocol */
};
MUST_CHECK enum frame_state frame_take(
    struct frame_inbox *inbox, struct frame *frame_out);

/* Writes all of OUT to a blocking socket, then wipes and resets it.  False when
 * the other side is gone (no SIGPIPE). */
MUST_CHECK bool frame_send(int fd, struct buf *out);

/* Writes of OUT what the socket takes without waiting, and wipes and drops that.
 * False when the other side is gone. */
MUST_CHECK bool frame_send_now(int fd, struct buf *out);

#endif
