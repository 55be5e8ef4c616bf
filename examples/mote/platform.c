/* SPDX-License-Identifier: MIT */
#include "platform.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#define isatty _isatty
#define fileno _fileno
#else
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <termios.h>
#include <unistd.h>
#endif
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

int cli_is_terminal(FILE *file)
{
    return isatty(fileno(file)) == 1;
}

uint32_t cli_terminal_columns(void)
{
#ifdef TIOCGWINSZ
    struct winsize size;
    if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col > 0)
        return size.ws_col;
#endif
    return 80;
}

double cli_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

uint64_t cli_any_seed(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return (ns * 0x9e3779b97f4a7c15u) >> 32; /* short enough to type again */
}

uint64_t cli_peak_rss(void)
{
#ifdef _WIN32
    return 0;
#else
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) || usage.ru_maxrss < 0)
        return 0;
#ifdef __APPLE__
    return (uint64_t)usage.ru_maxrss;
#else
    return (uint64_t)usage.ru_maxrss * 1024;
#endif
#endif
}

void cli_binary_streams(void)
{
#ifdef _WIN32
    _setmode(_fileno(stdin), _O_BINARY);
    _setmode(_fileno(stdout), _O_BINARY);
#endif
}

int cli_program_folder(const char *argv0, char *folder, size_t size)
{
    size_t n = 0;
#if defined(__linux__)
    const ssize_t got = readlink("/proc/self/exe", folder, size - 1);
    n = got > 0 ? (size_t)got : 0;
#elif defined(__APPLE__)
    uint32_t capacity = (uint32_t)size;
    n = _NSGetExecutablePath(folder, &capacity) == 0 ? strlen(folder) : 0;
#endif
    if (!n && strlen(argv0) < size) {
        n = strlen(argv0);
        memcpy(folder, argv0, n);
    }
    while (n && folder[n - 1] != '/' && folder[n - 1] != '\\')
        n--;
    if (!n)
        return -1;
    folder[n > 1 ? n - 1 : n] = 0;
    return 0;
}

int cli_path_kind(const char *path)
{
    struct stat info;
    if (stat(path, &info))
        return 0;
    return (info.st_mode & S_IFMT) == S_IFDIR ? 1 : 2;
}

#ifndef _WIN32
static struct termios cooked; /* as the terminal was found */
static volatile sig_atomic_t terminal_changed;
#endif

/* The handler may run on a worker thread, so closing a session waits until no handler
 * is between reading the pointer and using it. */
static _Atomic(mote_session *) running_session;
static atomic_int handlers_inside;
static atomic_int interrupts;

static void on_interrupt(int number)
{
    (void)number;
    atomic_fetch_add(&handlers_inside, 1);
    if (atomic_fetch_add(&interrupts, 1) >= 2) { /* nobody reacts: leave at once */
#ifdef _WIN32
        exit(130);
#else
        if (terminal_changed)
            tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
        _exit(130);
#endif
    }
    mote_session *session = atomic_load(&running_session);
    if (session)
        mote_session_cancel(session);
    atomic_fetch_sub(&handlers_inside, 1);
}

void cli_interrupts_begin(void)
{
#ifdef _WIN32
    signal(SIGINT, on_interrupt);
#else
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_interrupt; /* no SA_RESTART: reading a line must return */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
#endif
}

int cli_interrupted(void)
{
    return atomic_load(&interrupts) > 0;
}

void cli_interrupts_forget(void)
{
    atomic_store(&interrupts, 0);
}

void cli_interrupts_session(mote_session *session)
{
    atomic_store(&running_session, session);
    while (!session && atomic_load(&handlers_inside))
        ;
}

int cli_terminal_keys(cli_keys keys)
{
#ifdef _WIN32
    (void)keys;
    return -1;
#else
    if (keys == CLI_KEYS_COOKED && !terminal_changed)
        return 0;
    if (!terminal_changed && tcgetattr(STDIN_FILENO, &cooked))
        return -1;
    struct termios wanted = cooked;
    if (keys != CLI_KEYS_COOKED) {
        wanted.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
        wanted.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN);
        if (keys == CLI_KEYS_RAW)
            wanted.c_lflag &= ~(tcflag_t)ISIG;
        wanted.c_cc[VMIN] = 1;
        wanted.c_cc[VTIME] = 0;
    }
    terminal_changed = keys != CLI_KEYS_COOKED;
    return tcsetattr(STDIN_FILENO, TCSADRAIN, &wanted);
#endif
}

int cli_read_byte(void)
{
#ifdef _WIN32
    return getchar();
#else
    unsigned char byte;
    for (;;) {
        const ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n == 1)
            return byte;
        if (n == 0 || errno != EINTR || cli_interrupted())
            return -1;
    }
#endif
}
