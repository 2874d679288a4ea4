// SPDX-License-Identifier: Apache-2.0
/* The description of the API (OpenAPI 3.1), as api/openapi.json has it. */
#ifndef API_OPENAPI_H
#define API_OPENAPI_H

extern const char openapi_json[];

#endif
