// SPDX-License-Identifier: Apache-2.0
/*
 * Encrypted backups: what is no backup is refused; a manifest that is read is
 * written to the same octets; and of a true backup that was changed in whatever
 * way nothing opens as if it were whole.
 */
#include "tests/fuzz/fuzz.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/stream.h"
#include "ca/strongbox.h"

#define CHANGES_MAX 8
#define ADDED_MAX 4096

static struct buf whole;	/* a true one */
static EVP_PKEY *key;		/* its recipient's */

/* ---- a true one ---- */

static void put_certificate(struct buf *pem)
{
	X509 *certificate = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;

	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	must(X509_set_pubkey(certificate, key) == 1);
	must(X509_sign(certificate, key, EVP_sha256()) > 0);
	must(PEM_write_bio_X509(bio, certificate) == 1);
	long len = BIO_get_mem_data(bio, &text);
	buf_put(pem, text, (size_t)len);
	BIO_free(bio);
	X509_free(certificate);
}

static struct recipients *make_recipients(void)
{
	struct recipients *to = recipients_new();
	OWNED_BUF(pem);
	struct err err;
	int64_t ends;

	put_certificate(&pem);
	must(recipients_add(to, buf_bytes(&pem), (int64_t)time(NULL), &ends,
		 &err) == ERR_OK);
	return to;
}

static struct store *make_store(const char *dir)
{
	const struct store_options options = {.path = dir, .create = true};
	OWNED(batch) batch = batch_new();
	struct store *store = NULL;
	uint8_t big[2 * STREAM_CHUNK] = {1};
	struct err err;

	must(store_open(&options, &store, &err) == ERR_OK);
	batch_put(batch, TABLE_CLUSTERS, BYTES_STR("a"), BYTES_OF(big));
	must(store_commit(store, batch, &err) == ERR_OK);
	return store;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char dir[] = "/tmp/fuzz-backup.XXXXXX";
	struct err err;

	(void)argc;
	(void)argv;
	must(secret_heap_open(1 << 20, &err) == ERR_OK);
	must(mkdtemp(dir) != NULL);
	OWNED_STR(folder) = fs_join(dir, "store");
	OWNED_STR(path) = fs_join(dir, "box");
	key = EVP_EC_gen("P-256");
	OWNED(store) store = make_store(folder);
	OWNED(recipients) to = make_recipients();
	OWNED_MANIFEST(manifest);
	const struct strongbox_order order = {.to = to, .manifest = &manifest};
	must(manifest_of(store, 1, &manifest, &err) == ERR_OK);
	must(strongbox_write(store, path, &order, &err) == ERR_OK);
	must(fs_read(path, 1 << 20, &whole, &err) == ERR_OK);
	must(whole.len > 2 * STREAM_SEALED);
	unlink(path);
	store_close(GIVE(store));
	store_remove(folder);
	rmdir(dir);
	return 0;
}

/* ---- reading ---- */

static void describe(const struct strongbox *box)
{
	const struct recipients *all = strongbox_recipients(box);
	struct recipient_info info;

	for (size_t i = 0; i < recipients_count(all); i++) {
		recipients_describe(all, i, &info);
		recipient_info_end(&info);
	}
}

/* Opens OCTETS as far as they let it. */
static enum err_code open_all(struct bytes octets, struct err *err)
{
	OWNED(strongbox) box = NULL;
	int fd = memfd_create("box", MFD_CLOEXEC);
	enum err_code code;

	must(fd >= 0);
	must(write(fd, octets.data, octets.len) == (ssize_t)octets.len);
	code = strongbox_open_fd(fd, "box", &box, err);
	if (code != ERR_OK)
		return code;
	describe(box);
	code = strongbox_unlock(box, key, err);
	return code == ERR_OK ? strongbox_pour(box, NULL, NULL, err) : code;
}

static void run_file(struct bytes in)
{
	struct err err = {0};

	/* Nobody can guess the key that it would take. */
	must_tell(open_all(in, &err), &err);
}

static void run_manifest(struct bytes in)
{
	OWNED_MANIFEST(manifest);
	OWNED_BUF(again);

	if (!manifest_read(in, &manifest))
		return;
	manifest_write(&manifest, &again);
	must(bytes_equal(in, buf_bytes(&again)));
}

/* ---- changes ---- */

static void change_octet(struct buf *file, size_t at, uint32_t value)
{
	if (at < file->len)
		file->data[at] ^= (uint8_t)value;
}

static void cut_end(struct buf *file, size_t at)
{
	if (at < file->len)
		file->len = at;
}

/* AT most so many octets, of what the file begins with. */
static void add_end(struct buf *file, size_t at, uint32_t value)
{
	size_t len = value % ADDED_MAX;

	if (at + len <= file->len && file->len < 2 * whole.len) {
		buf_reserve(file, len);
		buf_put(file, file->data + at, len);
	}
}

static void take_out(struct buf *file, size_t at, uint32_t len)
{
	if (at > file->len || len > file->len - at)
		return;
	memmove(file->data + at, file->data + at + len, file->len - at - len);
	file->len -= len;
}

/* Two pieces of a chunk's size, wherever they begin. */
static void exchange(struct buf *file, size_t a, size_t b)
{
	uint8_t piece[STREAM_SEALED];

	b %= STREAM_SEALED;
	if (a + 2 * STREAM_SEALED + b > file->len)
		return;
	b += a + STREAM_SEALED;
	memcpy(piece, file->data + a, STREAM_SEALED);
	memmove(file->data + a, file->data + b, STREAM_SEALED);
	memcpy(file->data + b, piece, STREAM_SEALED);
}

static void change(struct buf *file, struct reader *in)
{
	uint8_t what = reader_u8(in);
	size_t at = reader_u32(in) % (whole.len + 1);
	uint32_t value = reader_u32(in);

	switch (what) {
	case 'x':
		change_octet(file, at, value);
		break;
	case 'c':
		cut_end(file, at);
		break;
	case 'a':
		add_end(file, at, value);
		break;
	case 't':
		take_out(file, at, value);
		break;
	case 'e':
		exchange(file, at, value);
		break;
	default:
		break;
	}
}

static void run_changed(struct bytes in)
{
	struct reader reader = reader_over(in);
	OWNED_BUF(file);
	struct err err = {0};
	enum err_code code;

	buf_put_bytes(&file, buf_bytes(&whole));
	for (unsigned i = 0; i < CHANGES_MAX && reader.left > 0; i++)
		change(&file, &reader);
	code = open_all(buf_bytes(&file), &err);
	if (bytes_equal(buf_bytes(&file), buf_bytes(&whole)))
		must(code == ERR_OK);
	else
		must_tell(code, &err);
}

static const struct fuzz_case cases[] = {
	{'f', run_file},
	{'m', run_manifest},
	{'c', run_changed},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_pick(cases, ARRAY_LEN(cases), data, size);
}
