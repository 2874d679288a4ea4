// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/draft.h"
#include "base/stream.h"
#include "ca/strongbox_inside.h"

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
	buf_wipe(&writing->chunk);
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
	    (code = strongbox_hash(buf_bytes(&header), hash, err)) != ERR_OK ||
	    (code = strongbox_derive(writing->file_key, hash, &key, err)) != ERR_OK ||
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
		code = strongbox_derive(writing->file_key, box->header_hash,
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
