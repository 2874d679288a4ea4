// SPDX-License-Identifier: Apache-2.0
#include "ca/strongbox.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/draft.h"
#include "base/stream.h"

#define MAGIC "signet backup 1\n"
#define MAGIC_SIZE 16
#define MAGIC_BEGINS 14		/* octets that every version has */
#define PURPOSE "signet backup stream 1" /* its NUL separates */

struct strongbox {
	int fd;
	char *path;
	uint64_t size;		/* of the file */
	uint64_t stream_at;	/* where the header ends */
	struct manifest manifest;
	struct recipients *recipients;
	struct buf sealed_key;
	uint8_t header_hash[32];
	struct secret *stream_key; /* NULL: locked */
};

static enum err_code derive(const struct secret *file_key,
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

static enum err_code hash_of(
    struct bytes data, uint8_t hash[static 32], struct err *err)
{
	size_t len = 0;

	if (EVP_Q_digest(NULL, "SHA256", NULL, data.data, data.len, hash,
		&len) != 1)
		return err_fail_crypto(err, "SHA-256");
	return ERR_OK;
}

/* ---- writing ---- */

struct writing {
	struct draft *draft;
	const struct strongbox_order *order;
	struct secret *file_key; /* of this attempt */
	struct stream *stream;
	EVP_MD_CTX *hash;	/* of all that went in */
	uint64_t octets;
	struct buf chunk;	/* what waits to be one */
	struct buf sealed;
};

static void writing_end(struct writing *writing)
{
	secret_free(writing->file_key);
	stream_free(writing->stream);
	EVP_MD_CTX_free(writing->hash);
	buf_free(&writing->chunk);
	buf_free(&writing->sealed);
}

static enum err_code write_header(
    struct writing *writing, struct buf *header, struct err *err)
{
	const struct recipients *to = writing->order->to;
	OWNED_BUF(record);
	OWNED_BUF(blob);
	enum err_code code;

	manifest_write(writing->order->manifest, &record);
	if (record.len > MANIFEST_MAX)
		return err_fail(
		    err, ERR_CORRUPT, "the store's keys have too long names");
	buf_put_str(header, MAGIC);
	buf_put_lv(header, buf_bytes(&record));
	buf_put_u8(header, (uint8_t)recipients_count(to));
	for (size_t i = 0; i < recipients_count(to); i++)
		buf_put_lv(header, recipients_der(to, i));
	code = recipients_seal(to, writing->file_key, &blob, err);
	buf_put_lv(header, buf_bytes(&blob));
	return code;
}

/* With a key of its own: no two attempts share one. */
static enum err_code begin(struct writing *writing, struct err *err)
{
	OWNED_BUF(header);
	OWNED(secret) key = NULL;
	uint8_t hash[32];
	enum err_code code;

	secret_free(GIVE(writing->file_key));
	stream_free(GIVE(writing->stream));
	buf_reset(&writing->chunk);
	writing->octets = 0;
	writing->file_key = secret_new(STREAM_KEY_SIZE);
	if (RAND_priv_bytes(
		secret_data(writing->file_key), STREAM_KEY_SIZE) != 1)
		return err_fail_crypto(err, "drawing a file's key");
	if (EVP_DigestInit_ex2(writing->hash, EVP_sha256(), NULL) != 1)
		return err_fail_crypto(err, "SHA-256");
	if ((code = write_header(writing, &header, err)) != ERR_OK ||
	    (code = hash_of(buf_bytes(&header), hash, err)) != ERR_OK ||
	    (code = derive(writing->file_key, hash, &key, err)) != ERR_OK ||
	    (code = stream_new(key, &writing->stream, err)) != ERR_OK)
		return code;
	return draft_write(writing->draft, buf_bytes(&header), err);
}

static enum err_code put_chunk(
    struct writing *writing, bool last, struct err *err)
{
	struct buf *sealed = &writing->sealed;
	enum err_code code;

	buf_reset(sealed);
	uint8_t *out = buf_extend(sealed, writing->chunk.len + STREAM_TAG);
	code = stream_seal(
	    writing->stream, buf_bytes(&writing->chunk), last, out, err);
	buf_reset(&writing->chunk);
	return code == ERR_OK
	    ? draft_write(writing->draft, buf_bytes(sealed), err) : code;
}

/* A full chunk waits until more comes: it may be the last. */
static enum err_code put(void *arg, struct bytes octets, struct err *err)
{
	struct writing *writing = arg;
	const struct store_progress *progress = writing->order->progress;
	enum err_code code = ERR_OK;

	if (EVP_DigestUpdate(writing->hash, octets.data, octets.len) != 1)
		return err_fail_crypto(err, "SHA-256");
	writing->octets += octets.len;
	while (code == ERR_OK && octets.len > 0) {
		size_t room = STREAM_CHUNK - writing->chunk.len;
		size_t len = octets.len < room ? octets.len : room;

		if (room == 0) {
			code = put_chunk(writing, false, err);
			continue;
		}
		buf_put(&writing->chunk, octets.data, len);
		octets = BYTES(octets.data + len, octets.len - len);
	}
	if (progress != NULL)
		progress->tell(progress->arg, writing->octets);
	return code;
}

static enum err_code restart(void *arg, struct err *err)
{
	struct writing *writing = arg;
	enum err_code code = draft_restart(writing->draft, err);

	return code == ERR_OK ? begin(writing, err) : code;
}

static enum err_code write_all(
    struct writing *writing, struct store *store, struct err *err)
{
	const struct store_sink sink = {put, restart, writing};
	enum err_code code;

	writing->hash = EVP_MD_CTX_new();
	if (writing->hash == NULL)
		return err_fail_crypto(err, "SHA-256");
	buf_reserve(&writing->chunk, STREAM_CHUNK);
	buf_reserve(&writing->sealed, STREAM_SEALED);
	if ((code = begin(writing, err)) != ERR_OK ||
	    (code = store_copy(store, &sink, err)) != ERR_OK ||
	    (code = put_chunk(writing, true, err)) != ERR_OK)
		return code;
	return draft_sync(writing->draft, err);
}

/* ---- what was written, read again ---- */

static enum err_code hash_more(void *arg, struct bytes octets, struct err *err)
{
	return EVP_DigestUpdate(arg, octets.data, octets.len) == 1
	    ? ERR_OK : err_fail_crypto(err, "SHA-256");
}

static enum err_code compare(
    EVP_MD_CTX *went_in, EVP_MD_CTX *came_out, struct err *err)
{
	uint8_t a[32], b[32];

	if (EVP_DigestFinal_ex(went_in, a, NULL) != 1 ||
	    EVP_DigestFinal_ex(came_out, b, NULL) != 1)
		return err_fail_crypto(err, "SHA-256");
	if (memcmp(a, b, sizeof(a)) != 0)
		return err_fail(err, ERR_CORRUPT,
		    "what was written is not what was read from the store");
	return ERR_OK;
}

static enum err_code check_pour(struct strongbox *box, EVP_MD_CTX *went_in,
    const struct store_progress *progress, struct err *err)
{
	EVP_MD_CTX *found = EVP_MD_CTX_new();
	const struct store_sink sink = {hash_more, NULL, found};
	enum err_code code;

	if (found == NULL || EVP_DigestInit_ex2(found, EVP_sha256(), NULL) != 1)
		code = err_fail_crypto(err, "SHA-256");
	else if ((code = strongbox_pour(box, &sink, progress, err)) == ERR_OK)
		code = compare(went_in, found, err);
	EVP_MD_CTX_free(found);
	return code;
}

static enum err_code check_written(struct writing *writing, struct err *err)
{
	OWNED(strongbox) box = NULL;
	int fd = fcntl(writing->draft->fd, F_DUPFD_CLOEXEC, 0);
	enum err_code code;

	if (fd < 0)
		return err_fail(err, ERR_IO, "reading again: %s",
		    strerrordesc_np(errno));
	/* From the disk, where the system can forget what it has of it. */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	code = strongbox_open_fd(fd, writing->draft->path, &box, err);
	if (code == ERR_OK)
		code = derive(writing->file_key, box->header_hash,
		    &box->stream_key, err);
	if (code == ERR_OK)
		code = check_pour(
		    box, writing->hash, writing->order->checking, err);
	return code;
}

enum err_code strongbox_write(struct store *store, const char *path,
    const struct strongbox_order *order, struct err *err)
{
	OWNED_DRAFT(draft);
	__attribute__((cleanup(writing_end))) struct writing writing = {
	    .draft = &draft, .order = order};
	enum err_code code;

	if ((code = draft_open(&draft, path, err)) != ERR_OK ||
	    (code = write_all(&writing, store, err)) != ERR_OK ||
	    (code = check_written(&writing, err)) != ERR_OK)
		return code;
	return draft_publish(&draft, path, err);
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
	return hash_of(
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
	return derive(file_key, box->header_hash, &box->stream_key, err);
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
	OWNED_BUF(plain);
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
