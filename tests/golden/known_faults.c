// Every number of this program's report is known beforehand: who allocates, how much, and who touches which page.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { kPage = 4096 };
static char* volatile keep;

__attribute__((noinline)) static char* allocate_mapped(void) { return malloc(64 << 20); }
__attribute__((noinline)) static void touch_mapped(char* p) {
  for (long i = 0; i < 8000; ++i) p[16 + i * kPage] = 1;  // 8000 pages of 16384
}
__attribute__((noinline)) static char* allocate_read_buffer(void) { return malloc(8 << 20); }
__attribute__((noinline)) static void read_zeros(char* p) {  // the kernel writes 1000 pages for us
  int fd = open("/dev/zero", O_RDONLY);
  for (long done = 0; done < 1000 * kPage - 16;) done += read(fd, p + done, (size_t)(1000 * kPage - 16 - done));
  close(fd);
}
__attribute__((noinline)) static char* allocate_bulk(void) { return malloc(1000); }
__attribute__((noinline)) static char* allocate_pin(void) { return malloc(40); }
__attribute__((noinline)) static char* allocate_temporary(void) { return malloc(100); }

int main(void) {
  free(malloc(1));  // the first call also touches the first heap page, for the tcache
  char* mapped = allocate_mapped();
  touch_mapped(mapped);
  char* buffer = allocate_read_buffer();
  read_zeros(buffer);
  static char* bulk[4000];
  for (int i = 0; i < 4000; ++i) (bulk[i] = allocate_bulk())[0] = 1;
  keep = allocate_pin();
  for (int i = 0; i < 4000; ++i) free(bulk[i]);
  for (int i = 0; i < 500; ++i) free(allocate_temporary());
  _exit(0);  // nothing is freed, and no library runs at the end
}
