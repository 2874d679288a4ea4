// SPDX-License-Identifier: Apache-2.0
/*
 * The protocol between the pool and a worker, over one socketpair (stream).
 * Integers big-endian; "lv" is a 32-bit length and that many octets.
 *
 * Request:  u32 length of what follows | u32 id | u8 op | fields
 * Reply:    u32 length of what follows | u32 id | u8 status | fields
 *
 * Both sides read all that waits and write all that is ready in one system call.
 * Replies of one worker come in the order of its requests.  A frame longer than
 * WIRE_FRAME_MAX, or one that does not parse, ends the connection: the two
 * programs are of one build, so it can only be a fault.
 *
 * op               fields of the request            fields of an OK reply
 * PING             -                                 -
 * LIST             -                                 u32 count, then objects
 * GENERATE_PAIR    lv label, u8 type                 lv uri, lv spki
 * GENERATE_SECRET  lv label, u8 use                  lv uri
 * SIGN             lv uri, u8 mechanism, lv data     lv signature
 * HMAC             lv uri, lv data                   lv mac
 * KEK_NEW          lv root uri                       lv blob
 * SEAL             lv root, lv blob, lv aad, lv pt   lv sealed
 * OPEN_SEALED      lv root, lv blob, lv aad, lv s.   lv plaintext
 * DATA_KEY         lv root, lv blob, lv aad, u16 n,  lv sealed, lv plaintext
 *                  u8 plaintext wanted               (empty when not wanted)
 * RANDOM           u16 n                             lv octets
 * CHECK_KEY        lv uri                            one object
 * object: lv uri, lv label, lv kind, lv key type, lv id, u32 attributes,
 *         u32 unknown
 *
 * A reply that is not OK carries lv text, for the log only.
 *
 * The first frame a worker sends, with id 0, tells how it started: OK when
 * logged in, else the status and lv text; after a status that is not OK it
 * exits.  The text of a CONFIG or PIN start is shown to the admin: it says what
 * to correct and holds nothing secret.
 *
 * Command lines.  The socket is descriptor WIRE_FD; end of file on it ends the
 * worker.  Standard error is the log's; standard output goes there too.
 *
 *   signet-hsm --module PATH --token URI --pin-file PATH
 *   signet-hsm --init-token --module PATH --label LABEL --so-pin-file PATH
 *       --pin-file PATH
 *   signet-hsm --selftest --module PATH --token URI --pin-file PATH
 *   signet-hsm --mechanisms --module PATH --token URI --pin-file PATH
 *
 * Each with --sandbox strict|network|off.
 *
 * The others need no socket: they make the token, try attacks on it
 * (hsm/selftest.h) or list what it lacks (hsm/mechanism.h), and exit with a
 * wire_status; when that is not OK, the last line on standard error is text for
 * the admin.
 */
#ifndef HSM_WIRE_H
#define HSM_WIRE_H

#define WIRE_FRAME_MAX (1024 * 1024)
#define WIRE_FD 3

enum wire_op {
	WIRE_PING = 1,
	WIRE_LIST,
	WIRE_GENERATE_PAIR,
	WIRE_GENERATE_SECRET,
	WIRE_SIGN,
	WIRE_HMAC,
	WIRE_KEK_NEW,
	WIRE_SEAL,
	WIRE_OPEN_SEALED,
	WIRE_DATA_KEY,
	WIRE_RANDOM,
	WIRE_CHECK_KEY,
};

enum wire_status {
	WIRE_OK = 0,
	WIRE_BAD_REQUEST,	/* malformed: a fault of the pool */
	WIRE_REFUSED,		/* the token said no */
	WIRE_NO_KEY,		/* no such object, or several */
	WIRE_EXISTS,		/* the label is in use */
	WIRE_UNSAFE,		/* attributes against the rule */
	WIRE_UNWRAP,		/* tag or wrapping does not fit */
	WIRE_DEVICE_GONE,	/* token or device out of reach; worker exits */
	WIRE_PIN,		/* PIN wrong or locked: never tried again */
	WIRE_CONFIG,		/* module, token or PIN file cannot be used */
};

#endif
