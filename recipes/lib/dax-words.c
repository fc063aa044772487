/* Writes a line to a device-dax at an offset, or reads it back: `dax-words DEVICE write OFFSET TEXT`, `... read OFFSET`. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A device is mapped in whole units of its alignment: 2 MiB unless it was made otherwise. */
#define UNIT (2UL << 20)

static int fail(const char *what)
{
	fprintf(stderr, "dax-words: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	int writes = argc == 5 && strcmp(argv[2], "write") == 0;

	if (!writes && !(argc == 4 && strcmp(argv[2], "read") == 0)) {
		fprintf(stderr, "usage: dax-words DEVICE write OFFSET TEXT | DEVICE read OFFSET\n");
		return 2;
	}
	unsigned long offset = strtoul(argv[3], NULL, 0);
	unsigned long start = offset / UNIT * UNIT;
	size_t room = UNIT - (offset - start);

	int fd = open(argv[1], O_RDWR);
	if (fd < 0)
		return fail(argv[1]);
	char *memory = mmap(NULL, UNIT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start);
	if (memory == MAP_FAILED)
		return fail("mmap");
	char *place = memory + (offset - start);

	if (writes) {
		if (strlen(argv[4]) >= room) {
			errno = EMSGSIZE;
			return fail("the text");
		}
		strcpy(place, argv[4]);
		return 0;
	}
	return printf("%.*s\n", (int)strnlen(place, room), place) < 0;
}
