#include "base/fault.h"

#ifdef HEDGEROW_TEST

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAULTS_MAX   32
#define NAME_MAX_LEN 64

struct fault {
    char name[NAME_MAX_LEN];
    int nth, times;
    int hits;
};

struct fault_state {
    struct fault faults[FAULTS_MAX];
    int count;
};

// A plain mutex: points are passed while any ranked lock may be held.
static pthread_mutex_t fault_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct fault_state fault_state;
static atomic_bool fault_is_any; // keeps unarmed points cheap

static struct fault *find(const char *name)
{
    for (int i = 0; i < fault_state.count; i++) {
        if (strcmp(fault_state.faults[i].name, name) == 0)
            return &fault_state.faults[i];
    }
    return NULL;
}

bool fault_point(const char *name)
{
    struct fault *f;
    bool is_due = false;

    if (!atomic_load(&fault_is_any))
        return false;
    pthread_mutex_lock(&fault_mutex);
    f = find(name);
    if (f) {
        f->hits++;
        is_due = f->hits >= f->nth && f->hits - f->nth < f->times;
    }
    pthread_mutex_unlock(&fault_mutex);
    return is_due;
}

void fault_crash(const char *name)
{
    // SIGKILL, not abort: nothing may be flushed or cleaned up on the way out.
    if (fault_point(name))
        kill(getpid(), SIGKILL);
}

void fault_arm(const char *name, int nth, int times)
{
    struct fault *f;

    CHECK(strlen(name) < NAME_MAX_LEN);
    CHECK(nth >= 1);
    pthread_mutex_lock(&fault_mutex);
    f = find(name);
    if (!f) {
        CHECK(fault_state.count < FAULTS_MAX);
        f = &fault_state.faults[fault_state.count++];
        memcpy(f->name, name, strlen(name) + 1);
    }
    f->nth = nth;
    f->times = times;
    f->hits = 0;
    atomic_store(&fault_is_any, true);
    pthread_mutex_unlock(&fault_mutex);
}

void fault_clear(void)
{
    pthread_mutex_lock(&fault_mutex);
    fault_state.count = 0;
    atomic_store(&fault_is_any, false);
    pthread_mutex_unlock(&fault_mutex);
}

int fault_hits(const char *name)
{
    struct fault *f;
    int hits;

    pthread_mutex_lock(&fault_mutex);
    f = find(name);
    hits = f ? f->hits : 0;
    pthread_mutex_unlock(&fault_mutex);
    return hits;
}

void fault_from_env(void)
{
    const char *at = getenv("HEDGEROW_FAULTS");

    while (at && *at) {
        char name[NAME_MAX_LEN];
        int nth, times, used = 0;

        if (sscanf(at, "%63[^:]:%d:%d%n", name, &nth, &times, &used) != 3 || nth < 1 ||
            (at[used] != '\0' && at[used] != ',')) {
            // A crash test with a misspelt point would pass for the wrong reason.
            dprintf(2, "HEDGEROW_FAULTS: cannot read \"%s\"\n", at);
            abort();
        }
        fault_arm(name, nth, times);
        at += used + (at[used] == ',');
    }
}

#endif
