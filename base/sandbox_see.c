// SPDX-License-Identifier: Apache-2.0
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/log.h"
#include "base/own.h"

/* Of the kernel's interface what its headers of before Linux 6.12 lack. */
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define NET_BIND_TCP (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)
#define RULE_NET_PORT 2

struct ruleset {
	uint64_t fs, net, scoped;
};
struct port_rule {
	uint64_t access, port;
};

/* What the kernel of this ABI version can forbid, and how long the attribute is
 * that it knows. */
static size_t forbid_all(long abi, struct ruleset *ruleset)
{
	ruleset->fs = FS_REFER - 1;	/* version 1 */
	if (abi >= 2)
		ruleset->fs |= FS_REFER;
	if (abi >= 3)
		ruleset->fs |= FS_TRUNCATE;
	if (abi >= 4)
		ruleset->net = NET_BIND_TCP | NET_CONNECT_TCP;
	if (abi >= 5)
		ruleset->fs |= FS_IOCTL_DEV;
	if (abi >= 6)
		ruleset->scoped = SCOPE_SIGNAL;
	if (abi < 4)
		return sizeof(ruleset->fs);
	return abi < 6 ? 2 * sizeof(ruleset->fs) : sizeof(*ruleset);
}

static enum err_code fail(const char *what, struct err *err)
{
	return err_fail(err, ERR_IO, "Landlock: %s: %m", what);
}

static enum err_code show(int ruleset, const char *path, struct err *err)
{
	OWNED_FD(fd) = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = {
	    .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE, .parent_fd = fd};
	struct stat st;

	if (fd < 0)
		return ERR_OK;
	if (fstat(fd, &st) != 0)
		return fail(path, err);
	if (S_ISDIR(st.st_mode))
		rule.allowed_access |= LANDLOCK_ACCESS_FS_READ_DIR;
	return syscall(SYS_landlock_add_rule, ruleset,
		   LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0
	    ? ERR_OK : fail(path, err);
}

static enum err_code reach(int ruleset, uint16_t port, struct err *err)
{
	const struct port_rule rule = {NET_CONNECT_TCP, port};

	return syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule,
		   0) == 0
	    ? ERR_OK : fail("a port", err);
}

static enum err_code add_rules(int ruleset, const struct sandbox_view *view,
    bool has_net, struct err *err)
{
	enum err_code code = ERR_OK;

	for (const char *const *path = view->paths;
	     code == ERR_OK && *path != NULL; path++)
		code = show(ruleset, *path, err);
	for (const uint16_t *port = view->tcp_ports;
	     code == ERR_OK && has_net && *port != 0; port++)
		code = reach(ruleset, *port, err);
	return code;
}

enum err_code sandbox_see(const struct sandbox_view *view, struct err *err)
{
	struct ruleset wanted = {0};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0UL,
	    (unsigned long)LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 1) {
		LOG(INFO, "the kernel has no Landlock: files are not hidden");
		return ERR_OK;
	}
	size_t len = forbid_all(abi, &wanted);
	OWNED_FD(ruleset) = (int)syscall(
	    SYS_landlock_create_ruleset, &wanted, len, 0UL);
	if (ruleset < 0)
		return fail("make a rule set", err);
	enum err_code code = add_rules(ruleset, view, wanted.net != 0, err);
	if (code != ERR_OK)
		return code;
	return syscall(SYS_landlock_restrict_self, ruleset, 0UL) == 0
	    ? ERR_OK : fail("enter it", err);
}
