// SPDX-License-Identifier: Apache-2.0
/* What a program gives up once it has begun: programs to start, privileges, and
 * system calls that it has no use for.  doc/hardening.md gives the reasons. */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdint.h>
#include "base/err.h"

/*
 * Gives up every privilege for good.  Started as root with USER: becomes that
 * user, with its groups.  In every case no capability is left, neither for this
 * program nor for one that it starts, no set-user-ID program gives any back
 * (PR_SET_NO_NEW_PRIVS), and no core is made (PR_SET_DUMPABLE).  Before any thread
 * is started, for capabilities belong to threads.
 * Errors: ERR_CONFIG when USER does not exist, or when started as somebody else
 * who is not root; ERR_IO.
 */
MUST_CHECK enum err_code sandbox_drop(const char *user, struct err *err);

/* What sockets a program may make beside those of its own host (AF_UNIX). */
enum sandbox_net {
	SANDBOX_LOCAL,	/* none */
	SANDBOX_INET,	/* IPv4, IPv6, and netlink to see interfaces */
};

/*
 * From here on the kernel takes only the system calls of a program that
 * computes, reads and writes files and uses sockets: no program is executed and
 * no process made, none traced, no memory both written and executed, no core
 * allowed again, and whatever administers the system is out.  Any other call
 * gives EPERM and a line in the log with its number; in a thread that blocks
 * SIGSYS it ends the process.  Cannot be undone; covers every thread.
 * Errors: ERR_IO.
 */
MUST_CHECK enum err_code sandbox_enter(
    enum sandbox_net net, struct err *err);

/* What a program may still open and reach, where the kernel has Landlock. */
struct sandbox_view {
	const char *const *paths; /* to be read, with what is below; up to NULL */
	const uint16_t *tcp_ports; /* to connect to; up to 0 */
};

/*
 * From here on no file can be opened but to be read, and of those what VIEW names
 * only; none made, renamed or removed; TCP goes to the ports that VIEW names only
 * (Linux 6.7); no process outside can be sent a signal (Linux 6.12).  A path that
 * is not there is passed over, and one that is exchanged later is out of sight.
 * After sandbox_drop(), before sandbox_enter(), and before any thread is made.
 * Where the kernel has no Landlock nothing happens, and the log has a line.
 * Errors: ERR_IO.
 */
MUST_CHECK enum err_code sandbox_see(
    const struct sandbox_view *view, struct err *err);

#endif
