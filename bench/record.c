/* SPDX-License-Identifier: MIT */
/*
 * What recording costs beside the least that its work takes, in one run, each pair one after the
 * other: writing beside LZ4's block compressor on the same bytes in memory, reading beside its
 * decompressor and beside reading the file alone (as dd does), and a producer with a required
 * recorder beside one with a consumer that only counts. Prints each pair, and the medians of the
 * ratios; time never fails anything.
 *
 *   shmbus-bench-record [--pairs N] [--only WORDS] [--folder DIR] DATA
 *
 * Each line of DATA is a message; they are taken over and over until there are PLAIN_BYTES of
 * records.
 */
#include "cpu.h"
#include "stats.h"
#include "topology.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <lz4.h>
#include <shmbus/record.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLAIN_BYTES (128u << 20)
#define BLOCK_BYTES 262144u
#define RECORD_HEAD 48u /* of a record in a block: docs/recording.md */
#define PAIRS       20u
#define PAIRS_MAX   200u
#define RATE        1000000u
#define RATE_NS     1500000000u
#define MESSAGE     48u
#define BUS         "bench-record"
#define SECOND_NS   1000000000u

struct line {
    const char *data;
    uint32_t length;
};

static struct {
    char *file; /* DATA */
    struct line *lines;
    uint32_t line_count;
    uint64_t record_count; /* that make PLAIN_BYTES */
    uint64_t plain_bytes;
    char *plain;  /* what the records are in blocks, as LZ4 gets it */
    char *packed; /* the same, each block by itself */
    int *packed_bytes;
    uint32_t blocks;
    char path[512]; /* of the recording */
    struct pinning pinning;
} bench;

_Noreturn static void fail(const char *what, const char *why)
{
    fprintf(stderr, "shmbus-bench-record: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static void must(int result, const char *what)
{
    if (result < 0)
        fail(what, shmbus_record_error_text()[0] ? shmbus_record_error_text() : strerror(-result));
}

static void *memory(size_t bytes)
{
    void *found = malloc(bytes);
    if (found == NULL)
        fail("memory", strerror(ENOMEM));
    memset(found, 0, bytes); /* touched before anything is timed */
    return found;
}

static const struct line *line_of(uint64_t record)
{
    return &bench.lines[record % bench.line_count];
}

static uint64_t record_bytes(uint32_t length)
{
    return RECORD_HEAD + (length + 7u) / 8u * 8u;
}

/* ---- the data ---- */

static void read_lines(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    const off_t length = file >= 0 ? lseek(file, 0, SEEK_END) : -1;
    if (length <= 0)
        fail(path, file < 0 ? strerror(errno) : "is empty");
    bench.file = memory((size_t)length + 1);
    if (pread(file, bench.file, (size_t)length, 0) != length)
        fail(path, strerror(errno));
    close(file);
    bench.lines = memory(((size_t)length + 1) * sizeof *bench.lines);
    for (char *at = bench.file; *at != 0;) {
        char *end = strchrnul(at, '\n');
        bench.lines[bench.line_count++] = (struct line){at, (uint32_t)(end - at)};
        at = *end != 0 ? end + 1 : end;
    }
}

/* What the recorder's blocks have in them, near enough: heads of records with numbers that rise. */
static void lay_out(void)
{
    bench.plain = memory(PLAIN_BYTES + BLOCK_BYTES);
    for (; bench.plain_bytes < PLAIN_BYTES; bench.record_count++) {
        const struct line *line = line_of(bench.record_count);
        char *at = bench.plain + bench.plain_bytes;
        const uint64_t words[] = {(uint64_t)1 << 32 | line->length,
                                  1000 + bench.record_count,
                                  1,
                                  cpu_nanoseconds(),
                                  cpu_nanoseconds(),
                                  0};
        memcpy(at, words, sizeof words);
        memcpy(at + RECORD_HEAD, line->data, line->length);
        bench.plain_bytes += record_bytes(line->length);
    }
    bench.blocks = (uint32_t)(bench.plain_bytes / BLOCK_BYTES);
    bench.packed = memory((size_t)bench.blocks * (size_t)LZ4_compressBound(BLOCK_BYTES));
    bench.packed_bytes = memory(bench.blocks * sizeof *bench.packed_bytes);
}

/* ---- ways, each returns bytes of records a second ---- */

static double rate(uint64_t bytes, uint64_t begun_ns)
{
    return (double)bytes * SECOND_NS / (double)(cpu_nanoseconds() - begun_ns);
}

static char *packed_at(uint32_t block)
{
    return bench.packed + (size_t)block * (size_t)LZ4_compressBound(BLOCK_BYTES);
}

static double compress_alone(void)
{
    const uint64_t begun_ns = cpu_nanoseconds();
    for (uint32_t i = 0; i < bench.blocks; i++)
        bench.packed_bytes[i] =
            LZ4_compress_default(bench.plain + (size_t)i * BLOCK_BYTES, packed_at(i), BLOCK_BYTES,
                                 LZ4_compressBound(BLOCK_BYTES));
    return rate((uint64_t)bench.blocks * BLOCK_BYTES, begun_ns);
}

static double decompress_alone(void)
{
    static char out[BLOCK_BYTES];
    const uint64_t begun_ns = cpu_nanoseconds();
    for (uint32_t i = 0; i < bench.blocks; i++)
        if (LZ4_decompress_safe(packed_at(i), out, bench.packed_bytes[i], BLOCK_BYTES) !=
            (int)BLOCK_BYTES)
            fail("decompressing", "it is not what it was");
    return rate((uint64_t)bench.blocks * BLOCK_BYTES, begun_ns);
}

/* The writing thread is begun on one of the two processors; the calling one is on the first. */
static double record_with(int writer_cpu)
{
    const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus, .capacity = 1024};
    const struct shmbus_recorder_options options = {
        .struct_bytes = sizeof options, .bus_name = BUS, .bus = &bus, .next_sequence = 1000};
    struct shmbus_recorder *recorder = NULL;
    unlink(bench.path);
    const uint64_t begun_ns = cpu_nanoseconds();
    topology_pin(writer_cpu);
    must(shmbus_recorder_open(bench.path, &options, &recorder), bench.path);
    topology_pin(bench.pinning.cpu[0]);
    for (uint64_t i = 0; i < bench.record_count; i++) {
        const struct line *line = line_of(i);
        const int64_t now_ns = (int64_t)cpu_nanoseconds();
        const struct shmbus_record record = {.kind = SHMBUS_RECORD_MESSAGE,
                                             .length = line->length,
                                             .sequence = 1000 + i,
                                             .count = 1,
                                             .publish_ns = now_ns - 100,
                                             .receive_ns = now_ns,
                                             .data = line->data};
        int result;
        while ((result = shmbus_recorder_put(recorder, &record)) == -EAGAIN)
            must(shmbus_recorder_wait(recorder, SECOND_NS), bench.path);
        must(result, bench.path);
    }
    must(shmbus_recorder_close(recorder), bench.path);
    return rate(bench.plain_bytes, begun_ns);
}

static double record_on_two(void)
{
    return record_with(bench.pinning.cpu[1]);
}

static double record_on_one(void)
{
    return record_with(bench.pinning.cpu[0]);
}

static double read_all(void)
{
    struct shmbus_recording *recording = NULL;
    struct shmbus_record record;
    uint64_t count = 0, sum = 0;
    int result;
    const uint64_t begun_ns = cpu_nanoseconds();
    must(shmbus_recording_open(bench.path, &recording), bench.path);
    while ((result = shmbus_recording_next(recording, &record)) == 1) {
        count++;
        sum += record.length;
    }
    must(result, bench.path);
    shmbus_recording_close(recording);
    if (count != bench.record_count || sum == 0)
        fail(bench.path, "another number of records than were put");
    return rate(bench.plain_bytes, begun_ns);
}

/* The file's bytes alone, as dd reads them; a second counted in bytes of records all the same. */
static double read_file(void)
{
    static char buffer[BLOCK_BYTES];
    const uint64_t begun_ns = cpu_nanoseconds();
    int file = open(bench.path, O_RDONLY | O_CLOEXEC);
    ssize_t count;
    while ((count = read(file, buffer, sizeof buffer)) > 0)
        continue;
    close(file);
    must(count < 0 ? -errno : 0, bench.path);
    return rate(bench.plain_bytes, begun_ns);
}

/* And writing them, from memory to a file beside it. */
static double write_file(void)
{
    char path[600];
    snprintf(path, sizeof path, "%s.copy", bench.path);
    const uint64_t begun_ns = cpu_nanoseconds();
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (uint32_t i = 0; i < bench.blocks; i++)
        if (write(file, packed_at(i), (size_t)bench.packed_bytes[i]) != bench.packed_bytes[i])
            fail(path, strerror(errno));
    close(file);
    const double found = rate((uint64_t)bench.blocks * BLOCK_BYTES, begun_ns);
    unlink(path);
    return found;
}

/* ---- a producer beside a consumer ---- */

static int count_only(const struct shmbus_message *message, void *context)
{
    *(uint64_t *)context += message->length;
    return 0;
}

struct put {
    struct shmbus_recorder *recorder;
    struct shmbus_consumer *consumer;
};

static int put_on(const struct shmbus_message *message, void *context)
{
    struct put *put = context;
    const struct shmbus_record record = {.kind = SHMBUS_RECORD_MESSAGE,
                                         .length = message->length,
                                         .sequence = message->sequence,
                                         .count = 1,
                                         .receive_ns = (int64_t)cpu_nanoseconds(),
                                         .data = message->data};
    int result;
    while ((result = shmbus_recorder_put(put->recorder, &record)) != 0) {
        if (result == -ENOBUFS && shmbus_consumer_valid(put->consumer, message) == 1)
            shmbus_recorder_flush(put->recorder);
        else if (result == -EAGAIN)
            must(shmbus_recorder_wait(put->recorder, SECOND_NS), bench.path);
        else
            must(result, bench.path);
    }
    return 0;
}

/* A process of its own: a required consumer that records, or only counts. */
static void consume(int records, int line)
{
    const struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                                    .kind = SHMBUS_REQUIRED};
    const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus, .capacity = 1024};
    const struct shmbus_recorder_options how = {
        .struct_bytes = sizeof how, .bus_name = BUS, .bus = &bus, .flags = SHMBUS_RECORD_ASK};
    struct put put = {0};
    uint64_t sum = 0;
    int result;
    topology_pin(bench.pinning.cpu[1]);
    unlink(bench.path);
    if (records)
        must(shmbus_recorder_open(bench.path, &how, &put.recorder), bench.path);
    while ((result = shmbus_consumer_open(BUS, &options, &put.consumer)) == -ENOENT)
        usleep(1000);
    must(result, BUS);
    must(write(line, "", 1) == 1 ? 0 : -errno, BUS);
    while (result >= 0) {
        result = records ? shmbus_consumer_poll(put.consumer, put_on, &put, 256)
                         : shmbus_consumer_poll(put.consumer, count_only, &sum, 256);
        if (result == 0)
            result = shmbus_consumer_wait(put.consumer, SECOND_NS);
        if (result == -ETIMEDOUT)
            result = 0;
    }
    shmbus_consumer_close(put.consumer);
    must(shmbus_recorder_close(put.recorder), bench.path);
    _exit(result == -EPIPE ? 0 : 1);
}

/* Publishes at a rate, or as fast as the consumer lets it (0). Returns messages a second. */
static double publish_beside(int records, uint64_t offered)
{
    const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus, .capacity = 65536};
    const struct shmbus_producer_options options = {.struct_bytes = sizeof options,
                                                    .full_timeout_ns = -1};
    struct shmbus_producer *producer = NULL;
    char message[MESSAGE];
    uint64_t sent = 0;
    int status = 0, line[2];
    shmbus_unlink(BUS, NULL);
    must(pipe(line) == 0 ? 0 : -errno, "pipe");
    pid_t child = fork();
    if (child == 0)
        consume(records, line[1]);
    close(line[1]);
    must(shmbus_producer_create(BUS, &bus, &options, &producer), BUS);
    if (read(line[0], message, 1) != 1)
        fail(BUS, "its consumer did not come");
    close(line[0]);
    const uint64_t begun_ns = cpu_nanoseconds();
    uint64_t now_ns = begun_ns;
    while (now_ns - begun_ns < RATE_NS) {
        const uint64_t due =
            offered == 0 ? sent + 64 : (now_ns - begun_ns) * offered / SECOND_NS + 1;
        for (; sent < due; sent++) {
            memcpy(message, line_of(sent)->data,
                   line_of(sent)->length < MESSAGE ? line_of(sent)->length : MESSAGE);
            must(shmbus_producer_publish(producer, 0, 0, message, MESSAGE), BUS);
        }
        now_ns = cpu_nanoseconds();
    }
    const double found = (double)sent * SECOND_NS / (double)(now_ns - begun_ns);
    shmbus_producer_close(producer);
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail(BUS, "its consumer failed");
    shmbus_unlink(BUS, NULL);
    return found;
}

static double at_rate_recorded(void)
{
    return publish_beside(1, RATE);
}

static double at_rate_counted(void)
{
    return publish_beside(0, RATE);
}

static double recorded(void)
{
    return publish_beside(1, 0);
}

static double counted(void)
{
    return publish_beside(0, 0);
}

/* ---- pairs ---- */

struct pair {
    const char *name;
    const char *unit;
    double scale;
    double (*subject)(void);
    double (*floor)(void);
    const char *asked;
};

static const struct pair pairs[] = {
    {"record / compressor", "MB/s", 1e6, record_on_two, compress_alone, "at least 0.8"},
    {"record, both threads on one core / compressor", "MB/s", 1e6, record_on_one, compress_alone,
     ""},
    {"record / writing the blocks", "MB/s", 1e6, record_on_two, write_file, ""},
    {"read back / decompressor", "MB/s", 1e6, read_all, decompress_alone, "at least 0.8"},
    {"read back / reading the file", "MB/s", 1e6, read_all, read_file, ""},
    {"1 M/s offered, recorded / counted", "M/s", 1e6, at_rate_recorded, at_rate_counted,
     "at least 0.97"},
    {"as fast as it goes, recorded / counted", "M/s", 1e6, recorded, counted, ""},
};

static void run_pair(const struct pair *pair, uint32_t count)
{
    double ratios[PAIRS_MAX], subjects[PAIRS_MAX], floors[PAIRS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        if (i % 2 == 0)
            floors[i] = pair->floor();
        subjects[i] = pair->subject();
        if (i % 2 == 1)
            floors[i] = pair->floor();
        ratios[i] = subjects[i] / floors[i];
        printf("  %.1f / %.1f %s\n", subjects[i] / pair->scale, floors[i] / pair->scale,
               pair->unit);
    }
    const struct spread ratio = spread_of(ratios, count);
    printf("%s: %.3f (%.2f..%.2f)%s%s; %.1f and %.1f %s\n", pair->name, ratio.median, ratio.least,
           ratio.most, pair->asked[0] ? ", asked: " : "", pair->asked,
           spread_of(subjects, count).median / pair->scale,
           spread_of(floors, count).median / pair->scale, pair->unit);
    fflush(stdout);
}

static int usage(int status)
{
    fprintf(
        status == 0 ? stdout : stderr,
        "Usage: shmbus-bench-record [--pairs N] [--only WORDS] [--folder DIR] DATA\n"
        "Records the lines of DATA in DIR (default .), beside what LZ4 and the disk take alone.\n");
    return status;
}

int main(int count, char **words)
{
    static const struct option known[] = {{"pairs", required_argument, NULL, 'p'},
                                          {"folder", required_argument, NULL, 'f'},
                                          {"only", required_argument, NULL, 'o'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    uint32_t pair_count = PAIRS;
    const char *folder = ".", *only = "";
    for (int found; (found = getopt_long(count, words, "", known, NULL)) >= 0;) {
        if (found == 'p')
            pair_count = (uint32_t)strtoul(optarg, NULL, 10);
        else if (found == 'f')
            folder = optarg;
        else if (found == 'o')
            only = optarg;
        else
            return usage(found == 'h' ? 0 : 2);
    }
    if (count - optind != 1 || pair_count == 0 || pair_count > PAIRS_MAX)
        return usage(2);
    bench.pinning = topology_choose();
    topology_pin(bench.pinning.cpu[0]);
    snprintf(bench.path, sizeof bench.path, "%s/bench-record.%ld.lz4", folder, (long)getpid());
    read_lines(words[optind]);
    lay_out();
    compress_alone();
    record_on_two();
    printf("%u lines, %.0f MB of records; producer on CPU %d, consumer on CPU %d (%s)\n",
           bench.line_count, (double)bench.plain_bytes / 1e6, bench.pinning.cpu[0],
           bench.pinning.cpu[1], topology_words(bench.pinning.nearness));
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (strstr(pairs[i].name, only) != NULL)
            run_pair(&pairs[i], pair_count);
    unlink(bench.path);
    return 0;
}
