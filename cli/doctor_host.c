// SPDX-License-Identifier: Apache-2.0
/* This machine: clock, memory, files, disk. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/modes.h"
#include "ca/crl.h"
#include "cli/doctor.h"
#include "policies/policy.h"
#include "store/audit.h"

/* Nobody made a Signet before; a clock that says so has lost its battery. */
#define PLAUSIBLE_FROM INT64_C(1767225600) /* 2026-01-01 */
#define PLAUSIBLE_SPAN (100 * 365 * INT64_C(86400))
#define MEMLOCK_WANTED ((rlim_t)8 * 1024 * 1024)
#define DISK_LOW ((uint64_t)1 << 30)
#define DISK_FULL ((uint64_t)64 << 20)

static void check_synchronised(struct doctor *doctor)
{
	struct timex timex = {.modes = 0};
	int state = adjtimex(&timex);

	if (state >= 0 && state != TIME_ERROR &&
	    (timex.status & STA_UNSYNC) == 0)
		doctor_say(doctor, "clock.sync", HEALTH_OK, NULL,
		    "the kernel's clock is synchronised");
	else
		doctor_say(doctor, "clock.sync", HEALTH_WARN,
		    "start a time service: apt install chrony",
		    "the kernel's clock is not synchronised: validity and CRL "
		    "times drift with it");
}

static void check_memlock(struct doctor *doctor)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
	    limit.rlim_cur < MEMLOCK_WANTED)
		doctor_say(doctor, "memlock", HEALTH_WARN,
		    "LimitMEMLOCK=64M in the unit, or ulimit -l 65536",
		    "only %llu KiB may be locked by what is started here; "
		    "signetd locks 4 MiB for secrets",
		    (unsigned long long)limit.rlim_cur / 1024);
	else
		doctor_say(doctor, "memlock", HEALTH_OK, NULL,
		    "secrets can be locked in memory");
}

/* What is missing is told here; how open a file is, base/modes.h judges, so that
 * what is called good here is what the server takes. */
static bool check_there(struct doctor *doctor, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return true;
	doctor_say(doctor, "files", HEALTH_FAIL, NULL, "%s: %m", path);
	return false;
}

static bool say_mode(
    struct doctor *doctor, enum err_code code, const struct err *err)
{
	if (code == ERR_OK || code == ERR_NOT_FOUND)
		return true;
	doctor_say(doctor, "files", HEALTH_FAIL, NULL, "%s", doctor_why(err));
	return false;
}

static void check_files(struct doctor *doctor)
{
	const struct config *config = doctor->config;
	OWNED_STR(admin_key) = fs_join(config->dir, "admin/key.pem");
	OWNED_STR(so_pin) = fs_join(config->dir, "so-pin");
	OWNED_STR(root) = fs_join(config->dir, "ca.pem");
	const char *const needed[] = {config->policies, config->store.path,
	    config->hsm.pin_file, config->tls.certificate, config->tls.key};
	/* Beside what the configuration names. */
	const struct {
		const char *path;
		enum modes_rule rule;
	} others[] = {
	    {config->dir, MODES_STABLE},
	    {so_pin, MODES_SECRET},
	    {admin_key, MODES_PRIVATE},
	    {root, MODES_STABLE},
	};
	struct err err = {0};
	bool good = true;

	for (size_t i = 0; i < ARRAY_LEN(needed); i++)
		good &= check_there(doctor, needed[i]);
	good &= say_mode(doctor, modes_check_config(config, &err), &err);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		err = (struct err){0};
		good &= say_mode(doctor,
		    modes_check_path(others[i].path, others[i].rule, &err),
		    &err);
	}
	if (good)
		doctor_say(doctor, "files", HEALTH_OK, NULL,
		    "files and folders are closed to others");
}

static void check_disk(struct doctor *doctor)
{
	const char *path = doctor->config->store.path;
	struct statvfs fs;

	if (statvfs(path, &fs) != 0) {
		doctor_say(doctor, "disk", HEALTH_FAIL, NULL, "%s: %m", path);
		return;
	}
	uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
	enum health health = left < DISK_FULL  ? HEALTH_FAIL
			     : left < DISK_LOW ? HEALTH_WARN
					       : HEALTH_OK;
	doctor_say(doctor, "disk", health,
	    health == HEALTH_OK ? NULL : "make room, or move store.path",
	    "%llu MiB are free for the store%s",
	    (unsigned long long)(left >> 20),
	    health == HEALTH_OK ? ""
				: ": a full disk stops issuing and revoking");
}

static void check_policies(struct doctor *doctor)
{
	OWNED(policy_set) set = NULL;
	struct err err = {0};

	if (policy_set_load(doctor->config->policies, &set, &err) != ERR_OK)
		doctor_say(doctor, "policies", HEALTH_FAIL,
		    "signet policy check FILE", "%s", doctor_why(&err));
	else
		doctor_say(doctor, "policies",
		    policy_set_count(set) > 0 ? HEALTH_OK : HEALTH_WARN, NULL,
		    "%zu policies are well-formed", policy_set_count(set));
}

void doctor_check_host(struct doctor *doctor)
{
	check_synchronised(doctor);
	check_memlock(doctor);
	check_files(doctor);
	check_disk(doctor);
	check_policies(doctor);
}

static bool take_time(
    const struct audit_entry *entry, const uint8_t head[static 32], void *arg)
{
	(void)head;
	*(int64_t *)arg = entry->time_ms / 1000;
	return false;
}

/* The latest second that the records know of. */
static int64_t last_recorded(struct doctor *doctor, struct err *err)
{
	struct audit_head head;
	int64_t last = 0;

	if (audit_head(doctor->store, &head, err) != ERR_OK ||
	    (head.sequence > 0 && audit_read(doctor->store, head.sequence, 1,
				      take_time, &last, err) != ERR_OK))
		return -1;
	for (size_t i = 0; i < issuer_set_count(doctor->issuers); i++) {
		OWNED(crl) crl = NULL;

		if (crl_find(doctor->store,
			issuer_set_at(doctor->issuers, i)->id, &crl,
			err) != ERR_OK)
			return -1;
		if (crl != NULL && crl->this_update > last)
			last = crl->this_update;
	}
	return last;
}

static void check_map(struct doctor *doctor)
{
	struct store_stats stats;

	store_stats(doctor->store, &stats);
	uint64_t percent =
	    stats.map_size == 0 ? 0 : stats.used / (stats.map_size / 100 + 1);
	enum health health = percent >= 95   ? HEALTH_FAIL
			     : percent >= 80 ? HEALTH_WARN
					     : HEALTH_OK;
	doctor_say(doctor, "store", health,
	    health == HEALTH_OK ? NULL : "raise store.map_size_mib and restart",
	    "the store opens; %llu MiB, %llu %% of its map, are used",
	    (unsigned long long)(stats.used >> 20),
	    (unsigned long long)percent);
}

void doctor_check_clock(struct doctor *doctor)
{
	const int64_t now = clock_now();
	struct err err = {0};
	int64_t last = 0;

	if (doctor->issuers != NULL) {
		check_map(doctor);
		last = last_recorded(doctor, &err);
	}
	if (last < 0)
		doctor_say(doctor, "clock", HEALTH_FAIL,
		    "restore a backup: signet restore FILE --dir DIR",
		    "the records do not tell their time: %s", doctor_why(&err));
	else if (now < PLAUSIBLE_FROM || now > PLAUSIBLE_FROM + PLAUSIBLE_SPAN)
		doctor_say(doctor, "clock", HEALTH_FAIL, "set the clock",
		    "the clock is not plausible");
	else if (now < last)
		doctor_say(doctor, "clock", HEALTH_FAIL,
		    "set the clock; nothing issued meanwhile is to be trusted",
		    "the clock is %lld seconds behind the latest record",
		    (long long)(last - now));
	else
		doctor_say(doctor, "clock", HEALTH_OK, NULL,
		    "the clock is plausible and not behind the records");
}
