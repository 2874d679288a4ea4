// SPDX-License-Identifier: Apache-2.0
#include "ca/strongbox_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/stream.h"

#define PURPOSE "signet backup stream 1" /* its NUL separates */

enum err_code strongbox_derive(const struct secret *file_key,
    const uint8_t header_hash[static 32], struct secret **key_out,
    struct err *err)
{
	OWNED(secret) key = secret_new(STREAM_KEY_SIZE);
	uint8_t input[sizeof(PURPOSE) + 32];
	size_t len = 0;

	memcpy(input, PURPOSE, sizeof(PURPOSE));
	memcpy(input + sizeof(PURPOSE), header_hash, 32);
	if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL,
		secret_bytes(file_key).data, secret_len(file_key), input,
		sizeof(input), secret_data(key), STREAM_KEY_SIZE, &len) == NULL ||
	    len != STREAM_KEY_SIZE)
		return err_fail_crypto(err, "deriving a stream's key");
	*key_out = GIVE(key);
	return ERR_OK;
}

enum err_code strongbox_hash(
    struct bytes data, uint8_t hash[static 32], struct err *err)
{
	size_t len = 0;

	if (EVP_Q_digest(NULL, "SHA256", NULL, data.data, data.len, hash,
		&len) != 1)
		return err_fail_crypto(err, "SHA-256");
	return ERR_OK;
}

/* ---- reading ---- */

static enum err_code fail_read(const char *path, struct err *err)
{
	return err_fail(
	    err, ERR_IO, "read %s: %s", path, strerrordesc_np(errno));
}

/* Until the room is full or the file ends. */
static ssize_t read_full(int fd, uint8_t *into, size_t len, uint64_t at)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, into + got, len - got,
		    (off_t)(at + got));

		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0)
			got += (size_t)n;
	}
	return (ssize_t)got;
}

static int open_file(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static enum err_code fail_open(const char *path, struct err *err)
{
	if (errno == ENOENT || errno == ENOTDIR)
		return err_refuse(
		    err, ERR_NOT_FOUND, "there is no backup at %s", path);
	return err_fail(
	    err, ERR_IO, "open %s: %s", path, strerrordesc_np(errno));
}

enum err_code strongbox_is(const char *path, bool *is_out, struct err *err)
{
	uint8_t begins[MAGIC_BEGINS];
	OWNED_FD(fd) = open_file(path);
	ssize_t got;

	if (fd < 0)
		return fail_open(path, err);
	got = read_full(fd, begins, sizeof(begins), 0);
	if (got < 0)
		return fail_read(path, err);
	*is_out = bytes_equal(
	    BYTES(begins, (size_t)got), BYTES(MAGIC, MAGIC_BEGINS));
	return ERR_OK;
}

static enum err_code check_magic(
    const struct strongbox *box, struct bytes magic, struct err *err)
{
	if (bytes_equal(magic, BYTES(MAGIC, MAGIC_SIZE)))
		return ERR_OK;
	if (magic.len == MAGIC_SIZE &&
	    bytes_equal(BYTES(magic.data, MAGIC_BEGINS),
		BYTES(MAGIC, MAGIC_BEGINS)))
		return err_refuse(err, ERR_CONFIG,
		    "%s is an encrypted backup of a version that this program "
		    "does not know: use the version of Signet that wrote it",
		    box->path);
	return err_fail(err, ERR_CORRUPT,
	    "%s does not begin as an encrypted backup", box->path);
}

static enum err_code read_recipients(
    struct strongbox *box, struct reader *in, struct err *err)
{
	uint8_t count = reader_u8(in);
	enum err_code code = ERR_OK;

	for (unsigned i = 0; code == ERR_OK && i < count && !in->failed; i++) {
		struct bytes der = reader_lv(in);

		if (!in->failed)
			code = recipients_add_der(box->recipients, der, err);
	}
	if (code == ERR_OK || err->cause[0] != '\0')
		return code;
	err_clear(err);
	return err_fail(err, ERR_CORRUPT,
	    "%s: its header was changed: a recipient's certificate does not "
	    "decode",
	    box->path);
}

static enum err_code read_header(
    struct strongbox *box, struct bytes octets, struct err *err)
{
	struct reader in = reader_over(octets);
	enum err_code code = check_magic(
	    box, reader_take(&in, MAGIC_SIZE), err);

	if (code != ERR_OK)
		return code;
	struct bytes record = reader_lv(&in);
	if (!in.failed && !manifest_read(record, &box->manifest))
		return err_fail(err, ERR_CORRUPT,
		    "%s: its header was changed: the manifest does not decode",
		    box->path);
	if ((code = read_recipients(box, &in, err)) != ERR_OK)
		return code;
	buf_put_bytes(&box->sealed_key, reader_lv(&in));
	if (in.failed || recipients_count(box->recipients) == 0 ||
	    box->sealed_key.len > RECIPIENT_BLOB_MAX)
		return err_fail(err, ERR_CORRUPT,
		    "%s: its header was cut off or changed", box->path);
	box->stream_at = octets.len - in.left;
	return strongbox_hash(
	    BYTES(octets.data, (size_t)box->stream_at), box->header_hash, err);
}

enum err_code strongbox_open_fd(
    int fd, const char *path, struct strongbox **box_out, struct err *err)
{
	OWNED(strongbox) box = mem_zalloc(sizeof(*box));
	OWNED_BUF(octets);
	struct stat st;
	ssize_t got;
	enum err_code code;

	box->fd = fd;
	box->path = mem_strdup(path);
	box->recipients = recipients_new();
	if (fstat(fd, &st) != 0)
		return fail_read(path, err);
	if (!S_ISREG(st.st_mode))
		return err_fail(
		    err, ERR_IO, "%s is not a regular file", path);
	box->size = (uint64_t)st.st_size;
	buf_extend(&octets, STRONGBOX_HEADER_MAX);
	got = read_full(fd, octets.data, octets.len, 0);
	if (got < 0)
		return fail_read(path, err);
	code = read_header(box, BYTES(octets.data, (size_t)got), err);
	if (code != ERR_OK)
		return code;
	*box_out = GIVE(box);
	return ERR_OK;
}

enum err_code strongbox_open(
    const char *path, struct strongbox **box_out, struct err *err)
{
	int fd = open_file(path);

	if (fd < 0)
		return fail_open(path, err);
	return strongbox_open_fd(fd, path, box_out, err);
}

void strongbox_free(struct strongbox *box)
{
	if (box == NULL)
		return;
	close(box->fd);
	free(box->path);
	manifest_end(&box->manifest);
	recipients_free(box->recipients);
	buf_free(&box->sealed_key);
	secret_free(box->stream_key);
	free(box);
}

const struct manifest *strongbox_manifest(const struct strongbox *box)
{
	return &box->manifest;
}

const struct recipients *strongbox_recipients(const struct strongbox *box)
{
	return box->recipients;
}

uint64_t strongbox_size(const struct strongbox *box)
{
	return box->size;
}

enum err_code strongbox_unlock(
    struct strongbox *box, EVP_PKEY *key, struct err *err)
{
	OWNED(secret) file_key = NULL;
	enum err_code code = recipients_open(box->recipients,
	    buf_bytes(&box->sealed_key), key, &file_key, err);

	if (code != ERR_OK)
		return code;
	secret_free(GIVE(box->stream_key));
	return strongbox_derive(file_key, box->header_hash, &box->stream_key, err);
}

/* ---- the stream ---- */

struct pouring {
	struct strongbox *box;
	struct stream *stream;
	uint64_t at;	/* of the next chunk in the file */
	bool last;
	struct buf sealed, plain;
};

static void pouring_end(struct pouring *pouring)
{
	stream_free(pouring->stream);
	buf_free(&pouring->sealed);
	buf_wipe(&pouring->plain);
}

/* What else SEALED, which did not open, may be. */
static enum err_code judge(struct strongbox *box, struct stream *stream,
    struct bytes sealed, bool last, struct err *err)
{
	__attribute__((cleanup(buf_wipe))) struct buf plain = BUF_INIT;
	uint8_t *out = buf_extend(&plain, STREAM_CHUNK);
	struct err other;

	if (stream_open(stream, sealed, !last, out, &other) != ERR_OK)
		return ERR_OK;
	return last ? err_fail(err, ERR_CORRUPT,
			  "%s is truncated: its end is missing", box->path)
		    : err_fail(err, ERR_CORRUPT,
			  "%s was added to: something follows its end",
			  box->path);
}

static enum err_code fail_chunk(
    struct pouring *pouring, struct bytes sealed, struct err *err)
{
	struct strongbox *box = pouring->box;
	unsigned long long end = pouring->at + sealed.len;
	enum err_code code =
	    judge(box, pouring->stream, sealed, pouring->last, err);

	if (code != ERR_OK)
		return code;
	if (pouring->last && sealed.len < STREAM_SEALED)
		return err_fail(err, ERR_CORRUPT,
		    "%s is truncated, or was changed, in its last %zu octets",
		    box->path, sealed.len);
	if (pouring->at == box->stream_at)
		return err_fail(err, ERR_CORRUPT,
		    "%s was changed in its header or its first chunk, which "
		    "ends at octet %llu",
		    box->path, end);
	return err_fail(err, ERR_CORRUPT,
	    "%s was changed in the chunk that ends at octet %llu", box->path,
	    end);
}

/* One octet more than a chunk shows whether it is the last. */
static enum err_code pour_chunk(
    struct pouring *pouring, const struct store_sink *sink, struct err *err)
{
	struct strongbox *box = pouring->box;
	ssize_t got = read_full(box->fd, pouring->sealed.data,
	    STREAM_SEALED + 1, pouring->at);
	enum err_code code;

	if (got < 0)
		return fail_read(box->path, err);
	pouring->last = (size_t)got <= STREAM_SEALED;
	struct bytes sealed = BYTES(pouring->sealed.data,
	    pouring->last ? (size_t)got : STREAM_SEALED);
	code = stream_open(pouring->stream, sealed, pouring->last,
	    pouring->plain.data, err);
	if (code == ERR_CORRUPT) {
		err_clear(err);
		return fail_chunk(pouring, sealed, err);
	}
	pouring->at += sealed.len;
	if (code != ERR_OK || sink == NULL || sealed.len == STREAM_TAG)
		return code;
	return sink->put(sink->arg,
	    BYTES(pouring->plain.data, sealed.len - STREAM_TAG), err);
}

enum err_code strongbox_pour(struct strongbox *box,
    const struct store_sink *sink, const struct store_progress *progress,
    struct err *err)
{
	__attribute__((cleanup(pouring_end))) struct pouring pouring = {
	    .box = box, .at = box->stream_at};
	enum err_code code;

	if (box->stream_key == NULL)
		abort();
	code = stream_new(box->stream_key, &pouring.stream, err);
	buf_extend(&pouring.sealed, STREAM_SEALED + 1);
	buf_extend(&pouring.plain, STREAM_CHUNK);
	while (code == ERR_OK && !pouring.last) {
		code = pour_chunk(&pouring, sink, err);
		if (code == ERR_OK && progress != NULL)
			progress->tell(progress->arg, pouring.at);
	}
	return code;
}
