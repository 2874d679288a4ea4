// SPDX-License-Identifier: Apache-2.0
#include "api/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include "base/log.h"
#include "base/net.h"

#define BACKLOG 1024

/* Invariant: fds[i] is -1 once taken; kept[i] is another descriptor of a socket
 * that was handed over, else -1. */
struct sockets {
	int fds[SOCKETS_COUNT];
	int kept[SOCKETS_COUNT];
};

static const char *const names[SOCKETS_COUNT] = {
    [SOCKET_API] = "api", [SOCKET_PUBLIC] = "public", [SOCKET_OPS] = "ops"};

static enum err_code adopt_one(
    struct sockets *sockets, int fd, const char *name, struct err *err)
{
	size_t i = 0;

	while (i < SOCKETS_COUNT && strcmp(name, names[i]) != 0)
		i++;
	if (i == SOCKETS_COUNT || sockets->fds[i] >= 0)
		return err_refuse(err, ERR_CONFIG,
		    "a socket was handed over as \"%s\"; want api, public and "
		    "ops, each once (FileDescriptorName=)",
		    err_quote_str(name));
	if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
		return err_refuse(err, ERR_CONFIG,
		    "what was handed over as %s is no stream socket that "
		    "listens (ListenStream=)", name);
	sockets->fds[i] = fd;
	sockets->kept[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return sockets->kept[i] >= 0
	    ? ERR_OK
	    : err_fail(err, ERR_IO, "keep socket %s: %m", name);
}

/* Marks each close-on-exec. */
static enum err_code adopt(struct sockets *sockets, struct err *err)
{
	char **given = NULL;
	int count = sd_listen_fds_with_names(1, &given);
	enum err_code code = ERR_OK;

	if (count < 0)
		return err_fail(err, ERR_IO, "sockets handed over: %s",
		    strerror(-count));
	for (int i = 0; i < count; i++) {
		if (code == ERR_OK)
			code = adopt_one(sockets, SD_LISTEN_FDS_START + i,
			    given[i], err);
		free(given[i]);
	}
	free(given);
	return code;
}

static int bind_one(const struct sockaddr_storage *address, socklen_t len)
{
	const int yes = 1;
	OWNED_FD(fd) = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int bound;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0)
		return -1;
	if (address->ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) != 0)
		return -1;
	if (bind(fd, (const struct sockaddr *)address, len) != 0 ||
	    listen(fd, BACKLOG) != 0)
		return -1;
	bound = fd;
	fd = -1;
	return bound;
}

static enum err_code bind_rest(
    struct sockets *sockets, const struct config *config, struct err *err)
{
	const char *const wanted[SOCKETS_COUNT] = {
	    [SOCKET_API] = config->listen.api,
	    [SOCKET_PUBLIC] = config->listen.public,
	    [SOCKET_OPS] = config->listen.ops,
	};
	struct sockaddr_storage address;
	socklen_t len;

	for (size_t i = 0; i < SOCKETS_COUNT; i++) {
		if (sockets->fds[i] >= 0)
			continue;
		if (!net_endpoint_parse(wanted[i], &address, &len))
			return err_refuse(err, ERR_CONFIG,
			    "listen.%s: %s is no address and port", names[i],
			    err_quote_str(wanted[i]));
		sockets->fds[i] = bind_one(&address, len);
		if (sockets->fds[i] < 0)
			return err_fail(err, ERR_IO, "listener %s on %s: %m",
			    names[i], wanted[i]);
	}
	return ERR_OK;
}

enum err_code sockets_open(const struct config *config,
    struct sockets **sockets_out, struct err *err)
{
	OWNED(sockets) sockets = mem_zalloc(sizeof(*sockets));
	enum err_code code;

	for (size_t i = 0; i < SOCKETS_COUNT; i++)
		sockets->fds[i] = sockets->kept[i] = -1;
	if ((code = adopt(sockets, err)) != ERR_OK ||
	    (code = bind_rest(sockets, config, err)) != ERR_OK)
		return code;
	*sockets_out = GIVE(sockets);
	return ERR_OK;
}

int sockets_take(struct sockets *sockets, enum socket_name name)
{
	int fd = sockets->fds[name];

	sockets->fds[name] = -1;
	return fd;
}

void sockets_close(struct sockets *sockets)
{
	if (sockets == NULL)
		return;
	for (size_t i = 0; i < SOCKETS_COUNT; i++) {
		if (sockets->fds[i] >= 0)
			close(sockets->fds[i]);
		if (sockets->kept[i] < 0)
			continue;
		/* libmicrohttpd has shut it down for every holder. */
		if (listen(sockets->kept[i], BACKLOG) != 0)
			LOG(WARN, "a socket cannot be used again",
			    LOG_STR("listener", names[i]));
		close(sockets->kept[i]);
	}
	free(sockets);
}
