// SPDX-License-Identifier: Apache-2.0
/* Errors have two readers: the caller reads detail, the operator cause. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/own.h"

enum err_code {
	ERR_OK = 0,
#define ERR(code, class, slug, title) ERR_##code,
#include "base/err.def"
#undef ERR
};

struct err {
	enum err_code code;
	char detail[320];	/* for the caller; empty on a fault */
	char cause[320];	/* for the log only; empty on a refusal */
	char kept[320];		/* in the place of detail where that is written
				 * down; empty: detail is */
	const char *file;
	int line;
};

/*
 * Set *err once, where the fault is detected, and return the code; callers hand
 * both up untouched.  err_refuse fills only detail, err_fail only cause, so a
 * fault's text cannot reach a caller.  CODE must be of the matching class
 * (abort otherwise: a programming error).  Text from outside that is echoed in
 * a detail goes through err_quote().
 */
#define err_refuse(err, code, ...)                                             \
	err_refuse_at((err), (code), __FILE__, __LINE__, __VA_ARGS__)
#define err_fail(err, code, ...)                                               \
	err_fail_at((err), (code), __FILE__, __LINE__, __VA_ARGS__)

enum err_code err_refuse_at(struct err *err, enum err_code code,
    const char *file, int line, const char *fmt, ...) PRINTF_LIKE(5, 6);
enum err_code err_fail_at(struct err *err, enum err_code code,
    const char *file, int line, const char *fmt, ...) PRINTF_LIKE(5, 6);

/* As err_fail with ERR_CRYPTO and the oldest entry of OpenSSL's error queue,
 * which is emptied. */
#define err_fail_crypto(err, what)                                             \
	err_fail_crypto_at((err), (what), __FILE__, __LINE__)
enum err_code err_fail_crypto_at(
    struct err *err, const char *what, const char *file, int line);

/*
 * Says what is written down of a refusal whose detail holds what its caller may
 * see and no log may keep; after err_refuse, which forgets it.
 */
void err_keep(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* What logs tell of a refusal. */
const char *err_kept(const struct err *err);

void err_clear(struct err *err);
const char *err_slug(enum err_code code);
const char *err_title(enum err_code code);
/* The code behind a slug, as a peer sent it; ERR_OK when there is none. */
enum err_code err_from_slug(const char *slug);

/* True when the caller can mend it; false for a fault of ours. */
int err_is_refusal(enum err_code code);

/*
 * A printable form of LEN octets from outside, at most 80 characters, control
 * and non-ASCII octets as \xNN, cut with "..." where longer.  The result stands
 * in one of eight buffers of the calling thread and is reused by later calls.
 */
const char *err_quote(const void *text, size_t len);
const char *err_quote_str(const char *text);

#endif
