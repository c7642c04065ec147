// A program that works on files as any other does, with nothing but its C library. It prints what it
// finds, never a number that differs from one machine to the next, so that its output is the same
// wherever it runs:
//   cc -o files files.c && mkdir empty && ./files empty

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifdef __wasm__
// What makes it a waPC guest: it runs when it is started, and answers calls with an error.
__attribute__((export_name("__guest_call"))) int guest_call(int operation, int payload) {
    return operation * 0 + payload * 0;
}
#endif

static const char *root;

// A path below the root. Eight of them live at once.
static const char *at(const char *path) {
    static char paths[8][4096];
    static int next;
    char *full = paths[next++ % 8];
    snprintf(full, sizeof paths[0], "%s/%s", root, path);
    return full;
}

// The name of an error, which is the same in every C library.
static const char *error(void) {
    switch (errno) {
    case EACCES: return "EACCES";
    case EBADF: return "EBADF";
    case EEXIST: return "EEXIST";
    case EINVAL: return "EINVAL";
    case EISDIR: return "EISDIR";
    case ELOOP: return "ELOOP";
    case ENAMETOOLONG: return "ENAMETOOLONG";
    case ENOENT: return "ENOENT";
    case ENOTDIR: return "ENOTDIR";
    case ENOTEMPTY: return "ENOTEMPTY";
    case EPERM: return "EPERM";
    default: return "another error";
    }
}

// Prints the result of a call: a number, or the name of the error.
static long shown(const char *what, long result) {
    if (result < 0) printf("%s: %s\n", what, error());
    else printf("%s: %ld\n", what, result);
    return result;
}

// Prints that a call went well, or the name of the error; descriptors are numbers of the machine.
static int opened(const char *what, int fd) {
    printf("%s: %s\n", what, fd < 0 ? error() : "open");
    return fd;
}

static void content(const char *path) {
    char buffer[256];
    int fd = open(at(path), O_RDONLY);
    ssize_t length = fd < 0 ? -1 : read(fd, buffer, sizeof buffer - 1);
    if (length < 0) {
        printf("%s holds: %s\n", path, error());
    } else {
        buffer[length] = 0;
        printf("%s holds: %s\n", path, buffer);
    }
    if (fd >= 0) close(fd);
}

static void described(const char *what, int result, const struct stat *stat) {
    if (result < 0) {
        printf("%s: %s\n", what, error());
        return;
    }
    const char *kind = S_ISREG(stat->st_mode) ? "file" : S_ISDIR(stat->st_mode) ? "directory"
        : S_ISLNK(stat->st_mode) ? "link" : "another thing";
    if (S_ISDIR(stat->st_mode)) printf("%s: %s\n", what, kind);
    else printf("%s: %s of %ld bytes with %ld names\n", what, kind, (long)stat->st_size, (long)stat->st_nlink);
}

static void data(void) {
    char buffer[64] = {0};
    shown("mkdir", mkdir(at("data"), 0777));
    shown("mkdir again", mkdir(at("data"), 0777));
    int fd = opened("create", open(at("data/file"), O_CREAT | O_EXCL | O_RDWR, 0666));
    opened("create again", open(at("data/file"), O_CREAT | O_EXCL | O_RDWR, 0666));
    shown("write", write(fd, "hello, world", 12));
    shown("where", lseek(fd, 0, SEEK_CUR));
    shown("back", lseek(fd, -5, SEEK_END));
    shown("read", read(fd, buffer, 3));
    printf("which is %s\n", buffer);
    shown("before the beginning", lseek(fd, -1, SEEK_SET));
    shown("pwrite", pwrite(fd, "HELLO", 5, 0));
    shown("pread", pread(fd, buffer, 12, 0));
    printf("which is %s\n", buffer);
    shown("where", lseek(fd, 0, SEEK_CUR));
    struct iovec parts[3] = {{"one ", 4}, {"", 0}, {"two", 3}};
    shown("writev", writev(fd, parts, 3));
    char first[8] = {0}, second[8] = {0};
    struct iovec rooms[2] = {{first, 5}, {second, 4}};
    lseek(fd, 0, SEEK_SET);
    shown("readv", readv(fd, rooms, 2));
    printf("which is %s and %s\n", first, second);
    shown("truncate", ftruncate(fd, 4));
    content("data/file");
    shown("grow", ftruncate(fd, 1000000));
    shown("far away", lseek(fd, 5000000, SEEK_SET));
    shown("write there", write(fd, "!", 1));
    struct stat stat;
    described("the file", fstat(fd, &stat), &stat);
    shown("pread in the hole", pread(fd, buffer, 1, 3000000));
    printf("which is %d\n", buffer[0]);
    shown("fsync", fsync(fd));
    shown("fdatasync", fdatasync(fd));
    shown("close", close(fd));
    shown("close again", close(fd));
    shown("read of nothing", read(fd, buffer, 1));

    fd = opened("append", open(at("data/log"), O_CREAT | O_WRONLY | O_APPEND, 0666));
    shown("write", write(fd, "one", 3));
    lseek(fd, 0, SEEK_SET);
    shown("write", write(fd, "two", 3));
    printf("appends: %d\n", (fcntl(fd, F_GETFL) & O_APPEND) != 0);
    shown("no more", fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_APPEND));
    printf("appends: %d\n", (fcntl(fd, F_GETFL) & O_APPEND) != 0);
    lseek(fd, 0, SEEK_SET);
    shown("write", write(fd, "O", 1));
    shown("read from what is written", read(fd, buffer, 1));
    close(fd);
    content("data/log");
    fd = opened("for reading", open(at("data/log"), O_RDONLY));
    printf("only reads: %d\n", (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
    shown("write to what is read", write(fd, "x", 1));
    close(fd);
    close(opened("truncated", open(at("data/log"), O_WRONLY | O_TRUNC)));
    content("data/log");
    opened("not there", open(at("data/missing"), O_RDONLY));
    opened("no directory", open(at("data/log/file"), O_RDONLY));
    opened("a directory for writing", open(at("data"), O_WRONLY));
    opened("a file as a directory", open(at("data/log"), O_RDONLY | O_DIRECTORY));
    char name[400];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    opened("a long name", open(at(name), O_CREAT | O_WRONLY, 0666));
}

static void lines(void) {
    FILE *file = fopen(at("lines"), "w+");
    for (int number = 0; number < 5000; number++) fprintf(file, "line %d\n", number);
    printf("ftell: %ld\n", ftell(file));
    fseek(file, 5 * 7, SEEK_SET);
    char line[32];
    fgets(line, sizeof line, file);
    printf("a line: %s", line);
    rewind(file);
    long count = 0, sum = 0;
    while (fgets(line, sizeof line, file)) {
        count++;
        sum += atol(line + 5);
    }
    printf("%ld lines, sum %ld, end %d\n", count, sum, feof(file) != 0);
    fclose(file);
    file = fopen(at("lines"), "a");
    fputs("the last\n", file);
    fclose(file);
    struct stat about;
    described("lines", stat(at("lines"), &about), &about);
    printf("fopen of nothing: %d\n", fopen(at("missing"), "r") == NULL);
    shown("remove", remove(at("lines")));
}

static int by_name(const void *one, const void *two) {
    return strcmp(*(char *const *)one, *(char *const *)two);
}

static void entries(void) {
    enum { COUNT = 4000 };
    static char *names[COUNT + 8];
    char name[300];
    mkdir(at("many"), 0777);
    for (int number = 0; number < COUNT; number++) {
        // Of many lengths, so that buffers end everywhere.
        snprintf(name, sizeof name, "many/%0*d", 4 + number % 40, number);
        close(open(at(name), O_CREAT | O_WRONLY, 0666));
    }
    DIR *dir = opendir(at("many"));
    int dots = 0, count = 0;
    for (int round = 0; round < 2; round++) {
        count = dots = 0;
        for (struct dirent *entry; (entry = readdir(dir));) {
            if (entry->d_name[0] == '.') dots++;
            else if (count < COUNT + 8) names[count++] = strdup(entry->d_name);
        }
        printf("%d entries, %d dots\n", count, dots);
        rewinddir(dir);
    }
    qsort(names, count, sizeof names[0], by_name);
    unsigned hash = 5381;
    for (int index = 0; index < count; index++)
        for (const char *c = names[index]; *c; c++) hash = hash * 33 + (unsigned char)*c;
    printf("hash %u, first %s, last %s\n", hash, names[0], names[count - 1]);
    shown("rmdir of many", rmdir(at("many")));
    // Removed while they are listed.
    int removed = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        snprintf(name, sizeof name, "many/%s", entry->d_name);
        if (entry->d_name[0] != '.' && unlink(at(name)) == 0) removed++;
    }
    closedir(dir);
    printf("removed %d\n", removed);
    shown("rmdir of none", rmdir(at("many")));
    printf("opendir of nothing: %d\n", opendir(at("many")) == NULL);
}

static void moves(void) {
    mkdir(at("from"), 0777);
    mkdir(at("to"), 0777);
    close(open(at("from/file"), O_CREAT | O_WRONLY, 0666));
    int fd = open(at("to/other"), O_CREAT | O_WRONLY, 0666);
    write(fd, "other", 5);
    close(fd);
    shown("rename", rename(at("from/file"), at("to/file")));
    shown("rename of nothing", rename(at("from/file"), at("to/file")));
    shown("rename over", rename(at("to/other"), at("to/file")));
    content("to/file");
    shown("rename of a directory over a full one", rename(at("from"), at("to")) < 0);
    shown("rename of a file over a directory", rename(at("to/file"), at("from")));
    shown("rename of a directory over a file", rename(at("from"), at("to/file")));
    shown("rename into itself", rename(at("to"), at("to/deeper")));
    shown("rename of a directory", rename(at("from"), at("to/from")));
    shown("unlink of a directory", unlink(at("to/from")) < 0);
    shown("rmdir of a file", rmdir(at("to/file")));
    shown("rmdir", rmdir(at("to/from")));
    fd = open(at("to/file"), O_RDONLY);
    shown("unlink", unlink(at("to/file")));
    char buffer[8] = {0};
    shown("read of what is unlinked", read(fd, buffer, sizeof buffer));
    struct stat stat;
    described("it", fstat(fd, &stat), &stat);
    close(fd);
    shown("rmdir", rmdir(at("to")));
}

static void links(void) {
    mkdir(at("links"), 0777);
    int fd = open(at("links/file"), O_CREAT | O_WRONLY, 0666);
    write(fd, "content", 7);
    close(fd);
    struct stat about;
    char target[64] = {0};
    shown("link", link(at("links/file"), at("links/hard")));
    shown("link again", link(at("links/file"), at("links/hard")));
    described("hard", stat(at("links/hard"), &about), &about);
    shown("symlink", symlink("file", at("links/soft")));
    shown("symlink again", symlink("file", at("links/soft")));
    described("soft", lstat(at("links/soft"), &about), &about);
    described("through it", stat(at("links/soft"), &about), &about);
    shown("readlink", readlink(at("links/soft"), target, sizeof target));
    printf("which is %s\n", target);
    shown("readlink of a file", readlink(at("links/file"), target, sizeof target));
    content("links/soft");
    opened("not followed", open(at("links/soft"), O_RDONLY | O_NOFOLLOW));
    symlink("nowhere", at("links/dangling"));
    opened("dangling", open(at("links/dangling"), O_RDONLY));
    symlink("two", at("links/one"));
    symlink("one", at("links/two"));
    opened("in circles", open(at("links/one"), O_RDONLY));
    symlink("../links", at("links/up"));
    content("links/up/up/up/file");
    shown("unlink", unlink(at("links/soft")));
    described("file", stat(at("links/file"), &about), &about);
    const char *all[] = {"file", "hard", "dangling", "one", "two", "up"};
    for (int index = 0; index < 6; index++) {
        char path[32];
        snprintf(path, sizeof path, "links/%s", all[index]);
        unlink(at(path));
    }
    shown("rmdir", rmdir(at("links")));
}

static void times(void) {
    int fd = open(at("timed"), O_CREAT | O_WRONLY, 0666);
    struct timespec set[2] = {{1000000000, 123456789}, {1500000000, 987654321}};
    struct stat about;
    shown("futimens", futimens(fd, set));
    fstat(fd, &about);
    printf("accessed %lld.%09ld, modified %lld.%09ld\n", (long long)about.st_atim.tv_sec, about.st_atim.tv_nsec,
        (long long)about.st_mtim.tv_sec, about.st_mtim.tv_nsec);
    set[0].tv_sec = 5;
    set[1].tv_nsec = UTIME_OMIT;
    shown("utimensat", utimensat(AT_FDCWD, at("timed"), set, 0));
    stat(at("timed"), &about);
    printf("accessed %lld.%09ld, modified %lld.%09ld\n", (long long)about.st_atim.tv_sec, about.st_atim.tv_nsec,
        (long long)about.st_mtim.tv_sec, about.st_mtim.tv_nsec);
    symlink("timed", at("pointer"));
    struct timespec own[2] = {{7, 0}, {8, 0}};
    shown("times of a link", utimensat(AT_FDCWD, at("pointer"), own, AT_SYMLINK_NOFOLLOW));
    lstat(at("pointer"), &about);
    printf("the link %lld, ", (long long)about.st_mtim.tv_sec);
    stat(at("pointer"), &about);
    printf("the file %lld\n", (long long)about.st_mtim.tv_sec);
    write(fd, "now", 3);
    fstat(fd, &about);
    printf("written since: %d\n", about.st_mtim.tv_sec > 1500000000);
    close(fd);
    unlink(at("pointer"));
    unlink(at("timed"));
}

static void relative(void) {
    mkdir(at("base"), 0777);
    int base = opened("base", open(at("base"), O_RDONLY | O_DIRECTORY));
    shown("mkdirat", mkdirat(base, "sub", 0777));
    int sub = opened("sub", openat(base, "sub", O_RDONLY | O_DIRECTORY));
    int fd = opened("openat", openat(sub, "file", O_CREAT | O_RDWR, 0666));
    shown("write", write(fd, "below", 5));
    close(fd);
    fd = opened("for writing", openat(sub, "file", O_WRONLY));
    shown("write", write(fd, "B", 1));
    close(fd);
    shown("renameat", renameat(sub, "file", base, "moved"));
    shown("linkat", linkat(base, "moved", sub, "linked", 0));
    shown("symlinkat", symlinkat("../moved", sub, "soft"));
    char target[16] = {0};
    shown("readlinkat", readlinkat(sub, "soft", target, sizeof target));
    content("base/sub/soft");
    struct stat stat;
    described("fstatat", fstatat(sub, "linked", &stat, 0), &stat);
    described("of a link", fstatat(sub, "soft", &stat, AT_SYMLINK_NOFOLLOW), &stat);
    shown("access", faccessat(base, "moved", R_OK, 0));
    shown("access of nothing", faccessat(base, "missing", F_OK, 0));
    shown("unlinkat", unlinkat(sub, "soft", 0));
    shown("unlinkat", unlinkat(sub, "linked", 0));
    shown("unlinkat", unlinkat(base, "moved", 0));
    shown("unlinkat of a directory", unlinkat(base, "sub", AT_REMOVEDIR));
    close(sub);
    close(base);
    shown("rmdir", rmdir(at("base")));
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: files DIRECTORY\n");
        return 2;
    }
    root = argv[1];
    data();
    lines();
    entries();
    moves();
    links();
    times();
    relative();
    fflush(stdout);
    return 0;
}
