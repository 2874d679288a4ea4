// SPDX-License-Identifier: Apache-2.0
/*
 * A worker without a token, to test the pool with.  It speaks hsm/wire.h and
 * behaves as the first field of a request says ("die", "hang", …; what is no
 * such word is answered properly).  In FAKE_DIR it keeps:
 *   starts   one octet for each start
 *   log      one line for each request: op and first field
 *   hello    words, one for each start, the last for all later ones; absent: ok
 *   gate     a FIFO; "gate" answers once something opened it for writing
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "hsm/frame.h"
#include "hsm/hsm.h"

#define SAFE_SIGNER                                                            \
	(HSM_ATTR_TOKEN | HSM_ATTR_PRIVATE | HSM_ATTR_SENSITIVE |              \
	    HSM_ATTR_ALWAYS_SENSITIVE | HSM_ATTR_NEVER_EXTRACTABLE |           \
	    HSM_ATTR_LOCAL | HSM_ATTR_SIGN)

static struct buf out;
static int program_argc;
static char **program_argv;

static char *in_dir(const char *name)
{
	const char *dir = getenv("FAKE_DIR");

	return fs_join(dir != NULL ? dir : "/nonexistent", name);
}

static size_t append(const char *name, const char *text)
{
	OWNED_STR(path) = in_dir(name);
	OWNED_FD(fd) = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
	struct stat stat;

	if (fd < 0 || write(fd, text, strlen(text)) < 0 ||
	    fstat(fd, &stat) != 0)
		_exit(99);
	return (size_t)stat.st_size;
}

static void flush(void)
{
	if (!frame_send(WIRE_FD, &out))
		_exit(0);
}

static void reply_text(uint32_t id, unsigned status, const char *text)
{
	size_t mark = frame_begin(&out, id, (uint8_t)status, 0);

	buf_put_lv_str(&out, text);
	if (!frame_end(&out, mark))
		abort();
}

/* The word of this start. */
static const char *hello_word(size_t start)
{
	static char words[1024];
	OWNED_STR(path) = in_dir("hello");
	OWNED_FD(fd) = open(path, O_RDONLY);
	ssize_t got = fd < 0 ? 0 : read(fd, words, sizeof(words) - 1);
	char *word, *next = words, *last = NULL;

	if (got <= 0)
		return "ok";
	words[got] = '\0';
	while (start-- > 0 && (word = strsep(&next, " \n")) != NULL) {
		if (word[0] != '\0')
			last = word;
	}
	return last != NULL ? last : "ok";
}

static void hello(void)
{
	const char *word = hello_word(append("starts", "."));
	size_t mark;

	if (strcmp(word, "silent") == 0)
		pause();
	if (strcmp(word, "crash") == 0)
		raise(SIGKILL);
	if (strcmp(word, "nonsense") == 0) {
		buf_put_str(&out, "HTTP/1.1 200 OK\r\n\r\n");
	} else if (strcmp(word, "config") == 0) {
		reply_text(0, WIRE_CONFIG, "No module there; correct its path");
	} else if (strcmp(word, "pin") == 0) {
		reply_text(0, WIRE_PIN, "PIN refused; correct the PIN file");
	} else if (strcmp(word, "device") == 0) {
		reply_text(0, WIRE_DEVICE_GONE, "no token in the slot");
	} else if (strcmp(word, "mute-config") == 0) {
		reply_text(0, WIRE_CONFIG, "");
	} else {
		mark = frame_begin(&out, 0, WIRE_OK, 0);
		if (!frame_end(&out, mark))
			abort();
		flush();
		return;
	}
	flush();
	_exit(1);
}

static void list_descriptors(struct buf *report)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.' && strtol(entry->d_name, NULL, 10) != dirfd(dir))
			buf_printf(report, "fd %s\n", entry->d_name);
	}
	closedir(dir);
}

/* What the worker was given. */
static void put_report(struct buf *report)
{
	sigset_t blocked;

	for (int i = 0; i < program_argc; i++)
		buf_printf(report, "arg %s\n", program_argv[i]);
	for (char **entry = environ; *entry != NULL; entry++)
		buf_printf(report, "env %s\n", *entry);
	list_descriptors(report);
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	for (int number = 1; number < 32; number++) {
		if (sigismember(&blocked, number))
			buf_printf(report, "blocked %d\n", number);
	}
	buf_printf(report, "group %s\n", getpgrp() == getpid() ? "own" : "old");
}

static void put_object(const char *uri, const char *kind, uint32_t attributes)
{
	buf_put_lv_str(&out, uri);
	buf_put_lv_str(&out, "the label");
	buf_put_lv_str(&out, kind);
	buf_put_lv_str(&out, "ec-p256");
	buf_put_lv(&out, BYTES("\x01\x02\x03", 3));
	buf_put_u32(&out, attributes);
	buf_put_u32(&out, 0);
}

static void put_repeated(uint8_t octet, size_t count)
{
	buf_put_u32(&out, (uint32_t)count);
	memset(buf_extend(&out, count), octet, count);
}

/* Sealed is IV, plaintext and tag, so that it opens by cutting. */
static void put_sealed(struct bytes plaintext)
{
	buf_put_u32(&out, (uint32_t)plaintext.len + 28);
	memset(buf_extend(&out, 12), 'i', 12);
	buf_put_bytes(&out, plaintext);
	memset(buf_extend(&out, 16), 't', 16);
}

static void put_data_key(struct reader *fields)
{
	uint8_t key[1024];
	uint16_t len;

	(void)reader_lv(fields);
	(void)reader_lv(fields);
	len = reader_u16(fields);
	memset(key, 'k', sizeof(key));
	put_sealed(BYTES(key, len));
	buf_put_lv(&out, BYTES(key, reader_u8(fields) ? len : 0));
}

static struct bytes third_more(struct reader *fields)
{
	(void)reader_lv(fields);
	(void)reader_lv(fields);
	return reader_lv(fields);
}

static void put_signature(struct bytes first, struct reader *fields)
{
	OWNED_BUF(report);
	struct bytes data;

	(void)reader_u8(fields);
	data = reader_lv(fields);
	if (bytes_equal(first, BYTES_STR("report"))) {
		put_report(&report);
		buf_put_lv(&out, buf_bytes(&report));
	} else if (bytes_equal(first, BYTES_STR("pid"))) {
		buf_printf(&report, "%d", (int)getpid());
		buf_put_lv(&out, buf_bytes(&report));
	} else {
		buf_put_lv(&out, data);
	}
}

static void put_answer(enum wire_op op, struct bytes first, struct reader fields)
{
	struct bytes sealed;

	switch (op) {
	case WIRE_PING:
		break;
	case WIRE_LIST:
		buf_put_u32(&out, 2);
		put_object("pkcs11:object=a", "private", SAFE_SIGNER);
		put_object("pkcs11:object=b", "public", HSM_ATTR_VERIFY);
		break;
	case WIRE_GENERATE_PAIR:
		buf_put_lv_str(&out, "pkcs11:object=new");
		put_repeated('S', 91);
		break;
	case WIRE_GENERATE_SECRET:
		buf_put_lv_str(&out, "pkcs11:object=secret");
		break;
	case WIRE_SIGN:
		put_signature(first, &fields);
		break;
	case WIRE_HMAC:
		put_repeated('m',
		    bytes_equal(first, BYTES_STR("short")) ? 31 : 32);
		break;
	case WIRE_KEK_NEW:
		put_repeated('b', 40);
		break;
	case WIRE_SEAL:
		put_sealed(third_more(&fields));
		break;
	case WIRE_OPEN_SEALED:
		sealed = third_more(&fields);
		buf_put_lv(&out, BYTES(sealed.data + 12, sealed.len - 28));
		break;
	case WIRE_DATA_KEY:
		put_data_key(&fields);
		break;
	case WIRE_RANDOM:
		put_repeated('r', reader_u16(&fields));
		break;
	case WIRE_CHECK_KEY:
		put_object("pkcs11:object=a", "private",
		    SAFE_SIGNER |
			(bytes_equal(first, BYTES_STR("extractable"))
				? HSM_ATTR_EXTRACTABLE
				: 0));
		break;
	}
}

static void answer(const struct frame *frame, struct bytes first,
    struct reader fields, uint32_t id)
{
	size_t mark = frame_begin(&out, id, WIRE_OK, 0);

	put_answer((enum wire_op)frame->code, first, fields);
	if (!frame_end(&out, mark))
		abort();
}

static void wait_for_gate(void)
{
	OWNED_STR(path) = in_dir("gate");
	OWNED_FD(fd) = -1;

	do
		fd = open(path, O_RDONLY);
	while (fd < 0 && errno == EINTR);
}

/* The first to come here of all the starts. */
static bool is_first(void)
{
	OWNED_STR(path) = in_dir("once");
	OWNED_FD(fd) = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	return fd >= 0;
}

static void garble(const char *word, uint32_t id)
{
	static const uint8_t long_frame[] = {0x7f, 0xff, 0xff, 0xff, 0, 0};
	static const uint8_t short_frame[] = {0, 0, 0, 1, 0, 0};

	if (strcmp(word, "too-long") == 0)
		buf_put(&out, long_frame, sizeof(long_frame));
	else if (strcmp(word, "too-short") == 0)
		buf_put(&out, short_frame, sizeof(short_frame));
	else if (strcmp(word, "bad-status") == 0)
		reply_text(id, 200, "");
	else if (strcmp(word, "wrong-id") == 0)
		reply_text(id + 1, WIRE_REFUSED, "");
	else if (strcmp(word, "unasked") == 0) {
		reply_text(id, WIRE_REFUSED, "");
		reply_text(id + 1, WIRE_REFUSED, "");
	} else if (strcmp(word, "bad-fields") == 0) {
		size_t mark = frame_begin(&out, id, WIRE_OK, 0);
		buf_put_u32(&out, 1000);
		(void)!frame_end(&out, mark);
	} else if (strcmp(word, "truncated") == 0) {
		reply_text(id, WIRE_REFUSED, "a text that is cut");
		out.len -= 5;
		flush();
		_exit(0);
	}
	flush();
}

static bool is_garbled(const char *word)
{
	static const char *const words[] = {"too-long", "too-short",
	    "bad-status", "wrong-id", "unasked", "bad-fields", "truncated"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(word, words[i]) == 0)
			return true;
	}
	return false;
}

static void act(const char *word)
{
	if (strcmp(word, "die") == 0)
		_exit(0);
	if (strcmp(word, "die-once") == 0 && is_first()) {
		flush();
		_exit(0);
	}
	if (strcmp(word, "hang") == 0)
		for (;;)
			pause();
	if (strcmp(word, "gate") == 0)
		wait_for_gate();
}

static void serve(const struct frame *frame)
{
	struct reader fields = frame->fields;
	struct bytes first = {NULL, 0};
	char word[64], line[100];
	unsigned status;

	if (frame->code != WIRE_PING && frame->code != WIRE_LIST &&
	    frame->code != WIRE_RANDOM)
		first = reader_lv(&fields);
	snprintf(word, sizeof(word), "%.*s", (int)first.len,
	    first.len > 0 ? (const char *)first.data : "");
	if (getenv("FAKE_QUIET") == NULL) {
		snprintf(line, sizeof(line), "%u %s\n", frame->code, word);
		append("log", line);
	}
	act(word);
	if (is_garbled(word)) {
		garble(word, frame->id);
	} else if (sscanf(word, "status=%u", &status) == 1) {
		reply_text(frame->id, status, "the reason");
		flush();
		if (status == WIRE_DEVICE_GONE || status == WIRE_PIN)
			_exit(0);
	} else {
		answer(frame, first, fields, frame->id);
	}
}

static int init_token(void)
{
	const char *word = hello_word(append("starts", "."));
	unsigned status;

	if (strcmp(word, "report") == 0) {
		OWNED_BUF(report);

		put_report(&report);
		append("report", (const char *)report.data);
		return 0;
	}
	if (strcmp(word, "crash") == 0)
		raise(SIGKILL);
	if (sscanf(word, "status=%u", &status) != 1)
		return 0;
	fputs("driver: chatter\nthe reason\n", stderr);
	return (int)status;
}

int main(int argc, char **argv)
{
	struct frame_inbox inbox = {BUF_INIT, 0};
	struct frame frame;
	enum frame_state state;

	program_argc = argc;
	program_argv = argv;
	/* After how it is fenced in, as on every command line. */
	if (argc > 2 && strcmp(argv[2], "--init-token") == 0)
		return init_token();
	hello();
	while (frame_fill(&inbox, WIRE_FD) == FRAME_IO_OK) {
		while ((state = frame_take(&inbox, &frame)) == FRAME_WHOLE)
			serve(&frame);
		if (state == FRAME_BAD)
			_exit(1);
		flush();
	}
	_exit(0);
}
