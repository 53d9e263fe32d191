/* Makes the n-th file operation under a journal fail: loaded with LD_PRELOAD, it needs no rights and no other disk.
 *
 * FAILING_IO, read once, names a file that holds the plan while it exists: "SERIAL AT ERRNO ON". Operations that change
 * a file whose name contains journal.sqlite3, or FAILING_MARK, are counted from 1 under each new plan. Number AT fails, and with ON 1
 * every later one too, until the plan is gone. ERRNO 0 stands for short writes: half of what was asked for is written,
 * and nothing once that is no byte. failing_io_count() tells how many operations the plan has seen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define CHANGES (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)

enum verdict { PASS, FAIL, SHORT };

static const char *plan_path, *mark = "journal.sqlite3";
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char seen[64]; /* the plan that is counted for */
static long count;

__attribute__((constructor)) static void configure(void) {
    plan_path = getenv("FAILING_IO");
    if (getenv("FAILING_MARK"))
        mark = getenv("FAILING_MARK");
}

long failing_io_count(void) { return count; }

/* Reads the plan by bare system calls, which are not counted; 0 while there is none. */
static int read_plan(char *text, size_t size) {
    long handle = plan_path ? syscall(SYS_openat, AT_FDCWD, plan_path, O_RDONLY | O_CLOEXEC) : -1;
    if (handle < 0)
        return 0;
    long length = syscall(SYS_read, handle, text, size - 1);
    syscall(SYS_close, handle);
    text[length > 0 ? length : 0] = 0;
    return length > 0;
}

static enum verdict judge(void) {
    char text[sizeof seen];
    long serial, at;
    int code, on, known = errno;
    enum verdict verdict = PASS;
    pthread_mutex_lock(&lock);
    if (read_plan(text, sizeof text) && sscanf(text, "%ld %ld %d %d", &serial, &at, &code, &on) == 4) {
        if (strcmp(text, seen) != 0) {
            strcpy(seen, text);
            count = 0;
        }
        count++;
        if (count == at || (on && count > at))
            verdict = code ? FAIL : SHORT;
    }
    pthread_mutex_unlock(&lock);
    errno = verdict == FAIL ? code : known;
    return verdict;
}

static enum verdict of_handle(int handle) {
    char link[64], path[4096];
    int known = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    errno = known;
    if (length <= 0)
        return PASS;
    path[length] = 0;
    return strstr(path, mark) ? judge() : PASS;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* ERRNO 0 fails only writes. */
#define REFUSED(handle) (of_handle(handle) == FAIL)

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        mode_t mode = 0;                                                                                               \
        if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {                                                   \
            va_list more;                                                                                              \
            va_start(more, flags);                                                                                     \
            mode = va_arg(more, mode_t);                                                                               \
            va_end(more);                                                                                              \
        }                                                                                                              \
        if ((flags & CHANGES) && strstr(path, mark) && judge() == FAIL)                                                \
            return -1;                                                                                                 \
        return REAL(name)(path, flags, mode);                                                                          \
    }

#define PWRITE(name, offset_t)                                                                                         \
    ssize_t name(int handle, const void *bytes, size_t size, offset_t offset) {                                        \
        enum verdict verdict = of_handle(handle);                                                                      \
        return verdict == FAIL ? -1 : REAL(name)(handle, bytes, verdict == SHORT ? size / 2 : size, offset);           \
    }

#define TRUNCATE(name, offset_t)                                                                                       \
    int name(int handle, offset_t size) { return REFUSED(handle) ? -1 : REAL(name)(handle, size); }

#define SYNC(name)                                                                                                     \
    int name(int handle) { return REFUSED(handle) ? -1 : REAL(name)(handle); }

OPEN(open)
OPEN(open64)
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)
SYNC(fsync)
SYNC(fdatasync)

ssize_t write(int handle, const void *bytes, size_t size) {
    enum verdict verdict = of_handle(handle);
    return verdict == FAIL ? -1 : REAL(write)(handle, bytes, verdict == SHORT ? size / 2 : size);
}
