/* A disk that fails on demand, for a program that runs with this library in LD_PRELOAD.
 *
 * It affects the database and its write-ahead log in the folder FAILING_DISK_FOLDER. The file
 * FAILING_DISK_ORDER holds the fault as one word and is read at each call: `full` (writes find no space),
 * `write` (writes get an I/O error), `flush` (flushes fail). With any other content nothing fails.
 *
 * With FAILING_DISK_RECORD it also appends each operation to that file, so that a test can compute the
 * content after a power cut: a line `w FILE OFFSET LENGTH` and the bytes after it, `t FILE LENGTH`,
 * `s FILE` for a flush that succeeded and `f FILE` for one that failed, `u FILE` for a removal.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static const char *folder, *order_file;
static int record = -1;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_fsync)(int);
static int (*real_ftruncate)(int, off64_t);
static int (*real_unlink)(const char *);

__attribute__((constructor)) static void begin(void) {
    const char *record_file = getenv("FAILING_DISK_RECORD");
    folder = getenv("FAILING_DISK_FOLDER");
    order_file = getenv("FAILING_DISK_ORDER");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    if (record_file)
        record = open(record_file, O_WRONLY | O_CREAT | O_APPEND, 0600);
}

static int ends_with(const char *path, const char *end) {
    size_t length = strlen(path), rest = strlen(end);
    return length >= rest && strcmp(path + length - rest, end) == 0;
}

/* The name of the file if it is one of the affected ones. */
static const char *concerned(const char *path) {
    if (!folder || strncmp(path, folder, strlen(folder)) != 0)
        return NULL;
    if (!ends_with(path, ".db") && !ends_with(path, "-wal"))
        return NULL;
    return strrchr(path, '/') + 1;
}

static const char *file_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0)
        return NULL;
    path[length] = 0;
    return concerned(path);
}

static int ordered(const char *word) {
    char said[16] = "";
    int fd = order_file ? open(order_file, O_RDONLY) : -1;
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, said, sizeof said - 1);
    close(fd);
    return length > 0 && strcmp(said, word) == 0;
}

static void note(const char *line, const void *bytes, size_t length) {
    if (record < 0)
        return;
    real_write(record, line, strlen(line));
    if (length)
        real_write(record, bytes, length);
}

static ssize_t written(int fd, const void *bytes, size_t length, off64_t offset, int seeks) {
    char path[4096], line[4200];
    const char *file = file_of(fd, path, sizeof path);
    if (!file)
        return seeks ? real_write(fd, bytes, length) : real_pwrite(fd, bytes, length, offset);
    if (ordered("full") || ordered("write")) {
        errno = ordered("full") ? ENOSPC : EIO;
        return -1;
    }
    pthread_mutex_lock(&turn);
    if (seeks)
        offset = lseek64(fd, 0, SEEK_CUR);
    ssize_t done = seeks ? real_write(fd, bytes, length) : real_pwrite(fd, bytes, length, offset);
    if (done > 0) {
        snprintf(line, sizeof line, "w %s %lld %lld\n", file, (long long)offset, (long long)done);
        note(line, bytes, (size_t)done);
    }
    pthread_mutex_unlock(&turn);
    return done;
}

ssize_t write(int fd, const void *bytes, size_t length) { return written(fd, bytes, length, 0, 1); }

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    return written(fd, bytes, length, offset, 0);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return written(fd, bytes, length, offset, 0);
}

int fsync(int fd) {
    char path[4096], line[4200];
    const char *file = file_of(fd, path, sizeof path);
    if (!file)
        return real_fsync(fd);
    int fails = ordered("flush");
    pthread_mutex_lock(&turn);
    int done = fails ? -1 : real_fsync(fd);
    snprintf(line, sizeof line, "%c %s\n", done == 0 ? 's' : 'f', file);
    note(line, NULL, 0);
    pthread_mutex_unlock(&turn);
    if (fails)
        errno = EIO;
    return done;
}

int fdatasync(int fd) { return fsync(fd); }

int ftruncate64(int fd, off64_t length) {
    char path[4096], line[4200];
    const char *file = file_of(fd, path, sizeof path);
    if (!file)
        return real_ftruncate(fd, length);
    pthread_mutex_lock(&turn);
    int done = real_ftruncate(fd, length);
    if (done == 0) {
        snprintf(line, sizeof line, "t %s %lld\n", file, (long long)length);
        note(line, NULL, 0);
    }
    pthread_mutex_unlock(&turn);
    return done;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int unlink(const char *path) {
    char line[4200];
    const char *file = concerned(path);
    pthread_mutex_lock(&turn);
    int done = real_unlink(path);
    if (done == 0 && file) {
        snprintf(line, sizeof line, "u %s\n", file);
        note(line, NULL, 0);
    }
    pthread_mutex_unlock(&turn);
    return done;
}
