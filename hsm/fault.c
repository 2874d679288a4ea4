// SPDX-License-Identifier: Apache-2.0
#include "hsm/fault.h"

#include <stdarg.h>
#include <stdio.h>

enum wire_status fault_set(
    struct fault *fault, enum wire_status status, const char *fmt, ...)
{
	va_list args;

	fault->status = status;
	fault->trouble = TROUBLE_NONE;
	va_start(args, fmt);
	(void)vsnprintf(fault->text, sizeof(fault->text), fmt, args);
	va_end(args);
	return status;
}

static enum wire_status status_of(enum trouble trouble)
{
	switch (trouble) {
	case TROUBLE_DEVICE:
		return WIRE_DEVICE_GONE;
	case TROUBLE_PIN:
		return WIRE_PIN;
	case TROUBLE_NONE:
	case TROUBLE_CALLER:
	case TROUBLE_SESSION:
	case TROUBLE_UNSURE:
		break;
	}
	return WIRE_REFUSED;
}

enum wire_status fault_ckr(struct fault *fault, const char *function, CK_RV rv)
{
	enum trouble trouble = ckr_trouble(rv);
	enum wire_status status = fault_set(
	    fault, status_of(trouble), "%s: %s", function, ckr_name(rv));

	fault->trouble = trouble;
	return status;
}

const char *wire_status_name(enum wire_status status)
{
	switch (status) {
	case WIRE_OK:
		return "ok";
	case WIRE_BAD_REQUEST:
		return "bad request";
	case WIRE_REFUSED:
		return "refused by the token";
	case WIRE_NO_KEY:
		return "no such key";
	case WIRE_EXISTS:
		return "label in use";
	case WIRE_UNSAFE:
		return "key unsafe";
	case WIRE_UNWRAP:
		return "unwrap refused";
	case WIRE_DEVICE_GONE:
		return "token gone";
	case WIRE_PIN:
		return "PIN refused";
	case WIRE_CONFIG:
		return "configuration refused";
	}
	return "unknown";
}
