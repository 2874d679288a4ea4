// SPDX-License-Identifier: Apache-2.0
#include "harness.h"
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>
#include "api/job.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"

#define FAR INT64_MAX

/* A job that tells when it begins and waits to be let go. */
struct gate {
	struct job job;
	sem_t begun, go, ended;
	bool expired;
	pthread_t thread;
};

static void pass_gate(struct job *job, bool expired)
{
	struct gate *gate = (struct gate *)(void *)job;
	gate->expired = expired;
	gate->thread = pthread_self();
	sem_post(&gate->begun);
	if (!expired)
		sem_wait(&gate->go);
}

static void end_gate(struct job *job)
{
	sem_post(&((struct gate *)(void *)job)->ended);
}

static void gate_init(struct gate *gate, int64_t deadline_ms)
{
	*gate = (struct gate){.job = {
	    .run = pass_gate, .end = end_gate, .deadline_ms = deadline_ms}};
	sem_init(&gate->begun, 0, 0);
	sem_init(&gate->go, 0, 0);
	sem_init(&gate->ended, 0, 0);
}

static struct jobs *open_jobs(unsigned threads, unsigned capacity)
{
	struct jobs *jobs = NULL;
	struct err err = {0};
	const struct jobs_options options = {threads, threads, capacity};
	assert_ok(jobs_open(&options, &jobs, &err));
	return jobs;
}

static void submit(struct jobs *jobs, struct gate *gate)
{
	assert_true(jobs_reserve(jobs));
	jobs_submit(jobs, &gate->job);
}

static void a_job_runs_on_another_thread(void **state)
{
	struct jobs *jobs = open_jobs(2, 4);
	struct gate gate;
	(void)state;
	gate_init(&gate, FAR);
	submit(jobs, &gate);
	sem_post(&gate.go);
	sem_wait(&gate.ended);
	assert_false(gate.expired);
	assert_false(pthread_equal(gate.thread, pthread_self()));
	jobs_close(jobs);
}

static void a_full_queue_refuses_at_once_and_takes_again_when_there_is_room(
    void **state)
{
	struct jobs *jobs = open_jobs(1, 2);
	struct gate gates[3];
	struct jobs_stats stats;
	(void)state;
	for (size_t i = 0; i < 3; i++)
		gate_init(&gates[i], FAR);
	submit(jobs, &gates[0]);
	sem_wait(&gates[0].begun);
	submit(jobs, &gates[1]);
	submit(jobs, &gates[2]);
	assert_false(jobs_reserve(jobs));
	jobs_stats(jobs, &stats);
	assert_int_equal(stats.waiting, 2);
	assert_int_equal(stats.running, 1);
	assert_int_equal(stats.shed, 1);
	sem_post(&gates[0].go);
	sem_wait(&gates[1].begun);
	assert_true(jobs_reserve(jobs));
	struct gate last;
	gate_init(&last, FAR);
	jobs_submit(jobs, &last.job);
	sem_post(&gates[1].go);
	sem_post(&gates[2].go);
	sem_post(&last.go);
	sem_wait(&last.ended);
	jobs_close(jobs);
}

static void a_place_reserved_and_not_yet_used_counts(void **state)
{
	struct jobs *jobs = open_jobs(1, 1);
	struct gate gate;
	(void)state;
	assert_true(jobs_reserve(jobs));
	assert_false(jobs_reserve(jobs));
	gate_init(&gate, FAR);
	sem_post(&gate.go);
	jobs_submit(jobs, &gate.job);
	sem_wait(&gate.ended);
	assert_true(jobs_reserve(jobs));
	gate_init(&gate, FAR);
	sem_post(&gate.go);
	jobs_submit(jobs, &gate.job);
	sem_wait(&gate.ended);
	jobs_close(jobs);
}

static void a_job_past_its_deadline_is_told_so_and_does_not_run(void **state)
{
	struct jobs *jobs = open_jobs(1, 1);
	struct gate gate;
	(void)state;
	gate_init(&gate, clock_mono_ms() - 1);
	submit(jobs, &gate);
	sem_wait(&gate.ended);
	assert_true(gate.expired);
	jobs_close(jobs);
}

static void jobs_whose_deadline_passes_while_threads_are_busy_are_ended(
    void **state)
{
	struct jobs *jobs = open_jobs(1, 3);
	struct gate busy, first, second;
	struct jobs_stats stats;
	int64_t now = clock_mono_ms();
	(void)state;
	gate_init(&busy, FAR);
	gate_init(&first, now + 1000);
	gate_init(&second, now + 100000);
	submit(jobs, &busy);
	sem_wait(&busy.begun);
	submit(jobs, &first);
	submit(jobs, &second);
	jobs_expire(jobs, now + 2000);
	sem_wait(&first.ended);
	assert_true(first.expired);
	assert_true(pthread_equal(first.thread, pthread_self()));
	jobs_stats(jobs, &stats);
	assert_int_equal(stats.waiting, 1);
	assert_int_equal(stats.expired, 1);
	sem_post(&busy.go);
	sem_post(&second.go);
	sem_wait(&second.ended);
	assert_false(second.expired);
	jobs_close(jobs);
}

static void draining_takes_no_more_and_waits_for_what_runs(void **state)
{
	struct jobs *jobs = open_jobs(1, 2);
	struct gate running, waiting;
	(void)state;
	gate_init(&running, FAR);
	gate_init(&waiting, FAR);
	submit(jobs, &running);
	sem_wait(&running.begun);
	submit(jobs, &waiting);
	assert_false(jobs_drain(jobs, 1));
	assert_false(jobs_reserve(jobs));
	sem_post(&running.go);
	sem_post(&waiting.go);
	assert_true(jobs_drain(jobs, 60000));
	sem_wait(&waiting.ended);
	jobs_close(jobs);
}

static void an_idle_queue_is_drained_at_once(void **state)
{
	struct jobs *jobs = open_jobs(1, 1);
	(void)state;
	assert_true(jobs_drain(jobs, 0));
	jobs_close(jobs);
}

/* Many threads submit; each job is run exactly once. */
enum { SUBMITTERS = 4, EACH = 500 };

struct tally {
	struct job job;
	_Atomic unsigned *runs;
};

struct submitter {
	struct jobs *jobs;
	_Atomic unsigned *runs, *taken;
};

static void count_run(struct job *job, bool expired)
{
	struct tally *tally = (struct tally *)(void *)job;
	(void)expired;
	(*tally->runs)++;
}

static void end_tally(struct job *job)
{
	free(job);
}

/* A job that waits as jobs do. */
struct pause {
	struct job job;
	struct waiter waiter;
	sem_t begun, ended;
	pthread_t thread;
	int log_fd;	/* -1: not looked at */
	bool logged;	/* when it was ended */
};

static bool is_readable(int fd)
{
	struct pollfd poll_fd = {fd, POLLIN, 0};
	return poll(&poll_fd, 1, 0) == 1;
}

static void pause_once(struct job *job, bool expired)
{
	struct pause *pause = (struct pause *)(void *)job;
	(void)expired;
	pause->thread = pthread_self();
	waiter_init(&pause->waiter);
	sem_post(&pause->begun);
	(void)waiter_wait(&pause->waiter, WAIT_FOREVER);
	LOG(INFO, "waited");
}

static void end_pause(struct job *job)
{
	struct pause *pause = (struct pause *)(void *)job;
	pause->logged = pause->log_fd < 0 || is_readable(pause->log_fd);
	sem_post(&pause->ended);
}

static void go_on(struct pause *pause)
{
	struct bells bells = {0};
	waiter_end(&pause->waiter, &bells);
	bells_ring(&bells);
}

static void jobs_that_wait_share_a_thread_up_to_the_number_at_once(void **state)
{
	const struct jobs_options options = {1, 2, 3};
	struct jobs *jobs = NULL;
	struct pause pauses[3];
	struct jobs_stats stats;
	struct err err = {0};
	(void)state;
	assert_ok(jobs_open(&options, &jobs, &err));
	for (size_t i = 0; i < 3; i++) {
		pauses[i] = (struct pause){
		    .job = {.run = pause_once,
			.end = end_pause,
			.deadline_ms = FAR},
		    .log_fd = -1};
		sem_init(&pauses[i].begun, 0, 0);
		sem_init(&pauses[i].ended, 0, 0);
		assert_true(jobs_reserve(jobs));
		jobs_submit(jobs, &pauses[i].job);
	}
	sem_wait(&pauses[0].begun);
	sem_wait(&pauses[1].begun);
	assert_true(pthread_equal(pauses[0].thread, pauses[1].thread));
	jobs_stats(jobs, &stats);
	assert_int_equal(stats.running, 2);
	assert_int_equal(stats.waiting, 1);
	go_on(&pauses[1]);
	sem_wait(&pauses[1].ended);
	sem_wait(&pauses[2].begun);
	go_on(&pauses[0]);
	sem_wait(&pauses[0].ended);
	go_on(&pauses[2]);
	jobs_close(jobs);
	sem_wait(&pauses[2].ended);
}

static void a_job_is_ended_when_what_it_logged_is_written(void **state)
{
	struct jobs *jobs = open_jobs(1, 1);
	struct pause pause = {.job = {
	    .run = pause_once, .end = end_pause, .deadline_ms = FAR}};
	int lines[2];
	(void)state;
	assert_int_equal(pipe(lines), 0);
	log_open(lines[1], "test", LOG_INFO);
	pause.log_fd = lines[0];
	sem_init(&pause.begun, 0, 0);
	sem_init(&pause.ended, 0, 0);
	assert_true(jobs_reserve(jobs));
	jobs_submit(jobs, &pause.job);
	sem_wait(&pause.begun);
	assert_false(is_readable(lines[0]));
	go_on(&pause);
	sem_wait(&pause.ended);
	assert_true(pause.logged);
	jobs_close(jobs);
	log_open(STDERR_FILENO, "test", LOG_INFO);
	close(lines[0]);
	close(lines[1]);
}

static void *submit_many(void *arg)
{
	struct submitter *submitter = arg;
	for (int i = 0; i < EACH; i++) {
		if (!jobs_reserve(submitter->jobs))
			continue;
		struct tally *tally = mem_zalloc(sizeof(*tally));
		tally->job = (struct job){
		    .run = count_run, .end = end_tally, .deadline_ms = FAR};
		tally->runs = submitter->runs;
		(*submitter->taken)++;
		jobs_submit(submitter->jobs, &tally->job);
	}
	return NULL;
}

static void each_job_that_was_taken_runs_exactly_once(void **state)
{
	struct jobs *jobs = open_jobs(3, 8);
	_Atomic unsigned runs = 0, taken = 0;
	struct submitter submitter = {jobs, &runs, &taken};
	pthread_t threads[SUBMITTERS];
	(void)state;
	for (int i = 0; i < SUBMITTERS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, submit_many, &submitter),
		    0);
	for (int i = 0; i < SUBMITTERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(jobs_drain(jobs, 60000));
	assert_int_equal(runs, taken);
	assert_true(taken > 0);
	jobs_close(jobs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_job_runs_on_another_thread),
	    cmocka_unit_test(
		a_full_queue_refuses_at_once_and_takes_again_when_there_is_room),
	    cmocka_unit_test(a_place_reserved_and_not_yet_used_counts),
	    cmocka_unit_test(
		a_job_past_its_deadline_is_told_so_and_does_not_run),
	    cmocka_unit_test(
		jobs_whose_deadline_passes_while_threads_are_busy_are_ended),
	    cmocka_unit_test(draining_takes_no_more_and_waits_for_what_runs),
	    cmocka_unit_test(an_idle_queue_is_drained_at_once),
	    cmocka_unit_test(
		jobs_that_wait_share_a_thread_up_to_the_number_at_once),
	    cmocka_unit_test(
		a_job_is_ended_when_what_it_logged_is_written),
	    cmocka_unit_test(each_job_that_was_taken_runs_exactly_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
