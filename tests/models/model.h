/* SPDX-License-Identifier: MIT */
/*
 * What a model is: memory that is set up by begin(), some threads that run at once, and end(),
 * which looks at what came of it. Whatever must hold is assert()ed, in the threads or in end().
 *
 * A model checker explores main() once, over every execution that the memory model allows
 * (MODEL_CHECKER). Natively the same is run over and over, so that threads meet at random.
 *
 * No thread waits for another: one that finds nothing to do returns, and the executions in which it
 * came later are others.
 */
#ifndef SHMBUS_MODEL_H
#define SHMBUS_MODEL_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

/* Some libraries' assert() is nothing in a release build. */
#ifdef NDEBUG
#error "models are nothing without assert()"
#endif

#define MODEL_THREADS_MAX 4

typedef void *model_thread(void *unused);

#ifdef MODEL_CHECKER

static void model_run(void (*begin)(void), model_thread *const *threads, int count,
                      void (*end)(void))
{
    pthread_t made[MODEL_THREADS_MAX];
    begin();
    for (int i = 0; i < count; i++)
        pthread_create(&made[i], NULL, threads[i], NULL);
    for (int i = 0; i < count; i++)
        pthread_join(made[i], NULL);
    end();
}

#else

#include <sched.h>

static struct {
    model_thread *thread[MODEL_THREADS_MAX];
    _Atomic uint32_t round; /* that the threads are to run */
    _Atomic uint32_t ended; /* how many have, of all rounds */
} model;

/* Two processors may have to run all threads: who waits gives its own up. */
static void model_await(_Atomic uint32_t *word, uint32_t value)
{
    for (uint32_t i = 1; atomic_load_explicit(word, memory_order_acquire) != value; i++)
        if (i % 64 == 0)
            sched_yield();
}

static void *model_rounds(void *which)
{
    model_thread *const *thread = which;
    const char *rounds = getenv("SHMBUS_MODEL_ROUNDS");
    uint32_t count = (uint32_t)strtoul(rounds != NULL ? rounds : "2000", NULL, 10);
    for (uint32_t i = 1; i <= count; i++) {
        model_await(&model.round, i);
        (*thread)(NULL);
        atomic_fetch_add_explicit(&model.ended, 1, memory_order_release);
    }
    return NULL;
}

static void model_run(void (*begin)(void), model_thread *const *threads, int count,
                      void (*end)(void))
{
    pthread_t made[MODEL_THREADS_MAX];
    const char *given = getenv("SHMBUS_MODEL_ROUNDS");
    uint32_t rounds = (uint32_t)strtoul(given != NULL ? given : "2000", NULL, 10);
    for (int i = 0; i < count; i++) {
        model.thread[i] = threads[i];
        pthread_create(&made[i], NULL, model_rounds, &model.thread[i]);
    }
    for (uint32_t i = 1; i <= rounds; i++) {
        begin();
        atomic_store_explicit(&model.round, i, memory_order_release);
        model_await(&model.ended, i * (uint32_t)count);
        end();
    }
    for (int i = 0; i < count; i++)
        pthread_join(made[i], NULL);
}

#endif

#endif
