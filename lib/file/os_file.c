/* SPDX-License-Identifier: MIT */
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#include "file/os_file.h"
#include "base/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <io.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

/* strerror() is neither thread-safe nor independent of the locale: the few reasons that
 * people meet have their own words, the rest a number. */
static const char *reason(int e)
{
    switch (e) {
    case ENOENT:
        return "no such file";
    case ENOTDIR:
        return "part of the path is not a directory";
    case EACCES:
    case EPERM:
        return "permission denied";
    case EMFILE:
    case ENFILE:
        return "too many open files";
    case ENAMETOOLONG:
        return "the path is too long";
    case ELOOP:
        return "too many symbolic links";
    case ENOMEM:
        return "out of memory";
    case EIO:
        return "input/output error";
    case EBADF:
        return "bad file descriptor";
    case ENOSPC:
        return "no space left on the device";
    case EROFS:
        return "the file system is read-only";
    case EFBIG:
        return "the file is too large";
    case EISDIR:
        return "is a directory";
    case ENXIO:
        return "is not a regular file";
    default:
        return "the system refused";
    }
}

mote_status mote__file_not_written(const char *path, mote_error *err)
{
    const int e = errno;
    mote__path_text shown;
    return mote__fail(err, MOTE_E_IO, "%s could not be written: %s (errno %d)",
            mote__path_shown(&shown, path), reason(e), e);
}

/* One read call asks for at most this much: some systems refuse more than 2 GiB. */
enum { READ_MAX = 1 << 30 };

void mote__file_init(mote__file *f)
{
    memset(f, 0, sizeof *f);
    f->handle = -1;
}

void mote__file_open_memory(mote__file *f, const void *data, size_t size)
{
    mote__file_init(f);
    f->data = data;
    f->size = size;
}

const char *mote__path_shown(mote__path_text *t, const char *path)
{
    size_t n = strlen(path);
    if (n < sizeof t->s)
        memcpy(t->s, path, n + 1);
    else {
        memcpy(t->s, "...", 3);
        memcpy(t->s + 3, path + n - (sizeof t->s - 4), sizeof t->s - 3);
    }
    return t->s;
}

#ifdef _WIN32

static wchar_t *wide(const char *path)
{
    int n = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, NULL, 0);
    wchar_t *w = n > 0 ? malloc((size_t)n * sizeof *w) : NULL;
    if (w)
        MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, w, n);
    return w;
}

int mote__file_flush(FILE *f)
{
    return fflush(f) == 0 && _commit(_fileno(f)) == 0 ? 0 : -1;
}

FILE *mote__file_create(const char *path)
{
    wchar_t *w = wide(path);
    FILE *f = w ? _wfopen(w, L"wb") : NULL;
    if (!w)
        errno = ENOMEM;
    free(w);
    return f;
}

void mote__file_remove(const char *path)
{
    wchar_t *w = wide(path);
    if (w)
        _wremove(w);
    free(w);
}

int mote__file_rename(const char *from, const char *to)
{
    wchar_t *a = wide(from), *b = wide(to);
    BOOL ok = a && b &&
              MoveFileExW(a, b, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH);
    if (!ok) {
        DWORD e = GetLastError();
        errno = e == ERROR_ACCESS_DENIED || e == ERROR_SHARING_VIOLATION ? EACCES : EIO;
    }
    free(a);
    free(b);
    return ok ? 0 : -1;
}

enum mote__path_kind mote__path_kind(const char *path)
{
    wchar_t *w = wide(path);
    DWORD a = w ? GetFileAttributesW(w) : INVALID_FILE_ATTRIBUTES;
    free(w);
    if (a == INVALID_FILE_ATTRIBUTES)
        return MOTE__PATH_ABSENT;
    return a & FILE_ATTRIBUTE_DIRECTORY ? MOTE__PATH_DIRECTORY : MOTE__PATH_FILE;
}

static mote_status os_size(
        intptr_t handle, uint64_t *size, uint64_t *changed, mote_error *err)
{
    LARGE_INTEGER n;
    if (GetFileType((HANDLE)handle) != FILE_TYPE_DISK)
        return mote__fail(err, MOTE_E_IO, "not a regular file");
    if (!GetFileSizeEx((HANDLE)handle, &n))
        return mote__fail(
                err, MOTE_E_IO, "cannot get the file size (error %lu)", GetLastError());
    *size = (uint64_t)n.QuadPart;
    *changed = 0; /* nobody may write to it: see os_open */
    return MOTE_OK;
}

static int os_is(intptr_t handle, const char *path)
{
    BY_HANDLE_FILE_INFORMATION a, b;
    wchar_t *w = wide(path);
    HANDLE h = w ? CreateFileW(w, 0, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                           OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL)
                 : INVALID_HANDLE_VALUE;
    free(w);
    if (h == INVALID_HANDLE_VALUE)
        return 0;
    int same = GetFileInformationByHandle((HANDLE)handle, &a) &&
               GetFileInformationByHandle(h, &b) &&
               a.dwVolumeSerialNumber == b.dwVolumeSerialNumber &&
               a.nFileIndexHigh == b.nFileIndexHigh &&
               a.nFileIndexLow == b.nFileIndexLow;
    CloseHandle(h);
    return same;
}

static mote_status os_open(intptr_t *handle, const char *path, mote_error *err)
{
    mote__path_text shown;
    wchar_t *w = wide(path);
    if (!w)
        return mote__fail(err, MOTE_E_NOT_FOUND, "%s: not a valid path",
                mote__path_shown(&shown, path));
    HANDLE h = CreateFileW(w, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING,
            FILE_ATTRIBUTE_NORMAL, NULL);
    DWORD e = GetLastError();
    free(w);
    if (h == INVALID_HANDLE_VALUE && mote__path_kind(path) == MOTE__PATH_DIRECTORY)
        return mote__fail(err, MOTE_E_IO, "%s: not a regular file",
                mote__path_shown(&shown, path));
    if (h == INVALID_HANDLE_VALUE)
        return mote__fail(err,
                e == ERROR_FILE_NOT_FOUND || e == ERROR_PATH_NOT_FOUND
                        ? MOTE_E_NOT_FOUND
                        : MOTE_E_IO,
                "%s: cannot open (error %lu)", mote__path_shown(&shown, path), e);
    *handle = (intptr_t)h;
    return MOTE_OK;
}

static mote_status os_duplicate(intptr_t *handle, int32_t fd, mote_error *err)
{
    /* Opened once more, not duplicated: reading moves a duplicate's position, and with
     * it that of the caller's. */
    intptr_t original = fd < 0 ? -1 : _get_osfhandle(fd);
    HANDLE h = INVALID_HANDLE_VALUE;
    if (original != -1 && GetFileType((HANDLE)original) != FILE_TYPE_DISK)
        return mote__fail(err, MOTE_E_IO, "not a regular file");
    if (original != -1)
        h = ReOpenFile((HANDLE)original, GENERIC_READ,
                FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, 0);
    if (h == INVALID_HANDLE_VALUE)
        return mote__fail(err, MOTE_E_IO, "cannot use file descriptor %d", fd);
    *handle = (intptr_t)h;
    return MOTE_OK;
}

static mote_status os_map(mote__file *f, mote_error *err)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    uint64_t begin = f->base - f->base % info.dwAllocationGranularity;
    size_t n = (size_t)(f->base - begin + f->size);
    HANDLE m = CreateFileMappingW((HANDLE)f->handle, NULL, PAGE_READONLY, 0, 0, NULL);
    void *p = m ? MapViewOfFile(m, FILE_MAP_READ, (DWORD)(begin >> 32), (DWORD)begin, n)
                : NULL;
    DWORD e = GetLastError();
    if (m)
        CloseHandle(m);
    if (!p)
        return mote__fail(err, MOTE_E_IO, "cannot map %zu bytes (error %lu)", n, e);
    f->map = p;
    f->map_size = n;
    f->data = (const uint8_t *)p + (f->base - begin);
    return MOTE_OK;
}

/* Bytes read, 0 at the end of the file, -1 on an error. */
static int64_t os_read(intptr_t handle, uint64_t at, size_t n, void *dst)
{
    OVERLAPPED o;
    DWORD got = 0;
    memset(&o, 0, sizeof o);
    o.Offset = (DWORD)at;
    o.OffsetHigh = (DWORD)(at >> 32);
    if (ReadFile((HANDLE)handle, dst, (DWORD)n, &got, &o))
        return (int64_t)got;
    return GetLastError() == ERROR_HANDLE_EOF ? 0 : -1;
}

static mote_status os_read_failed(uint64_t at, mote_error *err)
{
    return mote__fail(err, MOTE_E_IO, "cannot read at byte %llu (error %lu)",
            (unsigned long long)at, GetLastError());
}

static void os_close(intptr_t handle, void *map, size_t map_size)
{
    (void)map_size;
    if (map)
        UnmapViewOfFile(map);
    if (handle != -1)
        CloseHandle((HANDLE)handle);
}

#else /* POSIX */

int mote__file_flush(FILE *f)
{
    return fflush(f) == 0 && fsync(fileno(f)) == 0 ? 0 : -1;
}

FILE *mote__file_create(const char *path)
{
    return fopen(path, "wb");
}

void mote__file_remove(const char *path)
{
    remove(path);
}

int mote__file_rename(const char *from, const char *to)
{
    return rename(from, to);
}

enum mote__path_kind mote__path_kind(const char *path)
{
    struct stat s;
    if (stat(path, &s) != 0)
        return errno == ENOENT || errno == ENOTDIR ? MOTE__PATH_ABSENT
                                                   : MOTE__PATH_OTHER;
    if (S_ISDIR(s.st_mode))
        return MOTE__PATH_DIRECTORY;
    return S_ISREG(s.st_mode) ? MOTE__PATH_FILE : MOTE__PATH_OTHER;
}

static mote_status os_size(
        intptr_t handle, uint64_t *size, uint64_t *changed, mote_error *err)
{
    struct stat s;
    if (fstat((int)handle, &s) != 0)
        return mote__fail(err, MOTE_E_IO, "cannot get the file size: %s (errno %d)",
                reason(errno), errno);
    if (!S_ISREG(s.st_mode) || s.st_size < 0)
        return mote__fail(err, MOTE_E_IO, "not a regular file");
    *size = (uint64_t)s.st_size;
#ifdef __APPLE__
    const struct timespec t = s.st_mtimespec;
#else
    const struct timespec t = s.st_mtim;
#endif
    *changed = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    return MOTE_OK;
}

static int os_is(intptr_t handle, const char *path)
{
    struct stat a, b;
    return fstat((int)handle, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static mote_status os_open(intptr_t *handle, const char *path, mote_error *err)
{
    /* O_NONBLOCK: a pipe put in a file's place must not hang the host. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        int e = errno;
        mote__path_text shown;
        return mote__fail(err,
                e == ENOENT || e == ENOTDIR ? MOTE_E_NOT_FOUND : MOTE_E_IO,
                "%s: cannot open: %s (errno %d)", mote__path_shown(&shown, path),
                reason(e), e);
    }
    *handle = fd;
    return MOTE_OK;
}

static mote_status os_duplicate(intptr_t *handle, int32_t fd, mote_error *err)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return mote__fail(err, MOTE_E_IO,
                "cannot use file descriptor %d: %s (errno %d)", fd, reason(errno),
                errno);
    *handle = copy;
    return MOTE_OK;
}

static mote_status os_map(mote__file *f, mote_error *err)
{
    long page = sysconf(_SC_PAGESIZE);
    uint64_t begin = f->base - f->base % (uint64_t)(page > 0 ? page : 65536);
    size_t n = (size_t)(f->base - begin + f->size);
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, (int)f->handle, (off_t)begin);
    if (p == MAP_FAILED)
        return mote__fail(err, MOTE_E_IO, "cannot map %zu bytes: %s (errno %d)", n,
                reason(errno), errno);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    /* Have the page cache filled in runs of 2 MB, which one entry of the page table
     * then maps: decoding from 4 KB pages is a quarter slower. What is there already
     * stays as it is. A wish: file systems without large folios do not hear it. */
    (void)madvise(p, n, MADV_HUGEPAGE);
#endif
    f->map = p;
    f->map_size = n;
    f->data = (const uint8_t *)p + (f->base - begin);
    return MOTE_OK;
}

static int64_t os_read(intptr_t handle, uint64_t at, size_t n, void *dst)
{
    ssize_t got;
    do
        got = pread((int)handle, dst, n, (off_t)at);
    while (got < 0 && errno == EINTR);
    return got;
}

static mote_status os_read_failed(uint64_t at, mote_error *err)
{
    return mote__fail(err, MOTE_E_IO, "cannot read at byte %llu: %s (errno %d)",
            (unsigned long long)at, reason(errno), errno);
}

static void os_close(intptr_t handle, void *map, size_t map_size)
{
    if (map)
        munmap(map, map_size);
    if (handle != -1)
        close((int)handle);
}

#endif

mote_status mote__file_open(mote__file *f, const char *path, mote_error *err)
{
    mote__file_init(f);
    mote_status st = os_open(&f->handle, path, err);
    if (st < 0)
        return st;
    mote_error detail;
    if ((st = os_size(f->handle, &f->size, &f->changed, &detail)) < 0) {
        mote__path_text shown;
        mote__file_close(f);
        return mote__fail(
                err, st, "%s: %s", mote__path_shown(&shown, path), detail.message);
    }
    return MOTE_OK;
}

mote_status mote__file_open_fd(
        mote__file *f, int32_t fd, uint64_t offset, uint64_t length, mote_error *err)
{
    uint64_t size = 0;
    mote__file_init(f);
    mote_status st = os_duplicate(&f->handle, fd, err);
    if (st < 0)
        return st;
    if ((st = os_size(f->handle, &size, &f->changed, err)) < 0)
        goto out;
    if (offset > size || length > size - offset) {
        st = mote__fail(err, MOTE_E_INVALID,
                "range of %llu bytes at offset %llu lies outside the file of %llu "
                "bytes",
                (unsigned long long)length, (unsigned long long)offset,
                (unsigned long long)size);
        goto out;
    }
    f->base = offset;
    f->size = length ? length : size - offset;
out:
    if (st < 0)
        mote__file_close(f);
    return st;
}

mote_status mote__file_map(mote__file *f, mote_error *err)
{
    if (f->data || !f->size)
        return MOTE_OK;
    if (f->size > SIZE_MAX / 2)
        return mote__fail(err, MOTE_E_IO,
                "cannot map %llu bytes: more than the address space",
                (unsigned long long)f->size);
    return os_map(f, err);
}

/* MOTE_E_IO when the file ends before byte `end` of its range by now. */
static mote_status still_has(
        const mote__file *f, uint64_t end, uint64_t *changed, mote_error *err)
{
    uint64_t size = 0;
    mote_status st = os_size(f->handle, &size, changed, err);
    if (st >= 0 && size < f->base + end)
        st = mote__fail(err, MOTE_E_IO,
                "the file has been truncated to %llu bytes since it was opened",
                (unsigned long long)size);
    return st;
}

mote_status mote__file_read(
        const mote__file *f, uint64_t offset, size_t n, void *dst, mote_error *err)
{
    if (offset > f->size || n > f->size - offset)
        return mote__fail(err, MOTE_E_IO,
                "%zu bytes at byte %llu lie outside the file of %llu bytes", n,
                (unsigned long long)offset, (unsigned long long)f->size);
    if (!n)
        return MOTE_OK;
    if (f->data && !f->map) {
        memcpy(dst, f->data + offset, n);
        return MOTE_OK;
    }
    if (f->map) {
        /* Touching pages that a truncation took away raises SIGBUS. Asking first leaves
         * a short race; MOTE_MAP_OFF leaves none. */
        uint64_t changed;
        mote_status st = still_has(f, offset + n, &changed, err);
        if (st < 0)
            return st;
        memcpy(dst, f->data + offset, n);
        return MOTE_OK;
    }
    unsigned char *to = dst;
    uint64_t at = f->base + offset;
    while (n) {
        int64_t got = os_read(f->handle, at, n < READ_MAX ? n : READ_MAX, to);
        if (got < 0)
            return os_read_failed(at, err);
        if (got == 0)
            return mote__fail(err, MOTE_E_IO,
                    "the file ends at byte %llu: it has been truncated since it was "
                    "opened",
                    (unsigned long long)at);
        to += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return MOTE_OK;
}

mote_status mote__file_unchanged(const mote__file *f, mote_error *err)
{
    uint64_t changed = 0;
    if (f->handle < 0)
        return MOTE_OK;
    mote_status st = still_has(f, f->size, &changed, err);
    if (st < 0)
        return st;
    if (changed != f->changed)
        return mote__fail(err, MOTE_E_IO,
                "the file has been written to since it was opened; with option mapping "
                "off that does not matter");
    return MOTE_OK;
}

int mote__file_is(const mote__file *f, const char *path)
{
    return f->handle >= 0 && os_is(f->handle, path);
}

void mote__file_close(mote__file *f)
{
    os_close(f->handle, f->map, f->map_size);
    mote__file_init(f);
}

char *mote__path_join(const char *dir, const char *name)
{
    size_t a = strlen(dir), b = strlen(name);
    char *p = malloc(a + b + 2);
    if (!p)
        return NULL;
    memcpy(p, dir, a);
    if (a && dir[a - 1] != '/')
        p[a++] = '/';
    memcpy(p + a, name, b + 1);
    return p;
}

mote_status mote__file_read_all(
        char **out, size_t *size, const char *path, size_t limit, mote_error *err)
{
    mote__file f;
    char *text = NULL;
    mote_error detail;
    mote__path_text shown;
    mote__path_shown(&shown, path);
    *out = NULL;
    *size = 0;
    mote_status st = mote__file_open(&f, path, err);
    if (st < 0)
        return st;
    if (f.size > limit) {
        st = mote__fail(err, MOTE_E_FORMAT, "%s: %llu bytes, at most %zu allowed",
                shown.s, (unsigned long long)f.size, limit);
        goto out;
    }
    text = malloc((size_t)f.size + 1);
    if (!text) {
        st = mote__fail_memory(err, (size_t)f.size + 1, shown.s);
        goto out;
    }
    if ((st = mote__file_read(&f, 0, (size_t)f.size, text, &detail)) < 0) {
        st = mote__fail(err, st, "%s: %s", shown.s, detail.message);
        goto out;
    }
    text[f.size] = '\0';
    *size = (size_t)f.size;
    *out = text;
    text = NULL;
out:
    free(text);
    mote__file_close(&f);
    return st;
}

mote_status mote__file_open_direct(
        mote__file *out, const mote__file *from, mote_error *err)
{
    mote__file_init(out);
#if defined(__linux__) && defined(O_DIRECT)
    if (from->handle >= 0 && from->base % 4096 == 0) {
        char name[64];
        snprintf(name, sizeof name, "/proc/self/fd/%d", (int)from->handle);
        int fd = open(name, O_RDONLY | O_DIRECT | O_CLOEXEC);
        if (fd >= 0) {
            *out = *from;
            out->handle = fd;
            out->data = NULL;
            out->map = NULL;
            return MOTE_OK;
        }
    }
#endif
    (void)from;
    return mote__fail(err, MOTE_E_UNSUPPORTED,
            "this system cannot read past the page cache here");
}
