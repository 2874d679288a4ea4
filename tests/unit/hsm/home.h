// SPDX-License-Identifier: Apache-2.0
/* A throwaway SoftHSM in its own directory, with PIN files and the shim's
 * rules, and real workers on it.  Failures fail the running test. */
#ifndef TEST_HSM_HOME_H
#define TEST_HSM_HOME_H

#include <sys/types.h>
#include "base/buf.h"
#include "hsm/frame.h"

#define HOME_PIN "correct-pin-4711"
#define HOME_SO_PIN "so-pin-of-the-test"

struct home {
	char dir[64];
	char *module; /* SoftHSM */
	char *shim; /* in front of it */
	char *pin_file;
	char *so_pin_file;
	char *rules;
	char *counts;
};

/* Also sets SOFTHSM2_CONF and the shim's variables for this process and those
 * that it starts. */
void home_open(struct home *home);
void home_close(struct home *home); /* removes the directory */

void home_write(const char *path, const char *text); /* whole, mode 0600 */
/* By the worker program.  Returns its exit status. */
int home_init_token(const struct home *home, const char *label);
/* Calls of FUNCTION that the shim counted since home_uncount. */
unsigned home_count(const struct home *home, const char *function);
void home_uncount(const struct home *home);

struct peer {
	pid_t pid;
	int fd;
	struct frame_inbox inbox;
	enum wire_status started;
	char text[512]; /* of the last answer that was not OK */
};

/* Starts a worker and reads its first frame. */
void peer_start(struct peer *peer, const char *module, const char *token,
    const char *pin_file);
/* Closes the socket.  Returns the exit status, or minus the signal. */
int peer_stop(struct peer *peer);
/* Waits for its end without closing. */
int peer_wait(struct peer *peer);
/* One request with FIELDS; the reply's fields replace REPLY. */
enum wire_status peer_call(struct peer *peer, enum wire_op op,
    const struct buf *fields, struct buf *reply);
/* False when the worker has closed. */
bool peer_read(struct peer *peer, uint32_t *id_out,
    enum wire_status *status_out, struct buf *reply);

/* Makes a key; *uri_out is malloc'd. */
enum wire_status peer_make_pair(
    struct peer *peer, const char *label, uint8_t type, char **uri_out);
enum wire_status peer_make_secret(
    struct peer *peer, const char *label, uint8_t use, char **uri_out);
enum wire_status peer_sign(struct peer *peer, const char *uri,
    uint8_t mechanism, struct bytes data, struct buf *signature);

#endif
