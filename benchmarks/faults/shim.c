/* Fail the n-th operation that changes something below a folder, as a full or broken disk would.
 *
 *     cc -shared -fPIC -O2 -o shim.so shim.c -ldl
 *     LD_PRELOAD=./shim.so python ...
 *
 * Loaded before the C library, it stands in front of what Python, torch (libstdc++) and Rust call to write files. It
 * passes everything on until `fault_arm` is called. Opening for writing, writing, truncating, flushing, renaming,
 * linking, making folders and changing permissions count; reading and removing do not.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN, MKDIR, WRITE, TRUNCATE, FSYNC, RENAME, CHMOD, LINK, KINDS };

static char folder[PATH_MAX];
static size_t folder_length; /* 0: not armed */
static long target;          /* number of the operation that fails, from 1; 0: none */
static int target_errno, target_onwards, failed_kind = -1;
static char failed_path[PATH_MAX];
static long operations, counts[KINDS], bytes_written;

void fault_disarm(void) { folder_length = 0; }

void fault_arm(const char *below, long nth, int error, int onwards) {
    fault_disarm();
    snprintf(folder, sizeof folder, "%s/", below);
    memset(counts, 0, sizeof counts);
    operations = bytes_written = 0;
    failed_kind = -1;
    failed_path[0] = 0;
    target = nth;
    target_errno = error;
    target_onwards = onwards;
    folder_length = strlen(folder);
}

long fault_operations(void) { return operations; }
long fault_count(int kind) { return counts[kind]; }
long fault_bytes(void) { return bytes_written; }
int fault_failed_kind(void) { return failed_kind; }
const char *fault_failed_path(void) { return failed_path; }

static int counted(int kind, const char *path) {
    if (!folder_length || strncmp(path, folder, folder_length)) return 0;
    __atomic_add_fetch(&counts[kind], 1, __ATOMIC_SEQ_CST);
    long number = __atomic_add_fetch(&operations, 1, __ATOMIC_SEQ_CST);
    if (!target || number < target || (number > target && !target_onwards)) return 0;
    if (number == target) {
        failed_kind = kind;
        snprintf(failed_path, sizeof failed_path, "%s", path);
    }
    errno = target_errno;
    return 1;
}

static void name_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
}

static int fails_at(int kind, int directory, const char *path) {
    if (!folder_length) return 0;
    if (path[0] == '/') return counted(kind, path);
    char base[PATH_MAX], whole[2 * PATH_MAX];
    if (directory != AT_FDCWD) name_of(directory, base);
    else if (!getcwd(base, sizeof base)) return 0;
    snprintf(whole, sizeof whole, "%s/%s", base, path);
    return counted(kind, whole);
}

static int fails(int kind, int fd) {
    if (!folder_length) return 0;
    int before = errno;
    char path[PATH_MAX];
    name_of(fd, path);
    errno = before;
    /* The folder itself is flushed, too: its name ends where `folder` has a slash. */
    if (strlen(path) == folder_length - 1) strcat(path, "/");
    return counted(kind, path);
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define WRITES(flags) (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & O_CREAT))

#define OPEN_AS(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        return WRITES(flags) && fails_at(OPEN, AT_FDCWD, path) ? -1 : real(path, flags, mode); \
    }
#define OPENAT_AS(name) \
    int name(int directory, const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        return WRITES(flags) && fails_at(OPEN, directory, path) ? -1 : real(directory, path, flags, mode); \
    }
#define FOPEN_AS(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        return strpbrk(mode, "wa+") && fails_at(OPEN, AT_FDCWD, path) ? NULL : real(path, mode); \
    }
#define CREAT_AS(name) \
    int name(const char *path, mode_t mode) { \
        REAL(name); \
        return fails_at(OPEN, AT_FDCWD, path) ? -1 : real(path, mode); \
    }
OPEN_AS(open) OPEN_AS(open64) OPENAT_AS(openat) OPENAT_AS(openat64)
FOPEN_AS(fopen) FOPEN_AS(fopen64) CREAT_AS(creat) CREAT_AS(creat64)

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return fails_at(MKDIR, AT_FDCWD, path) ? -1 : real(path, mode);
}
int mkdirat(int directory, const char *path, mode_t mode) {
    REAL(mkdirat);
    return fails_at(MKDIR, directory, path) ? -1 : real(directory, path, mode);
}

static ssize_t wrote(int fd, ssize_t length) {
    if (!folder_length || length <= 0) return length;
    int before = errno;
    char path[PATH_MAX];
    name_of(fd, path);
    errno = before;
    if (!strncmp(path, folder, folder_length)) __atomic_add_fetch(&bytes_written, length, __ATOMIC_SEQ_CST);
    return length;
}

ssize_t write(int fd, const void *data, size_t length) {
    REAL(write);
    return fails(WRITE, fd) ? -1 : wrote(fd, real(fd, data, length));
}
ssize_t writev(int fd, const struct iovec *parts, int number) {
    REAL(writev);
    return fails(WRITE, fd) ? -1 : wrote(fd, real(fd, parts, number));
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    REAL(pwrite);
    return fails(WRITE, fd) ? -1 : wrote(fd, real(fd, data, length, offset));
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    REAL(pwrite64);
    return fails(WRITE, fd) ? -1 : wrote(fd, real(fd, data, length, offset));
}

int ftruncate(int fd, off_t length) {
    REAL(ftruncate);
    return fails(TRUNCATE, fd) ? -1 : real(fd, length);
}
int ftruncate64(int fd, off64_t length) {
    REAL(ftruncate64);
    return fails(TRUNCATE, fd) ? -1 : real(fd, length);
}
int fsync(int fd) {
    REAL(fsync);
    return fails(FSYNC, fd) ? -1 : real(fd);
}
int fdatasync(int fd) {
    REAL(fdatasync);
    return fails(FSYNC, fd) ? -1 : real(fd);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return fails_at(RENAME, AT_FDCWD, to) ? -1 : real(from, to);
}
int renameat(int one, const char *from, int other, const char *to) {
    REAL(renameat);
    return fails_at(RENAME, other, to) ? -1 : real(one, from, other, to);
}
int renameat2(int one, const char *from, int other, const char *to, unsigned int flags) {
    REAL(renameat2);
    return fails_at(RENAME, other, to) ? -1 : real(one, from, other, to, flags);
}

int chmod(const char *path, mode_t mode) {
    REAL(chmod);
    return fails_at(CHMOD, AT_FDCWD, path) ? -1 : real(path, mode);
}
int fchmod(int fd, mode_t mode) {
    REAL(fchmod);
    return fails(CHMOD, fd) ? -1 : real(fd, mode);
}
int fchmodat(int directory, const char *path, mode_t mode, int flags) {
    REAL(fchmodat);
    return fails_at(CHMOD, directory, path) ? -1 : real(directory, path, mode, flags);
}

int link(const char *from, const char *to) {
    REAL(link);
    return fails_at(LINK, AT_FDCWD, to) ? -1 : real(from, to);
}
int linkat(int one, const char *from, int other, const char *to, int flags) {
    REAL(linkat);
    return fails_at(LINK, other, to) ? -1 : real(one, from, other, to, flags);
}
