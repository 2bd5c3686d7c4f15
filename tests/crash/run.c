/* SPDX-License-Identifier: MIT */
/*
 * Runs of one path: once to its end, once by single steps, and then anew for each point that is
 * chosen, killed there or frozen there while the others go on; and for pairs of points, the second
 * being where the one that repairs after the victim is killed.
 */
#include "run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Points that make a difference to others are seams, and those where the memory has just changed:
 * whoever is killed between two of them leaves what it left at the first. The short form kills at
 * all of these, and at about SHORT_SOME others; when it looks for the first violation alone, as for
 * a mutant, at all of a path of up to FIRST_ALL, and at the last FIRST_LAST of a longer one, too.
 * It freezes at every other point that it kills at. */
#define SHORT_SOME 120u
#define FIRST_ALL  3000u
#define FIRST_LAST 300u

/* Pairs are of points that make a difference. The long form has all of them, the short form about
 * so many of each path. */
#define SHORT_FIRSTS  4u
#define SHORT_SECONDS 8u

enum mode { MODE_COMPLETE, MODE_TRACE, MODE_KILL, MODE_FREEZE, MODE_REPAIR, MODE_PAIR };

uint64_t run_random(uint64_t *state)
{
    /* splitmix64 */
    uint64_t mixed = (*state += UINT64_C(0x9e3779b97f4a7c15));
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

void run_empty_folder(const char *folder, const char *inner, struct world *world)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, inner);
    DIR *listing = opendir(path);
    if (listing == NULL)
        return;
    for (struct dirent *found = readdir(listing); found != NULL; found = readdir(listing)) {
        char name[320];
        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
            continue;
        if (world != NULL)
            world_fail(world, "%s is left behind", found->d_name);
        snprintf(name, sizeof name, "%s%s%s", inner, inner[0] ? "/" : "", found->d_name);
        if (inner[0] == 0)
            run_empty_folder(folder, found->d_name, NULL);
        unlinkat(dirfd(listing), found->d_name, 0);
        unlinkat(dirfd(listing), found->d_name, AT_REMOVEDIR);
    }
    closedir(listing);
}

static void be_victim(const struct worker *worker)
{
    struct victim victim = {.path = worker->path, .record = worker->record};
    const struct path *path = worker->path;
    if (path->setup != NULL)
        path->setup(&victim);
    step_mark_begin();
    path->call(&victim);
    step_mark_end();
    if (path->finish != NULL)
        path->finish(&victim);
    _exit(0);
}

/* A victim that ended by itself where it should not have. */
static void died(struct world *world, int status)
{
    if (world->record->failure[0] != 0)
        world_fail(world, "the victim: %s", world->record->failure);
    else if (WIFSTOPPED(status))
        world_fail(world, "the victim got signal %d", WSTOPSIG(status));
    else
        world_fail(world, "the victim ended with status 0x%x", status);
}

/* From the end mark on: what comes late, and the victim's own end. */
static void complete(struct world *world, pid_t child)
{
    if (world->path->late != NULL)
        world->path->late(world);
    int status = step_release(child);
    world->is_frozen = 1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        died(world, status);
}

static void be_repairer(const struct worker *worker)
{
    worker->record->repaired = REPAIR_UNDONE;
    step_mark_begin();
    int result = worker->path->repair();
    step_mark_end();
    worker->record->repaired = result;
    _exit(0);
}

/* Somebody repairs what the victim left, and is single-stepped or killed over it. */
static void repair(struct worker *worker, struct world *world, enum mode mode)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        be_repairer(worker);
    enum step_end end = child > 0 ? step_await(child, &status) : STEP_DIED;
    worker->repair.count = mode == MODE_REPAIR ? 0 : worker->repair.count;
    if (end == STEP_REACHED && mode == MODE_REPAIR)
        end = step_through(child, &worker->repair, run_memory_changed, &status);
    else if (end == STEP_REACHED)
        end = step_to(child, &worker->repair.points[worker->repair_point], &status);
    if (end == STEP_REACHED) {
        step_kill(child);
        worker->outcome->pairs++;
    } else if (end == STEP_MARK) {
        worker->outcome->missed += mode == MODE_PAIR;
        status = step_release(child);
        if (!WIFEXITED(status) || world->record->repaired != 0)
            world_fail(world, "the repairer ended with status 0x%x and got %d", status,
                       world->record->repaired);
    } else {
        world_fail(world, "the repairer ended with status 0x%x", status);
    }
}

/* Takes the victim to where the mode says. */
static void drive(struct worker *worker, struct world *world, pid_t child, enum mode mode,
                  const struct point *point)
{
    int status = 0;
    enum step_end end = step_await(child, &status);
    if (end == STEP_REACHED && world->path->ready != NULL)
        world->path->ready(world);
    if (end == STEP_REACHED && mode == MODE_TRACE)
        end = step_through(child, &worker->trace, run_memory_changed, &status);
    else if (end == STEP_REACHED && point != NULL)
        end = step_to(child, point, &status);
    else if (end == STEP_REACHED)
        end = step_on(child, &status);
    if (point != NULL && end == STEP_MARK)
        worker->outcome->missed++;
    if (end == STEP_REACHED && mode == MODE_FREEZE) {
        world->is_pressed = 1;
        world->path->pressure(world);
        worker->outcome->freezes++;
        end = step_on(child, &status);
    }
    if (end == STEP_REACHED) {
        step_kill(child);
        worker->outcome->kills++;
        if (mode == MODE_REPAIR || mode == MODE_PAIR)
            repair(worker, world, mode);
    } else if (end == STEP_MARK) {
        complete(world, child);
    } else {
        died(world, status);
        if (!WIFEXITED(status) && !WIFSIGNALED(status))
            step_kill(child);
    }
}

static void report(struct worker *worker, const struct world *world, enum mode mode, size_t k)
{
    static const char *const names[] = {"complete", "stepped",  "killed",
                                        "frozen",   "repaired", "killed"};
    struct outcome *outcome = worker->outcome;
    char second[64] = "";
    if (mode == MODE_PAIR)
        snprintf(second, sizeof second, " and its repairer at %zu of %zu", worker->repair_point,
                 worker->repair.count);
    if (outcome->violations < TEXTS)
        snprintf(outcome->text[outcome->violations], sizeof outcome->text[0],
                 "%s at point %zu of %zu%s: %s", names[mode], k, worker->trace.count, second,
                 world->failure);
    outcome->violations++;
}

/* One run of the path, k being the point's number. */
static void run(struct worker *worker, enum mode mode, size_t k)
{
    struct world world = {.draw = worker->draw, .turn = k};
    const struct path *path = worker->path;
    const struct point *point = mode >= MODE_KILL ? &worker->trace.points[k] : NULL;
    world_begin(&world, path, worker->record);
    if (path->before != NULL && world.failure[0] == 0)
        path->before(&world);
    pid_t child = world.failure[0] == 0 ? fork() : -1;
    if (child == 0)
        be_victim(worker);
    if (child < 0) {
        world_fail(&world, "no victim: %s", strerror(errno));
    } else {
        drive(worker, &world, child, mode, point);
        if (path->after != NULL && world.failure[0] == 0)
            path->after(&world);
    }
    world_end(&world);
    run_empty_folder(worker->folder, "", &world);
    worker->outcome->repairs += world.repairs;
    if (world.failure[0] != 0)
        report(worker, &world, mode, k);
}

/* Is this point one to be run? */
static int is_chosen(const struct worker *worker, const struct options *options, size_t k,
                     uint64_t *random)
{
    size_t count = worker->trace.count;
    if (k % options->parts != options->part)
        return 0;
    if (options->is_long || worker->trace.points[k].is_new)
        return 1;
    if (options->until_first && (count <= FIRST_ALL || k + FIRST_LAST >= count))
        return 1;
    return run_random(random) % count < SHORT_SOME;
}

/* Each point that is chosen, killed and frozen. */
static void run_points(struct worker *worker, const struct options *options, uint64_t *random)
{
    for (size_t k = 0; k < worker->trace.count; k++) {
        if (options->until_first && worker->outcome->violations > 0)
            break;
        if (!is_chosen(worker, options, k, random))
            continue;
        run(worker, MODE_KILL, k);
        if (worker->path->pressure != NULL &&
            (options->is_long || options->until_first || (k ^ worker->draw) & 1))
            run(worker, MODE_FREEZE, k);
    }
}

/* Takes about so many of the points that make a difference; 0: all of them. */
static int is_taken(const struct trace *trace, size_t k, uint32_t some, uint64_t *random)
{
    uint32_t count = 0;
    if (!trace->points[k].is_new)
        return 0;
    if (some == 0)
        return 1;
    for (size_t i = 0; i < trace->count; i++)
        count += trace->points[i].is_new;
    return run_random(random) % count < some;
}

/* The victim dies at a point, and its repairer at any. */
static void run_pairs(struct worker *worker, const struct options *options, uint64_t *random)
{
    struct outcome *outcome = worker->outcome;
    for (size_t k = 0; k < worker->trace.count; k++) {
        if (k % options->parts != options->part ||
            !is_taken(&worker->trace, k, options->is_long ? 0 : SHORT_FIRSTS, random))
            continue;
        run(worker, MODE_REPAIR, k);
        for (size_t j = 0; j < worker->repair.count; j++) {
            if (options->until_first && outcome->violations > 0)
                return;
            if (!is_taken(&worker->repair, j, options->is_long ? 0 : SHORT_SECONDS, random))
                continue;
            worker->repair_point = j;
            run(worker, MODE_PAIR, k);
        }
    }
}

void run_all(struct worker *worker, const struct options *options)
{
    struct outcome *outcome = worker->outcome;
    uint64_t random = worker->draw;
    run(worker, MODE_COMPLETE, 0);
    if (outcome->violations == 0)
        run(worker, MODE_TRACE, 0);
    outcome->points = worker->trace.count;
    if (!options->pairs_alone)
        run_points(worker, options, &random);
    if (worker->path->repair != NULL && !options->points_alone &&
        !(options->until_first && outcome->violations > 0))
        run_pairs(worker, options, &random);
    outcome->is_done = 1;
}
