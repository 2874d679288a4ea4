// SPDX-License-Identifier: Apache-2.0
/* Certificate requests: the first thing that a stranger can make us parse. */
#include "tests/fuzz/fuzz.h"

#include "ca/digest.h"
#include "ca/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OWNED(request) request = NULL;
	uint8_t hash[32];
	struct err err = {0};
	enum err_code code = request_parse(BYTES(data, size), &request, &err);

	if (code != ERR_OK) {
		/* The sender is told what to correct, and nothing is left. */
		must(request == NULL && err_is_refusal(code));
		must_tell(code, &err);
		return 0;
	}
	digest_sha256(BYTES(request->spki, request->spki_len), hash);
	must(bytes_equal(BYTES_OF(hash), BYTES_OF(request->spki_hash)));
	must(request->names->sans_count <= NAMES_MAX);
	return 0;
}
