// SPDX-License-Identifier: Apache-2.0
#include "api/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "api/teller.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "store/audit_json.h"
#include "store/checkpoint.h"

#define DEV_LOG "/dev/log"
#define FILE_BATCH 2000
#define HTTP_BATCH 200
#define PRIORITY (10 * 8 + 5)	/* LOG_AUTHPRIV, LOG_NOTICE */
/* Of a file, read back from its end until an entry and a checkpoint are found. */
#define TAIL_FIRST (UINT64_C(1) << 20)
#define TAIL_MAX (UINT64_C(1) << 28)

struct witness {
	const char *spec;
	const char *path;	/* in spec, or static */
	bool is_file, is_http;
	struct teller *teller;	/* of an endpoint; NULL: it cannot be told */
	bool asked;		/* an endpoint is open */
	bool compared;		/* what it has once was what the store has */
	bool refutes;		/* what it has never was */
	int fd;			/* of the others; -1: not open */
};

struct witness *witness_new(const char *spec)
{
	struct witness *witness = mem_zalloc(sizeof(*witness));
	const char *colon = strchr(spec, ':');
	witness->spec = spec;
	witness->is_file = text_has_prefix(spec, "file:");
	witness->is_http = text_has_prefix(spec, "http");
	witness->path = colon == NULL ? DEV_LOG : colon + 1;
	witness->fd = -1;
	return witness;
}

void witness_tell_by(struct witness *witness, struct teller *teller)
{
	witness->teller = teller;
	/* Or nobody would serve. */
	witness->compared = teller != NULL && teller_first(teller) != NULL &&
	    teller_first(teller)->knows;
}

static void shut(struct witness *witness)
{
	witness->asked = false;
	if (witness->fd >= 0)
		close(witness->fd);
	witness->fd = -1;
}

void witness_free(struct witness *witness)
{
	if (witness == NULL)
		return;
	shut(witness);
	free(witness);
}

const char *witness_name(const struct witness *witness)
{
	return witness->spec;
}

static enum err_code fail(
    const struct witness *witness, const char *what, struct err *err)
{
	return err_fail(err, ERR_IO, "audit witness %s: %s: %s",
	    witness->spec, what, strerrordesc_np(errno));
}

unsigned witness_batch(const struct witness *witness)
{
	if (witness->is_http)
		return HTTP_BATCH;
	return witness->is_file ? FILE_BATCH : 1;
}

/* ---- What a file has ---- */

struct tail {
	uint64_t entries;	/* 0: none found */
	uint8_t leaf[32];	/* of the last, */
	bool without_hashes;	/* unless it tells numbers alone */
	struct checkpoint checkpoint;	/* size 0: none found */
};

static void take_entry(json_t *json, struct tail *tail)
{
	struct audit_entry entry;
	struct err err = {0};
	uint8_t leaf[32];
	if (tail->entries != 0 ||
	    audit_from_json(json, &entry, leaf, &err) != ERR_OK)
		return;
	tail->entries = entry.sequence;
	memcpy(tail->leaf, leaf, sizeof(leaf));
}

/* A line that a crash has cut is none. */
static void take_line(struct bytes line, struct tail *tail)
{
	OWNED_JSON(json) = NULL;
	struct err err = {0};
	struct checkpoint checkpoint;
	if (json_parse(line, &json, &err) != ERR_OK)
		return;
	const char *note =
	    json_string_value(json_object_get(json, "checkpoint"));
	if (note == NULL)
		take_entry(json, tail);
	else if (tail->checkpoint.size == 0 &&
	    checkpoint_parse(bytes_str(note), &checkpoint, NULL))
		tail->checkpoint = checkpoint;
}

static bool is_complete(const struct tail *tail)
{
	return tail->entries != 0 && tail->checkpoint.size != 0;
}

/* From the last line of TEXT to the first. */
static void take_lines(struct bytes text, struct tail *tail)
{
	size_t end = text.len;
	*tail = (struct tail){0};
	while (end > 0 && !is_complete(tail)) {
		const uint8_t *feed =
		    end < 2 ? NULL : memrchr(text.data, '\n', end - 1);
		size_t start =
		    feed == NULL ? 0 : (size_t)(feed - text.data) + 1;
		take_line(BYTES(text.data + start, end - start), tail);
		end = start;
	}
}

static bool read_at(int fd, uint8_t *into, size_t len, off_t at)
{
	while (len > 0) {
		ssize_t got = pread(fd, into, len, at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		into += got;
		at += got;
		len -= (size_t)got;
	}
	return true;
}

/* All that a crash in the middle of the very first entry leaves. */
static bool is_cut_first_line(struct bytes text, uint64_t size)
{
	return text.len == size &&
	    memchr(text.data, '\n', text.len) == NULL;
}

static enum err_code read_tail(const struct witness *witness, int fd,
    struct tail *tail, struct err *err)
{
	struct stat st;
	*tail = (struct tail){0};
	if (fstat(fd, &st) != 0)
		return fail(witness, "stat", err);
	if (!S_ISREG(st.st_mode))
		return err_fail(err, ERR_IO,
		    "audit witness %s is not a regular file", witness->spec);
	uint64_t size = (uint64_t)st.st_size;
	for (uint64_t want = TAIL_FIRST; size > 0; want *= 16) {
		OWNED_BUF(text);
		uint64_t len = want < size ? want : size;
		uint8_t *into = buf_extend(&text, len);
		if (!read_at(fd, into, len, (off_t)(size - len)))
			return fail(witness, "read", err);
		take_lines(buf_bytes(&text), tail);
		if (!is_complete(tail) && len < size && len < TAIL_MAX)
			continue;
		if (tail->entries > 0 || tail->checkpoint.size > 0 ||
		    is_cut_first_line(buf_bytes(&text), size))
			return ERR_OK;
		return err_fail(err, ERR_CORRUPT,
		    "audit witness %s is not empty, and no entry can be read in "
		    "it: something has overwritten or exchanged it.  Keep it, "
		    "look for its older copies, and put back the last one that "
		    "is whole", witness->spec);
	}
	return ERR_OK;
}

/* ---- Compared with the store ---- */

static enum err_code fail_older(const struct witness *witness, uint64_t has,
    uint64_t store, struct err *err)
{
	return err_fail(err, ERR_CORRUPT,
	    "the store was rolled back: it ends at audit entry %llu, witness "
	    "%.100s has %llu.  Restore a newer backup; if there is none, keep "
	    "what the witness has, and start again with its file moved aside, "
	    "or without its line in audit.witness",
	    (unsigned long long)store, witness->spec,
	    (unsigned long long)has);
}

static enum err_code fail_forked(
    const struct witness *witness, uint64_t at, struct err *err)
{
	return err_fail(err, ERR_CORRUPT,
	    "the audit log was changed: up to entry %llu it is not what "
	    "witness %.100s has.  Keep both, and restore a backup that fits "
	    "the witness",
	    (unsigned long long)at, witness->spec);
}

static bool keep_leaf(const struct audit_entry *entry,
    const uint8_t leaf[static 32], void *arg)
{
	(void)entry;
	memcpy(arg, leaf, 32);
	return false;
}

static enum err_code compare(const struct witness *witness,
    const struct tail *tail, struct store *store, struct err *err)
{
	struct audit_head head;
	uint8_t hash[32] = {0};
	uint64_t size = tail->checkpoint.size;
	uint64_t has = tail->entries > size ? tail->entries : size;
	enum err_code code = audit_head(store, &head, err);
	if (code != ERR_OK)
		return code;
	if (has > head.sequence)
		return fail_older(witness, has, head.sequence, err);
	if (tail->without_hashes)
		return ERR_OK;
	if (size > 0 &&
	    (code = audit_root(store, size, hash, err)) != ERR_OK)
		return code;
	if (size > 0 && memcmp(hash, tail->checkpoint.root, 32) != 0)
		return fail_forked(witness, size, err);
	if (tail->entries == 0)
		return ERR_OK;
	code = audit_read(store, tail->entries, 1, keep_leaf, hash, err);
	if (code == ERR_OK && memcmp(hash, tail->leaf, 32) != 0)
		return fail_forked(witness, tail->entries, err);
	return code;
}

/* It tells no root, so that of its checkpoints the size alone is compared. */
static enum err_code compare_told(const struct witness *witness,
    const struct tell_answer *answer, struct store *store, struct err *err)
{
	struct tail tail = {.entries = answer->entries,
	    .without_hashes = answer->has_leaf == 0};
	if (answer->checkpoint > answer->entries)
		return err_fail(err, ERR_IO,
		    "audit witness %s has a checkpoint of %llu entries and "
		    "%llu entries", witness->spec,
		    (unsigned long long)answer->checkpoint,
		    (unsigned long long)answer->entries);
	memcpy(tail.leaf, answer->leaf, sizeof(tail.leaf));
	return compare(witness, &tail, store, err);
}

static enum err_code compare_first(
    const struct witness *witness, struct store *store, struct err *err)
{
	if (witness->teller == NULL)
		return ERR_OK;
	const struct tell_answer *first = teller_first(witness->teller);
	if (first == NULL)
		LOG(WARN, "audit witness out of reach: it is compared once it "
		    "is there", LOG_STR("witness", witness->spec));
	if (first == NULL || !first->knows)
		return ERR_OK;
	enum err_code code = compare_told(witness, first, store, err);
	/* Nonsense is no evidence; its watcher will tell of it. */
	if (code == ERR_IO)
		err_clear(err);
	return code == ERR_IO ? ERR_OK : code;
}

enum err_code witness_compare(
    struct witness *witness, struct store *store, struct err *err)
{
	struct tail tail;
	if (witness->is_http)
		return compare_first(witness, store, err);
	if (!witness->is_file)
		return ERR_OK;
	OWNED_FD(fd) = open(witness->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 && errno == ENOENT)
		return ERR_OK;
	if (fd < 0)
		return fail(witness, "open", err);
	enum err_code code = read_tail(witness, fd, &tail, err);
	return code == ERR_OK ? compare(witness, &tail, store, err) : code;
}

/* ---- Told ---- */

/* What a crash has cut ends here; a reader passes over it.  A file that holds
 * nothing else (IS_NEW) begins again. */
static enum err_code end_cut_line(const struct witness *witness, int fd,
    bool is_new, struct err *err)
{
	if (is_new)
		return ftruncate(fd, 0) == 0
		    ? ERR_OK : fail(witness, "truncate", err);
	off_t size = lseek(fd, 0, SEEK_END);
	uint8_t last = '\n';
	if (size < 0 || (size > 0 && !read_at(fd, &last, 1, size - 1)))
		return fail(witness, "read", err);
	if (last != '\n' && write(fd, "\n", 1) != 1)
		return fail(witness, "write", err);
	return ERR_OK;
}

static enum err_code open_file(struct witness *witness,
    struct witness_position *position, struct err *err)
{
	struct tail tail;
	OWNED_STR(dir) = fs_dirname(witness->path);
	OWNED_FD(fd) = open(witness->path,
	    O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	enum err_code code;
	if (fd < 0)
		return fail(witness, "open", err);
	if ((code = read_tail(witness, fd, &tail, err)) != ERR_OK ||
	    (code = end_cut_line(witness, fd,
		 tail.entries == 0 && tail.checkpoint.size == 0, err)) !=
		ERR_OK ||
	    (code = fs_sync_dir(dir, err)) != ERR_OK)
		return code;
	if (tail.entries > 0)
		*position = (struct witness_position){
		    tail.entries, tail.checkpoint.size};
	witness->fd = fd;
	fd = -1;
	return ERR_OK;
}

static enum err_code open_socket(struct witness *witness, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	OWNED_FD(fd) = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* A log that takes nothing more must not hold us for ever. */
	const struct timeval patience = {2, 0};
	if (strlen(witness->path) >= sizeof(address.sun_path))
		return err_fail(err, ERR_IO, "audit witness %s: too long",
		    witness->spec);
	memcpy(address.sun_path, witness->path, strlen(witness->path));
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
		sizeof(patience)) != 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		return fail(witness, "connect", err);
	witness->fd = fd;
	fd = -1;
	return ERR_OK;
}

static enum err_code open_endpoint(struct witness *witness,
    struct store *store, struct witness_position *position, struct err *err)
{
	struct tell_answer answer;
	if (witness->teller == NULL)
		return err_fail(err, ERR_IO,
		    "audit witness %s: nothing tells it", witness->spec);
	enum err_code code = teller_ask(
	    witness->teller, TELL_ASK, BYTES(NULL, 0), &answer, err);
	if (code == ERR_OK && answer.knows)
		code = compare_told(witness, &answer, store, err);
	witness->refutes = code == ERR_CORRUPT && !witness->compared;
	witness->compared =
	    witness->compared || (code == ERR_OK && answer.knows);
	if (code != ERR_OK)
		return code;
	if (answer.knows)
		*position = (struct witness_position){
		    answer.entries, answer.checkpoint};
	witness->asked = true;
	return ERR_OK;
}

enum err_code witness_open(struct witness *witness, struct store *store,
    struct witness_position *position, struct err *err)
{
	if (witness->fd >= 0 || witness->asked)
		return ERR_OK;
	if (witness->is_http)
		return open_endpoint(witness, store, position, err);
	return witness->is_file ? open_file(witness, position, err)
				: open_socket(witness, err);
}

bool witness_refutes(const struct witness *witness)
{
	return witness->refutes;
}

static bool write_all(int fd, struct bytes data)
{
	while (data.len > 0) {
		ssize_t done = write(fd, data.data, data.len);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		data = BYTES(data.data + done, data.len - (size_t)done);
	}
	return fdatasync(fd) == 0;
}

/* RFC 3164, as syslog(3) writes it to a local socket. */
static bool send_line(int fd, struct bytes line)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	OWNED_BUF(message);
	time_t now = time(NULL);
	struct tm tm;
	localtime_r(&now, &tm);
	buf_printf(&message, "<%d>%.3s %2d %02d:%02d:%02d signetd-audit[%d]: ",
	    PRIORITY, months + 3 * (tm.tm_mon % 12), tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, (int)getpid());
	buf_put_bytes(&message, line);
	return send(fd, message.data, message.len, MSG_NOSIGNAL) ==
	    (ssize_t)message.len;
}

static bool send_lines(int fd, struct bytes lines)
{
	while (lines.len > 0) {
		const uint8_t *feed = memchr(lines.data, '\n', lines.len);
		size_t len =
		    feed == NULL ? lines.len : (size_t)(feed - lines.data);
		size_t taken = feed == NULL ? len : len + 1;
		if (!send_line(fd, BYTES(lines.data, len)))
			return false;
		lines = BYTES(lines.data + taken, lines.len - taken);
	}
	return true;
}

enum err_code witness_write(
    struct witness *witness, struct bytes lines, struct err *err)
{
	if (witness->is_http) {
		struct tell_answer answer;
		enum err_code code = teller_ask(
		    witness->teller, TELL_LINES, lines, &answer, err);
		if (code != ERR_OK)
			shut(witness);
		return code;
	}
	bool done = witness->is_file ? write_all(witness->fd, lines)
				     : send_lines(witness->fd, lines);
	if (done)
		return ERR_OK;
	fail(witness, "write", err);
	shut(witness);
	return err->code;
}
