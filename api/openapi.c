// SPDX-License-Identifier: Apache-2.0
#include "api/openapi.h"

/* Made from openapi.json when it changes: one string literal a line. */
const char openapi_json[] =
#include "api/openapi.inc"
    ;
