// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/ca/csr_check.h"

#include <string.h>

struct err err;

enum err_code csr_parse(const struct csr *csr, struct request **out)
{
	OWNED_BUF(der);

	csr_write(csr, &der);
	*out = NULL;
	return request_parse(buf_bytes(&der), out, &err);
}

void accepts(const struct csr *csr)
{
	OWNED(request) request = NULL;

	if (csr_parse(csr, &request) != ERR_OK)
		fail_msg("refused: %s%s", err.detail, err.cause);
}

void refuses(const struct csr *csr, enum err_code code, const char *words)
{
	OWNED(request) request = NULL;

	assert_int_equal(csr_parse(csr, &request), code);
	assert_null(request);
	if (strstr(err.detail, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, err.detail);
}
