/* Code alone: no data, no bss, no libraries. */
void _start(void) {
  for (;;) {
  }
}
