/*
 * Preloaded into the programs of a second build (`kiln verify --rebuild`): another wall clock, directories in another order.
 *
 * It is linked without any library, so that every glibc takes it: what it needs of the program's libc is looked up there.
 * Programs that are linked statically, and those that call the kernel by themselves, do not see it.
 */
#include <stddef.h>
#include <stdint.h>

/* Of <time.h>, <dirent.h> and <dlfcn.h> on 64-bit Linux; their headers would bring version numbers of one libc along. */
struct timespec { int64_t tv_sec, tv_nsec; };
struct timeval { int64_t tv_sec, tv_usec; };
struct dirent { uint64_t ino; int64_t off; uint16_t reclen; uint8_t type; char name[256]; };
enum { REALTIME = 0, REALTIME_COARSE = 5, TAI = 11 };
extern void *dlsym(void *handle, const char *name);
extern void *malloc(size_t size);
extern void free(void *memory);
#define NEXT ((void *)-1)

/* 431 days, 7 hours, 13 minutes and 19 seconds: another year, month, day of the week, and time of day. */
#define AHEAD (((431 * 24 + 7) * 60 + 13) * 60 + 19)

#define REAL(name, ...) \
    static int (*real)(__VA_ARGS__); \
    if (!real) real = (int (*)(__VA_ARGS__))dlsym(NEXT, name)

int clock_gettime(int clock, struct timespec *now) {
    REAL("clock_gettime", int, struct timespec *);
    int failed = real(clock, now);
    if (!failed && (clock == REALTIME || clock == REALTIME_COARSE || clock == TAI)) now->tv_sec += AHEAD;
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    REAL("gettimeofday", struct timeval *, void *);
    int failed = real(now, zone);
    if (!failed && now) now->tv_sec += AHEAD;
    return failed;
}

int64_t time(int64_t *place) {
    struct timespec now = { 0, 0 };
    clock_gettime(REALTIME, &now);
    if (place) *place = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return base == 1 && !clock_gettime(REALTIME, now) ? base : 0;
}

/* Who waits until a moment of the other clock waits until that moment of the real one. */
#define WAIT(name) \
    int name(void *what, const struct timespec *until) { \
        REAL(#name, void *, const struct timespec *); \
        struct timespec moment = *until; \
        moment.tv_sec -= AHEAD; \
        return real(what, &moment); \
    }
WAIT(sem_timedwait)
WAIT(pthread_mutex_timedlock)
WAIT(pthread_rwlock_timedrdlock)
WAIT(pthread_rwlock_timedwrlock)

/* A condition may be told to go by the monotonic clock, whose moments are far before those of the other one. */
int pthread_cond_timedwait(void *condition, void *mutex, const struct timespec *until) {
    REAL("pthread_cond_timedwait", void *, void *, const struct timespec *);
    struct timespec moment = *until, now = { 0, 0 };
    clock_gettime(REALTIME, &now);
    if (moment.tv_sec > now.tv_sec / 2) moment.tv_sec -= AHEAD;
    return real(condition, mutex, &moment);
}

/* Directories that are being read: all entries, to be given out last first. */
struct listing { struct listing *next; void *dir; size_t count, room; struct dirent *entries, last; };
static struct listing *listings;
static char busy;

static void enter(void) { while (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE)) { } }
static void leave(void) { __atomic_clear(&busy, __ATOMIC_RELEASE); }

static struct listing *find(void *dir) {
    struct listing *found = listings;
    while (found && found->dir != dir) found = found->next;
    return found;
}

static void forget(void *dir) {
    for (struct listing **at = &listings; *at; at = &(*at)->next) {
        if ((*at)->dir == dir) {
            struct listing *old = *at;
            *at = old->next;
            free(old->entries);
            free(old);
            return;
        }
    }
}

/* Bytes behind a name are not always there to be read. */
static void copy(struct dirent *to, const struct dirent *from) {
    for (size_t i = 0; i < from->reclen && i < sizeof *to; i++) ((char *)to)[i] = ((const char *)from)[i];
    to->reclen = sizeof *to < from->reclen ? sizeof *to : from->reclen;
}

static struct listing *list(void *dir) {
    static struct dirent *(*real)(void *);
    if (!real) real = (struct dirent *(*)(void *))dlsym(NEXT, "readdir64");
    struct listing *new = malloc(sizeof *new);
    if (!new) return NULL;
    new->dir = dir; new->count = new->room = 0; new->entries = NULL;
    for (struct dirent *entry; (entry = real(dir)); ) {
        if (new->count == new->room) {
            size_t room = new->room ? new->room * 2 : 32;
            struct dirent *more = malloc(room * sizeof *more);
            if (!more) break;
            for (size_t i = 0; i < new->count; i++) copy(&more[i], &new->entries[i]);
            free(new->entries);
            new->entries = more; new->room = room;
        }
        copy(&new->entries[new->count++], entry);
    }
    new->next = listings;
    listings = new;
    return new;
}

struct dirent *readdir64(void *dir) {
    enter();
    struct listing *found = find(dir);
    if (!found) found = list(dir);
    struct dirent *entry = NULL;
    if (found && found->count) { copy(&found->last, &found->entries[--found->count]); entry = &found->last; }
    leave();
    return entry;
}

struct dirent *readdir(void *dir) { return readdir64(dir); }

void rewinddir(void *dir) {
    static void (*real)(void *);
    if (!real) real = (void (*)(void *))dlsym(NEXT, "rewinddir");
    enter(); forget(dir); leave();
    real(dir);
}

int closedir(void *dir) {
    REAL("closedir", void *);
    enter(); forget(dir); leave();
    return real(dir);
}
