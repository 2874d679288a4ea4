// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/hsm/home.h"

extern char **environ;

/* SoftHSM never frees its singletons, nor what its OpenSSL objects hold. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libsofthsm2.so\n";
}

static const char *need_env(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL)
		fail_msg("%s is not set: run by make check", name);
	return value;
}

void home_write(const char *path, const char *text)
{
	OWNED_STR(temporary) = mem_printf("%s.new", path);
	int fd =
	    open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(close(fd), 0);
	assert_int_equal(rename(temporary, path), 0);
}

void home_open(struct home *home)
{
	OWNED_STR(tokens) = NULL;
	OWNED_STR(conf) = NULL;
	OWNED_STR(text) = NULL;
	OWNED_STR(worker) = mem_strdup(need_env("SIGNET_HSM_WORKER"));
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(home->dir, sizeof(home->dir), "%.40s/signet-hsm-XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(home->dir));
	tokens = mem_printf("%s/tokens", home->dir);
	assert_int_equal(mkdir(tokens, 0700), 0);
	conf = mem_printf("%s/softhsm2.conf", home->dir);
	text = mem_printf(
	    "directories.tokendir = %s\nlog.level = ERROR\n", tokens);
	home_write(conf, text);
	home->module = mem_strdup(need_env("SOFTHSM_MODULE"));
	*strrchr(worker, '/') = '\0';
	home->shim = mem_printf("%s/p11_shim.so", worker);
	home->pin_file = mem_printf("%s/pin", home->dir);
	home->so_pin_file = mem_printf("%s/so-pin", home->dir);
	home->rules = mem_printf("%s/rules", home->dir);
	home->counts = mem_printf("%s/counts", home->dir);
	home_write(home->pin_file, HOME_PIN "\n");
	home_write(home->so_pin_file, HOME_SO_PIN "\n");
	home_write(home->rules, "");
	assert_int_equal(setenv("SOFTHSM2_CONF", conf, 1), 0);
	assert_int_equal(setenv("SIGNET_SHIM_MODULE", home->module, 1), 0);
	assert_int_equal(setenv("SIGNET_SHIM_RULES", home->rules, 1), 0);
	assert_int_equal(setenv("SIGNET_SHIM_COUNTS", home->counts, 1), 0);
}

static int remove_one(
    const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

void home_close(struct home *home)
{
	(void)nftw(home->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(home->module);
	free(home->shim);
	free(home->pin_file);
	free(home->so_pin_file);
	free(home->rules);
	free(home->counts);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static pid_t spawn(const char *const *args, int fd)
{
	posix_spawn_file_actions_t actions;
	union {
		const char *const *read;
		char *const *argv; /* posix_spawn does not write to it */
	} from = {.read = args};
	pid_t pid;

	assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
	if (fd >= 0)
		assert_int_equal(
		    posix_spawn_file_actions_adddup2(&actions, fd, WIRE_FD), 0);
	assert_int_equal(posix_spawn(&pid, need_env("SIGNET_HSM_WORKER"),
			     &actions, NULL, from.argv, environ),
	    0);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

int home_init_token(const struct home *home, const char *label)
{
	const char *const args[] = {"signet-hsm", "--init-token", "--module",
	    home->module, "--label", label, "--so-pin-file", home->so_pin_file,
	    "--pin-file", home->pin_file, NULL};

	return wait_for(spawn(args, -1));
}

unsigned home_count(const struct home *home, const char *function)
{
	FILE *file = fopen(home->counts, "re");
	char line[64];
	unsigned count = 0;

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		count += strcmp(line, function) == 0;
	}
	fclose(file);
	return count;
}

void home_uncount(const struct home *home)
{
	if (truncate(home->counts, 0) != 0)
		assert_int_equal(errno, ENOENT); /* nothing counted yet */
}

void peer_start(struct peer *peer, const char *module, const char *token,
    const char *pin_file)
{
	const char *const args[] = {"signet-hsm", "--module", module, "--token",
	    token, "--pin-file", pin_file, NULL};
	OWNED_BUF(reply);
	int fds[2];
	uint32_t id = 1;

	*peer = (struct peer){.fd = -1};
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	/* dup2 onto itself would keep close-on-exec. */
	if (fds[1] == WIRE_FD) {
		fds[1] = fcntl(fds[1], F_DUPFD_CLOEXEC, 10);
		assert_true(fds[1] >= 0);
		(void)close(WIRE_FD);
	}
	peer->pid = spawn(args, fds[1]);
	peer->fd = fds[0];
	(void)close(fds[1]);
	assert_true(peer_read(peer, &id, &peer->started, &reply));
	assert_int_equal(id, 0);
}

int peer_wait(struct peer *peer)
{
	int status = wait_for(peer->pid);

	if (peer->fd >= 0)
		(void)close(peer->fd);
	peer->fd = -1;
	frame_inbox_free(&peer->inbox);
	return status;
}

int peer_stop(struct peer *peer)
{
	(void)close(peer->fd);
	peer->fd = -1;
	return peer_wait(peer);
}

bool peer_read(struct peer *peer, uint32_t *id_out,
    enum wire_status *status_out, struct buf *reply)
{
	struct frame frame;
	enum frame_state state;

	while ((state = frame_take(&peer->inbox, &frame)) != FRAME_WHOLE) {
		assert_int_equal(state, FRAME_PARTIAL);
		if (frame_fill(&peer->inbox, peer->fd) != FRAME_IO_OK)
			return false;
	}
	*id_out = frame.id;
	*status_out = (enum wire_status)frame.code;
	buf_reset(reply);
	if (frame.code == WIRE_OK) {
		buf_put_bytes(
		    reply, reader_take(&frame.fields, frame.fields.left));
		return true;
	}
	struct bytes text = reader_lv(&frame.fields);
	assert_true(reader_done(&frame.fields));
	assert_true(text.len < sizeof(peer->text));
	memcpy(peer->text, text.data, text.len);
	peer->text[text.len] = '\0';
	return true;
}

enum wire_status peer_call(struct peer *peer, enum wire_op op,
    const struct buf *fields, struct buf *reply)
{
	OWNED_BUF(out);
	uint32_t id = 0;
	enum wire_status status;
	size_t mark = frame_begin(&out, 4711, (uint8_t)op, fields->len);

	buf_put_bytes(&out, buf_bytes(fields));
	assert_true(frame_end(&out, mark));
	assert_true(frame_send(peer->fd, &out));
	assert_true(peer_read(peer, &id, &status, reply));
	assert_int_equal(id, 4711);
	return status;
}

static enum wire_status make(struct peer *peer, enum wire_op op,
    const char *label, uint8_t kind, char **uri_out)
{
	OWNED_BUF(fields);
	OWNED_BUF(reply);
	struct reader reader;
	enum wire_status status;

	buf_put_lv_str(&fields, label);
	buf_put_u8(&fields, kind);
	status = peer_call(peer, op, &fields, &reply);
	*uri_out = NULL;
	if (status != WIRE_OK)
		return status;
	reader = reader_over(buf_bytes(&reply));
	*uri_out = reader_lv_str(&reader);
	assert_non_null(*uri_out);
	return status;
}

enum wire_status peer_make_pair(
    struct peer *peer, const char *label, uint8_t type, char **uri_out)
{
	return make(peer, WIRE_GENERATE_PAIR, label, type, uri_out);
}

enum wire_status peer_make_secret(
    struct peer *peer, const char *label, uint8_t use, char **uri_out)
{
	return make(peer, WIRE_GENERATE_SECRET, label, use, uri_out);
}

enum wire_status peer_sign(struct peer *peer, const char *uri,
    uint8_t mechanism, struct bytes data, struct buf *signature)
{
	OWNED_BUF(fields);
	OWNED_BUF(reply);
	enum wire_status status;
	struct reader reader;

	buf_put_lv_str(&fields, uri);
	buf_put_u8(&fields, mechanism);
	buf_put_lv(&fields, data);
	status = peer_call(peer, WIRE_SIGN, &fields, &reply);
	if (status != WIRE_OK)
		return status;
	reader = reader_over(buf_bytes(&reply));
	buf_reset(signature);
	buf_put_bytes(signature, reader_lv(&reader));
	assert_true(reader_done(&reader));
	return status;
}
