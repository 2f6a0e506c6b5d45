/* Faults under the files of one program, loaded into it by LD_PRELOAD.
 *
 * In: the calls by which SQLite and Rust write, sync, shorten, remove and open files, and what the
 * environment says should happen. Out: the same calls, some of which fail, wait, or are the last
 * thing that the program does. Files in FAULTS_DIR whose names hold ".db" are its business, but for
 * "-shm", which holds nothing that lasts.
 *
 *   FAULTS_DIR      the directory; without it nothing happens.
 *   FAULTS_ONLY     only files whose names begin so are counted and failed.
 *   FAULTS_EXACTLY  only the file of this name is.
 *   FAULTS_KILL     "N before|after|torn|power": SIGKILL at the N-th call that alters or syncs a
 *                   file: before it, after it, with half of the bytes written, or with what was not
 *                   synced lost as if the power had been cut. "N sync": before the N-th sync.
 *   FAULTS_CUT      a path: when it is there, the next such call is a power cut.
 *   FAULTS_EIO      the N-th sync answers EIO, and so does the next one of whoever else has the file
 *                   open, as the kernel has it (since 4.13).
 *   FAULTS_FULL     a path: while it is there, writes answer ENOSPC.
 *   FAULTS_HELD     a path: while it is there, syncs wait.
 *   FAULTS_SEALED   "1": nothing may be opened for writing, or made.
 *   FAULTS_SHADOW   a directory that remembers, beyond the program's end, what is on the disk.
 *   FAULTS_SEED     of the chance by which unsynced bytes are lost.
 *
 * What is on the disk, of a file NAME: NAME.data is its content at its last sync, NAME.entry says
 * that its directory was synced with it in, NAME.gone is what comes back when its removal was not
 * synced, NAME.stale has a byte for each page that a failed sync gave up: the kernel takes such a page
 * for written, and only another write makes the next sync try it again. ".entry" is of the directory
 * itself, in its parent.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, PAGE = 4096, FILES = 4096 };
enum how { BEFORE, AFTER, TORN, POWER, SYNC };

static char dir[PATH_MAX];
static const char *only, *exactly, *cut, *full, *held, *shadow;
static long kill_at, eio_at, calls, syncs;
static int sealed;
/* Open files that have not been told yet of a sync that failed. */
static char untold[FILES];
static enum how how;
static uint64_t chance;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) {
    const char *value;
    if ((value = getenv("FAULTS_DIR"))) snprintf(dir, sizeof dir, "%s", value);
    only = (value = getenv("FAULTS_ONLY")) ? value : "";
    exactly = getenv("FAULTS_EXACTLY");
    cut = getenv("FAULTS_CUT");
    full = getenv("FAULTS_FULL");
    held = getenv("FAULTS_HELD");
    shadow = getenv("FAULTS_SHADOW");
    sealed = getenv("FAULTS_SEALED") != NULL;
    if ((value = getenv("FAULTS_SEED"))) chance = strtoull(value, NULL, 10);
    if ((value = getenv("FAULTS_EIO"))) eio_at = atol(value);
    if ((value = getenv("FAULTS_KILL"))) {
        kill_at = atol(value);
        how = strstr(value, "after")   ? AFTER
              : strstr(value, "torn")  ? TORN
              : strstr(value, "power") ? POWER
              : strstr(value, "sync")  ? SYNC
                                       : BEFORE;
    }
}

/* splitmix64 */
static uint64_t draw(uint64_t end) {
    uint64_t mixed = (chance += 0x9e3779b97f4a7c15u);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return (mixed ^ (mixed >> 31)) % end;
}

/* ---- which files ---- */

/* The name in the directory, if this is a file of the store. */
static const char *name_of(const char *path) {
    size_t length = strlen(dir);
    if (!length || strncmp(path, dir, length) || path[length] != '/') return NULL;
    const char *name = path + length + 1;
    if (strchr(name, '/') || !strstr(name, ".db") || strstr(name, "-shm")) return NULL;
    return strstr(name, " (deleted)") ? NULL : name;
}

static const char *path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

static int counts(const char *name) {
    return exactly ? !strcmp(name, exactly) : !strncmp(name, only, strlen(only));
}

static int there(const char *path) { return path && !access(path, F_OK); }

/* ---- what is on the disk ---- */

struct bytes {
    char *at;
    size_t length;
};

static struct bytes load(const char *path) {
    struct bytes bytes = {NULL, 0};
    struct stat stat_;
    int fd = REAL(open)(path, O_RDONLY);
    if (fd < 0) return bytes;
    fstat(fd, &stat_);
    bytes.at = calloc(1, stat_.st_size + 1);
    ssize_t got = read(fd, bytes.at, stat_.st_size);
    bytes.length = got < 0 ? 0 : got;
    close(fd);
    return bytes;
}

static void save(const char *path, struct bytes bytes) {
    int fd = REAL(open)(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || REAL(write)(fd, bytes.at, bytes.length) != (ssize_t)bytes.length) abort();
    close(fd);
}

static char *beside(const char *name, const char *what) {
    static char path[2][2 * PATH_MAX];
    static int next;
    next = !next;
    snprintf(path[next], sizeof path[next], "%s/%s.%s", shadow, name, what);
    return path[next];
}

static char *in_dir(const char *name) {
    static char path[2 * PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void drop(const char *path) { REAL(unlink)(path); }

static void mark(const char *path) { save(path, (struct bytes){"", 0}); }

static int differs(struct bytes one, struct bytes other, size_t at, size_t length) {
    for (size_t byte = at; byte < at + length; byte++) {
        int a = byte < one.length ? (unsigned char)one.at[byte] : -1;
        int b = byte < other.length ? (unsigned char)other.at[byte] : -1;
        if (a != b) return 1;
    }
    return 0;
}

static void was_synced(const char *name) {
    struct bytes now = load(in_dir(name)), base = load(beside(name, "data"));
    struct bytes stale = load(beside(name, "stale"));
    for (size_t page = 0; page < stale.length && page * PAGE < now.length; page++) {
        size_t at = page * PAGE, length = now.length - at < PAGE ? now.length - at : PAGE;
        if (!stale.at[page]) continue;
        memset(now.at + at, 0, length);
        if (at < base.length)
            memcpy(now.at + at, base.at + at, base.length - at < length ? base.length - at : length);
    }
    save(beside(name, "data"), now);
    free(now.at), free(base.at), free(stale.at);
}

static void sync_failed(const char *name) {
    struct bytes now = load(in_dir(name)), base = load(beside(name, "data"));
    struct bytes stale = load(beside(name, "stale")), more;
    more.length = (now.length + PAGE - 1) / PAGE;
    more.at = calloc(1, more.length + 1);
    for (size_t page = 0; page < more.length; page++)
        more.at[page] = (page < stale.length && stale.at[page]) || differs(now, base, page * PAGE, PAGE);
    save(beside(name, "stale"), more);
    free(now.at), free(base.at), free(stale.at), free(more.at);
}

static void was_written(const char *name, off_t at, size_t length) {
    if (!there(beside(name, "stale"))) return;
    struct bytes stale = load(beside(name, "stale"));
    for (size_t page = at / PAGE; page < stale.length && page * PAGE < at + length; page++)
        stale.at[page] = 0;
    save(beside(name, "stale"), stale);
    free(stale.at);
}

static void was_removed(const char *name) {
    if (there(beside(name, "entry")) && !there(beside(name, "gone"))) {
        struct bytes base = load(beside(name, "data"));
        save(beside(name, "gone"), base);
        free(base.at);
    }
    drop(beside(name, "data"));
    drop(beside(name, "stale"));
}

/* Calls each name of a directory of which something is known. */
static void each_of(const char *path, void (*call)(const char *)) {
    DIR *names = opendir(path);
    struct dirent *entry;
    while (names && (entry = readdir(names))) {
        char name[PATH_MAX];
        snprintf(name, sizeof name, "%s", entry->d_name);
        if (!strcmp(path, shadow)) {
            char *last = strrchr(name, '.');
            if (!last || last == name || strcmp(last, ".gone")) continue;
            *last = 0;
        }
        if (name_of(in_dir(name))) call(name);
    }
    if (names) closedir(names);
}

static void enter(const char *name) { mark(beside(name, "entry")); }

static void forget(const char *name) {
    drop(beside(name, "gone"));
    if (!there(in_dir(name))) drop(beside(name, "entry"));
}

static void directory_was_synced(void) {
    each_of(dir, enter);
    each_of(shadow, forget);
}

/* What was there at the last sync, what is there now, or of each sector either. */
static struct bytes remains(struct bytes base, struct bytes now) {
    uint64_t kept = draw(3);
    struct bytes left;
    left.length = (kept == 2 ? draw(2) : kept) ? now.length : base.length;
    left.at = calloc(1, left.length + 1);
    for (size_t at = 0; at < left.length; at++) {
        static int of_now;
        if (at % SECTOR == 0) of_now = kept == 2 ? draw(2) : kept;
        struct bytes first = of_now ? now : base, other = of_now ? base : (struct bytes){"", 0};
        left.at[at] = at < first.length ? first.at[at] : at < other.length ? other.at[at] : 0;
    }
    return left;
}

static void lose(const char *name) {
    struct bytes now = load(in_dir(name)), base = load(beside(name, "data")), left;
    int entered = there(beside(name, "entry")) && !there(beside(name, "gone"));
    if (!there(beside("", "entry")) || (!entered && draw(2))) {
        drop(in_dir(name));
    } else {
        left = remains(base, now);
        save(in_dir(name), left);
        save(beside(name, "data"), left);
        free(left.at);
    }
    drop(beside(name, "stale"));
    free(now.at), free(base.at);
}

static void come_back(const char *name) {
    if (draw(2) && there(beside("", "entry"))) {
        struct bytes old = load(beside(name, "gone"));
        save(in_dir(name), old);
        save(beside(name, "data"), old);
        free(old.at);
    }
}

static void lose_power(void) {
    each_of(dir, lose);
    each_of(shadow, come_back);
    each_of(dir, enter);
    each_of(shadow, forget);
}

/* ---- the end ---- */

/* The power is lost by a child, once the program is gone: none of its threads may read what is not
 * there any more. The program's output ends with the child. */
static void die(const char *name) {
    char told[PATH_MAX + 64];
    int length = snprintf(told, sizeof told, "faults: killed at call %ld, on %s\n", calls, name);
    if (REAL(write)(2, told, length) < 0) abort();
    pid_t program = getpid();
    if (how == POWER && shadow && !fork()) {
        while (getppid() == program) usleep(1000);
        lose_power();
        _exit(0);
    }
    kill(program, SIGKILL);
    for (;;) pause();
}

/* One call at a time: whoever comes after the last one is too late. */
static int take_turn(const char *name) {
    pthread_mutex_lock(&turn);
    int last = counts(name) && ++calls == kill_at && how != SYNC;
    if (counts(name) && there(cut)) {
        how = POWER;
        die(name);
    }
    if (last && (how == BEFORE || how == POWER)) die(name);
    return last;
}

static void end_turn(const char *name, int last) {
    if (last) die(name);
    pthread_mutex_unlock(&turn);
}

/* ---- the calls ---- */

static ssize_t write_at(int fd, const void *bytes, size_t length, off_t at) {
    return at < 0 ? REAL(write)(fd, bytes, length) : REAL(pwrite64)(fd, bytes, length, at);
}

static ssize_t written(int fd, const void *bytes, size_t length, off_t at) {
    char path[PATH_MAX];
    const char *name = dir[0] ? name_of(path_of(fd, path)) : NULL;
    if (!name) return write_at(fd, bytes, length, at);
    int last = take_turn(name);
    off_t from = at < 0 ? lseek(fd, 0, SEEK_CUR) : at;
    ssize_t done = -1;
    if (counts(name) && there(full))
        errno = ENOSPC;
    else
        done = write_at(fd, bytes, last && how == TORN ? length / 2 : length, at);
    int error = errno;
    if (shadow && done > 0) was_written(name, from, done);
    end_turn(name, last);
    errno = error;
    return done;
}

ssize_t write(int fd, const void *bytes, size_t length) { return written(fd, bytes, length, -1); }

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    return written(fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    return written(fd, bytes, length, at);
}

static void leave_untold(int teller) {
    char path[PATH_MAX], other[PATH_MAX];
    path_of(teller, path);
    for (int fd = 0; fd < FILES; fd++)
        if (fd != teller && !strcmp(path_of(fd, other), path)) untold[fd] = 1;
}

static int is_told(int fd) {
    int was = fd < FILES && untold[fd];
    if (fd < FILES) untold[fd] = 0;
    return was;
}

static int synced(int fd, int (*sync)(int)) {
    char path[PATH_MAX], parent[PATH_MAX];
    const char *name = dir[0] ? name_of(path_of(fd, path)) : NULL;
    if (dir[0] && !name && shadow) {
        snprintf(parent, sizeof parent, "%s", dir);
        *strrchr(parent, '/') = 0;
        pthread_mutex_lock(&turn);
        if (!strcmp(path, dir)) directory_was_synced();
        if (!strcmp(path, parent)) mark(beside("", "entry"));
        pthread_mutex_unlock(&turn);
    }
    if (!name) return sync(fd);
    while (counts(name) && there(held)) usleep(1000);
    int last = take_turn(name), done, error;
    if (counts(name) && ++syncs == kill_at && how == SYNC) die(name);
    if (counts(name) && syncs == eio_at) {
        if (shadow) sync_failed(name);
        leave_untold(fd);
        done = -1;
        error = EIO;
    } else {
        /* With a shadow the disk is the shadow: the machine's own need not be waited for. */
        done = shadow ? 0 : sync(fd);
        error = errno;
        if (shadow) was_synced(name);
        if (is_told(fd)) done = -1, error = EIO;
    }
    end_turn(name, last);
    errno = error;
    return done;
}

int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

static int shortened(int fd, off_t length, int (*truncate_)(int, off_t)) {
    char path[PATH_MAX];
    const char *name = dir[0] ? name_of(path_of(fd, path)) : NULL;
    if (!name) return truncate_(fd, length);
    int last = take_turn(name), done = truncate_(fd, length);
    end_turn(name, last);
    return done;
}

int ftruncate(int fd, off_t length) { return shortened(fd, length, REAL(ftruncate)); }
int ftruncate64(int fd, off64_t length) { return shortened(fd, length, REAL(ftruncate64)); }

int unlink(const char *path) {
    const char *name = dir[0] ? name_of(path) : NULL;
    if (!name) return REAL(unlink)(path);
    int last = take_turn(name), done = REAL(unlink)(path);
    if (shadow && !done) was_removed(name);
    end_turn(name, last);
    return done;
}

static int refused(const char *path, int flags) {
    size_t length = strlen(dir);
    int ours = length && !strncmp(path, dir, length) && path[length] == '/';
    if (!ours || !sealed || (flags & O_ACCMODE) == O_RDONLY || !counts(path + length + 1)) return 0;
    errno = EACCES;
    return 1;
}

#define OPEN(name)                                                        \
    int name(const char *path, int flags, ...) {                          \
        mode_t mode = 0;                                                  \
        va_list rest;                                                     \
        va_start(rest, flags);                                            \
        if (flags & O_CREAT) mode = va_arg(rest, mode_t);                 \
        va_end(rest);                                                     \
        if (refused(path, flags)) return -1;                              \
        int fd = REAL(name)(path, flags, mode);                           \
        if (fd >= 0) is_told(fd);                                         \
        return fd;                                                        \
    }

OPEN(open)
OPEN(open64)
