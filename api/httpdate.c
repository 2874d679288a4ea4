// SPDX-License-Identifier: Apache-2.0
#include "api/httpdate.h"

#include <string.h>
#include <time.h>

#define FORMAT "%a, %d %b %Y %H:%M:%S GMT"

const char *http_date_format(int64_t seconds, char text[static HTTP_DATE_SIZE])
{
	time_t when = (time_t)seconds;
	struct tm broken;
	text[0] = '\0';
	if (gmtime_r(&when, &broken) != NULL)
		(void)!strftime(text, HTTP_DATE_SIZE, FORMAT, &broken);
	return text;
}

bool http_date_parse(const char *text, int64_t *seconds_out)
{
	struct tm broken = {0};
	const char *end = strptime(text, FORMAT, &broken);
	if (end == NULL || *end != '\0')
		return false;
	*seconds_out = (int64_t)timegm(&broken);
	return true;
}

bool http_etag_in(const char *list, const char *etag)
{
	size_t len = strlen(etag);
	while (*list != '\0') {
		list += strspn(list, ", \t");
		if (list[0] == '*')
			return true;
		if (strncmp(list, "W/", 2) == 0)
			list += 2;
		size_t item = strcspn(list, ",");
		if (strncmp(list, etag, len) == 0 &&
		    strspn(list + len, " \t") + len == item)
			return true;
		list += item;
	}
	return false;
}
